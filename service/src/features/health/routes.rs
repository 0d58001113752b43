//! `GET /livez` and `GET /readyz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;

use super::logic;
use super::models::Liveness;
use crate::app::App;
use crate::features::exchange::json;

pub(in crate::features) fn routes() -> Router<Arc<App>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

async fn livez() -> Response {
    json(StatusCode::OK, &Liveness { status: "alive" })
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    let readiness = logic::readiness(&app).await;
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &readiness)
}
