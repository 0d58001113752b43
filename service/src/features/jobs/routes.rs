//! `POST /jobs`, `GET /jobs/{id}`, `DELETE /jobs/{id}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa_axum::routes;

use super::logic;
use super::models::JobView;
use crate::app::App;
use crate::error::Error;
use crate::features::Routes;
use crate::features::body::Payload;
use crate::features::chat::ChatRequest;
use crate::features::exchange::{Context, Exchange, Segment, json};
use crate::features::openapi::Problems;

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(submit)).routes(routes!(status, cancel))
}

/// Takes a chat on as a job.
#[utoipa::path(
    post,
    path = "/jobs",
    tag = "jobs",
    request_body = ChatRequest,
    responses((status = 202, description = "It was taken on; `location` says where to look", body = JobView), Problems)
)]
async fn submit(State(app): State<Arc<App>>, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /jobs", &headers);
    let result = accept(&app, &context, body).await;
    let location = result.as_ref().ok().map(|job| format!("/jobs/{}", job.id));
    let mut response = exchange.answer(StatusCode::ACCEPTED, result);
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn accept(app: &Arc<App>, context: &Context, body: Payload) -> Result<JobView, Error> {
    let request: ChatRequest = body.read(app).await?;
    logic::submit(app, context, &request).await
}

/// A job as it stands.
// Not traced: clients ask often, and the answer is a lookup.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = JobView), Problems)
)]
async fn status(State(app): State<Arc<App>>, Segment(id): Segment) -> Response {
    match logic::status(&app, &id).await {
        Ok(job) => json(StatusCode::OK, &job),
        Err(error) => error.into_response(),
    }
}

/// Calls a job off.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 204, description = "It was called off"), Problems)
)]
async fn cancel(State(app): State<Arc<App>>, Segment(id): Segment) -> Response {
    match logic::cancel(&app, &id).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(error) => error.into_response(),
    }
}
