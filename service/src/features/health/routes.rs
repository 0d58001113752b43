//! `GET /livez` and `GET /readyz`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use utoipa_axum::routes;

use super::logic;
use super::models::{Liveness, Readiness, Status};
use crate::app::App;
use crate::features::Routes;
use crate::features::exchange::json;

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(livez)).routes(routes!(readyz))
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "service",
    responses(
        (status = 200, description = "It does", body = Liveness),
        (status = 503, description = "It does not", body = Liveness),
    )
)]
async fn livez(State(app): State<Arc<App>>) -> Response {
    let liveness = logic::liveness(&app).await;
    json(status(liveness.status == "alive"), &liveness)
}

/// Whether the instance should get requests.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    responses(
        (status = 200, description = "It should", body = Readiness),
        (status = 503, description = "It should not, and why", body = Readiness),
    )
)]
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
