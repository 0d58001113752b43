//! What clients can ask for: one module per feature, each with its routes, logic and models.
//!
//! A new feature is one folder here and one line in [`router`].

pub(crate) mod chat;
mod exchange;
mod health;
mod jobs;
mod metrics;
mod named;
mod pages;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::{Router, middleware};

use crate::access;
use crate::app::App;
use crate::error::Error;

pub(crate) use self::exchange::Context;
pub(crate) use self::health::Dependencies;

/// What a worker answers: those who look after it, nobody else.
pub(crate) fn watched(app: Arc<App>) -> Router {
    health::routes()
        .merge(metrics::routes())
        .fallback(|| async { Error::NotFound("page").into_response() })
        .with_state(app)
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let limit = app.settings.max_body_bytes as usize;
    let router = Router::new()
        .merge(chat::routes())
        .merge(jobs::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(pages::routes())
        .fallback(|| async { Error::NotFound("page").into_response() })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed.into_response() })
        .layer(DefaultBodyLimit::max(limit));
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
