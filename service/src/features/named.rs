//! Every response says which request it answers, and every request leaves a line in the log: also those that no endpoint
//! took on, and those that are too small and too many to be traced.
//!
//! Endpoints that begin an exchange have done both themselves by the time their response comes by.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;

use super::exchange::request_id;
use crate::app::App;
use crate::telemetry::conventions::header::REQUEST_ID;
use crate::telemetry::millis;

/// Paths that machines ask for every few seconds. Their lines are for those who look for them.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

pub(super) async fn name(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let id = request_id(&app, request.headers());
    let method = request.method().clone();
    // The route, not the path: a path is the client's and may hold anything.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let began = app.clock.now();
    let mut response = next.run(request).await;
    if response.headers().contains_key(REQUEST_ID) {
        return response;
    }
    let status = response.status().as_u16();
    let endpoint = route.as_ref().map_or("(none)", MatchedPath::as_str);
    let duration_ms = millis(app.clock.now() - began);
    if PROBES.contains(&endpoint) {
        tracing::debug!(request_id = id, %method, endpoint, status, duration_ms, "answered");
    } else {
        tracing::info!(request_id = id, %method, endpoint, status, duration_ms, "answered");
    }
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
