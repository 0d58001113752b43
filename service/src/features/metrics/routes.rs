//! `GET /metrics`.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, header};

use crate::app::App;
use crate::telemetry::Format;

pub(in crate::features) fn routes() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(metrics))
}

/// In the format that is asked for: OpenMetrics for Prometheus, the classic one for everybody else.
async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accept);
    let mut response = Response::new(Body::from(app.metrics.render(format)));
    let content_type = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
