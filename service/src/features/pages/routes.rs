//! `GET /` and `GET /docs`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use utoipa_axum::routes;

use super::models::Facts;
use super::policy;
use crate::app::App;
use crate::features::Routes;

const CHAT: &str = include_str!("chat.html");
const DOCS: &str = include_str!("docs.html");
/// Where the facts go.
const NO_FACTS: &str = r#"id="facts">{}</script>"#;

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(chat)).routes(routes!(docs))
}

/// A page that streams a chat.
#[utoipa::path(
    get,
    path = "/",
    tag = "service",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
async fn chat(State(app): State<Arc<App>>) -> Response {
    let facts = Facts::of(&app.settings).to_block();
    page(
        CHAT,
        CHAT.replacen(NO_FACTS, &format!(r#"id="facts">{facts}</script>"#), 1),
    )
}

/// A page that shows this document.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "service",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"))
)]
async fn docs() -> Response {
    page(DOCS, DOCS.to_owned())
}

/// A page, under the policy of its `template`.
fn page(template: &str, html: String) -> Response {
    let mut response = html.into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    if let Ok(policy) = HeaderValue::try_from(policy::of(template)) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_one_script_and_one_style_and_asks_nobody_else_for_anything() {
        for page in [CHAT, DOCS] {
            assert_eq!(page.matches("<script>").count(), 1);
            assert_eq!(page.matches("<style>").count(), 1);
            for foreign in [
                "http://",
                "https://",
                "src=",
                "@import",
                " url(",
                "style=\"",
                "onclick=",
                "innerHTML",
                "cookie",
                "Storage",
            ] {
                let harmless = ["http://www.w3.org/2000/svg"];
                let text = harmless
                    .iter()
                    .fold(page.to_owned(), |text, known| text.replace(known, ""));
                assert!(!text.contains(foreign), "`{foreign}` in a page");
            }
        }
        assert_eq!(CHAT.matches(NO_FACTS).count(), 1);
    }
}
