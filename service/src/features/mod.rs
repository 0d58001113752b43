//! What clients can ask for: one module per feature, each with its routes, logic and models.
//!
//! A new feature is one folder here and one line in [`all`].

mod access_log;
mod body;
pub(crate) mod chat;
mod completions;
pub(crate) mod embeddings;
mod exchange;
pub(crate) mod format;
mod health;
pub(crate) mod jobs;
mod metrics;
mod named;
mod openapi;
mod pages;
#[cfg(test)]
pub(crate) mod sample;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::response::Response;
use axum::{Extension, Router, middleware};
use http::Uri;
use utoipa_axum::router::OpenApiRouter;

use crate::access;
use crate::app::App;
use crate::error::Error;

pub(crate) use self::exchange::{Context, Kept};
pub(crate) use self::health::Dependencies;

/// The routes of a feature, with their descriptions.
pub(crate) type Routes = OpenApiRouter<Arc<App>>;

/// All features.
pub(crate) fn all() -> Vec<Routes> {
    vec![
        chat::routes(),
        completions::routes(),
        embeddings::routes(),
        jobs::routes(),
        health::routes(),
        metrics::routes(),
        openapi::routes(),
        pages::routes(),
    ]
}

/// What a worker answers: those who look after it, nobody else.
pub(crate) fn watched(app: Arc<App>) -> Router {
    let (router, _described) = health::routes().merge(metrics::routes()).split_for_parts();
    router
        .fallback(|| async { Error::NotFound("page").into_response() })
        .with_state(app)
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    assemble(app, all())
}

/// The routes of `features`, and answers for those who ask for anything else.
pub(crate) fn assemble(app: Arc<App>, features: Vec<Routes>) -> Router {
    let limit = app.settings.max_body_bytes as usize;
    let described = Routes::with_openapi(openapi::description());
    let (router, api) = features.into_iter().fold(described, Routes::merge).split_for_parts();
    let router = router
        .fallback(|uri: Uri| async move { refusal(&uri, Error::NotFound("page")) })
        .method_not_allowed_fallback(|uri: Uri| async move { refusal(&uri, Error::MethodNotAllowed) })
        .layer(DefaultBodyLimit::max(limit))
        .layer(Extension(openapi::Document::of(&api)));
    // Around the fallbacks too: without a key nobody learns which paths there are.
    let router = if app.access.is_required() {
        router.layer(middleware::from_fn_with_state(Arc::clone(&app), access::guard))
    } else {
        router
    };
    router
        .layer(middleware::from_fn_with_state(Arc::clone(&app), named::name))
        .with_state(app)
}

/// The answer to a request that no endpoint takes on. Where OpenAI's paths begin, so do its error bodies.
pub(crate) fn refusal(uri: &Uri, error: Error) -> Response {
    if uri.path().starts_with("/v1/") {
        completions::refusal(error)
    } else {
        error.into_response()
    }
}
