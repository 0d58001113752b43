//! `GET /openapi.json`.

use axum::Extension;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use utoipa_axum::routes;

use super::models::Document;
use crate::features::Routes;

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(document))
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value, content_type = "application/json"))
)]
async fn document(Extension(document): Extension<Document>) -> Response {
    let mut response = Response::new(Body::from(document.0));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
