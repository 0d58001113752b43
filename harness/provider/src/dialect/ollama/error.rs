//! Writes error bodies: one text each, for there is nothing else in them.
//!
//! Texts follow the real server where they are known. It has no rate limits and no codes of its own: the text of a
//! refusal is ours, and a code that a plan names is the text. A wait is told nowhere.

use http::StatusCode;
use serde::Serialize;

use crate::dialect::Problem;

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
}

/// The line that ends a stream which fails, whatever the reason.
pub(super) const MID_STREAM: &str = r#"{"error":"an error was encountered while running the model"}"#;

/// The two spaces are the real server's.
const BUSY: &str = "server busy, please try again.  maximum pending requests exceeded";

/// Status and body of an error.
pub(super) fn error(problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
    let (status, text) = describe(problem);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, serde_json::to_vec(&Body { error: &text }).unwrap_or_default())
}

fn describe(problem: &Problem<'_>) -> (u16, String) {
    let (status, text) = match problem {
        Problem::UnknownRoute { .. } => (404, "404 page not found"),
        Problem::WrongMethod { .. } => (405, "405 method not allowed"),
        Problem::TooLarge { .. } => (413, "http: request body too large"),
        Problem::NoKey => (401, "unauthorized"),
        Problem::NotJson => (400, "unexpected EOF"),
        Problem::Invalid(mistake) => (400, mistake.message.as_str()),
        Problem::UnknownModel(model) => return (404, not_found(model)),
        Problem::RateLimited { .. } => (429, "too many requests"),
        Problem::Overloaded { .. } => (503, BUSY),
        Problem::ContextLength { .. } => (400, "the input length exceeds the context length"),
        Problem::Fault {
            status,
            code: Some(code),
            ..
        } => (*status, *code),
        Problem::Fault { model, status, .. } => return (*status, fault(model, *status)),
    };
    (status, text.to_owned())
}

fn not_found(model: &str) -> String {
    format!("model '{model}' not found")
}

/// The text that belongs to an injected status: where the server has none of its own, the name of the status.
fn fault(model: &str, status: u16) -> String {
    match status {
        404 => not_found(model),
        503 => BUSY.to_owned(),
        _ => {
            let known = StatusCode::from_u16(status).ok();
            let name = known.and_then(|status| status.canonical_reason());
            name.unwrap_or("unknown error").to_ascii_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(problem: &Problem<'_>) -> (u16, String) {
        let (status, body) = error(problem);
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    fn injected(status: u16, code: Option<&str>) -> (u16, String) {
        text(&Problem::Fault {
            model: "llama3.2",
            status,
            retry_after: None,
            code,
        })
    }

    #[test]
    fn an_unknown_model_is_named() {
        let body = r#"{"error":"model 'x' not found"}"#.to_owned();
        assert_eq!(text(&Problem::UnknownModel("x")), (404, body));
    }

    #[test]
    fn a_full_queue_is_busy_with_two_spaces() {
        let body = r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#.to_owned();
        assert_eq!(text(&Problem::Overloaded { model: "m" }), (503, body.clone()));
        assert_eq!(injected(503, None), (503, body));
    }

    #[test]
    fn injected_statuses_have_a_text_or_the_one_of_the_plan() {
        for (status, name) in [
            (400, "bad request"),
            (404, "model 'llama3.2' not found"),
            (429, "too many requests"),
            (500, "internal server error"),
            (502, "bad gateway"),
            (599, "unknown error"),
        ] {
            assert_eq!(injected(status, None), (status, format!(r#"{{"error":"{name}"}}"#)));
        }
        let memory = "model requires more system memory";
        assert_eq!(injected(500, Some(memory)), (500, format!(r#"{{"error":"{memory}"}}"#)));
    }
}
