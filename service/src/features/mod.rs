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

use axum::Router;
use axum::extract::DefaultBodyLimit;

use crate::app::App;
use crate::error::Error;

pub(crate) use self::exchange::Context;

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let limit = app.settings.max_body_bytes as usize;
    Router::new()
        .merge(chat::routes())
        .merge(jobs::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .merge(pages::routes())
        .fallback(|| async { Error::NotFound("page").into_response() })
        .method_not_allowed_fallback(|| async { Error::MethodNotAllowed.into_response() })
        .layer(DefaultBodyLimit::max(limit))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&app), named::name))
        .with_state(app)
}
