//! `GET /livez` and `GET /readyz`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;

use super::logic;
use super::models::Status;
use crate::app::App;
use crate::features::exchange::json;

pub(in crate::features) fn routes() -> Router<Arc<App>> {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz))
}

async fn livez(State(app): State<Arc<App>>) -> Response {
    let liveness = logic::liveness(&app).await;
    json(status(liveness.status == "alive"), &liveness)
}

async fn readyz(State(app): State<Arc<App>>) -> Response {
    let readiness = logic::readiness(&app).await;
    json(status(readiness.status != Status::Unready), &readiness)
}

const fn status(well: bool) -> StatusCode {
    if well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}
