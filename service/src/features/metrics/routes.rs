//! `GET /metrics`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use utoipa_axum::routes;

use crate::app::App;
use crate::features::Routes;
use crate::telemetry::Format;

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(metrics))
}

/// What is counted and measured: as OpenMetrics for those who ask for it, as Prometheus's classic text for all others.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    responses((status = 200, description = "The metrics as text", content(
        (String = "text/plain"),
        (String = "application/openmetrics-text"),
    )))
)]
async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let mut response = Response::new(Body::from(app.metrics.render(format)));
    let content_type = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
