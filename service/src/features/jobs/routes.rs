//! `POST /jobs`, `GET /jobs/{id}`, `DELETE /jobs/{id}`, and where to follow one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use utoipa_axum::routes;

use super::models::{JobRequest, JobView};
use super::receipt::{self, Receipt};
use super::{events, logic};
use crate::app::App;
use crate::error::Error;
use crate::features::Routes;
use crate::features::body::Payload;
use crate::features::exchange::{Context, Exchange, Segment, json};
use crate::features::openapi::Problems;

/// When a client that asks for an unfinished job should ask again, in seconds at most.
const ASK_AGAIN: u64 = 60;

pub(in crate::features) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(submit))
        .routes(routes!(status, cancel))
        .routes(routes!(events::events))
}

/// Takes a chat on as a job, or finds the job that stands for it: the one with the same key, or without a key an equal one
/// that is unfinished.
#[utoipa::path(
    post,
    path = "/jobs",
    tag = "jobs",
    params(("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = r"^[!-~]+$",
        description = "The client's name for the work: the same key is the same job")),
    request_body = JobRequest,
    responses((status = 202, description = "It was taken on; `location` says where to look", body = JobView), Problems)
)]
async fn submit(State(app): State<Arc<App>>, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /jobs", &headers);
    let (said, result) = match accept(&app, &context, &headers, body).await {
        Ok(receipt) => (said(&receipt), Ok(receipt.job)),
        Err(error) => (HeaderMap::new(), Err(error)),
    };
    let mut response = exchange.answer(StatusCode::ACCEPTED, result);
    response.headers_mut().extend(said);
    response
}

async fn accept(app: &Arc<App>, context: &Context, headers: &HeaderMap, body: Payload) -> Result<Receipt, Error> {
    let key = receipt::key(headers)?;
    let request = body.read(app, &context.deadline).await?;
    logic::submit(app, context, request, key).await
}

/// Where the job is, and whether it was there before.
fn said(receipt: &Receipt) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::try_from(format!("/jobs/{}", receipt.job.id)) {
        headers.insert(header::LOCATION, location);
    }
    if let Some(name) = receipt.origin.header() {
        headers.insert(name, HeaderValue::from_static("true"));
    }
    headers
}

/// A job as it stands. `retry-after` says when to ask again.
// Not traced: clients ask often, and the answer is a lookup.
#[utoipa::path(
    get,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job", body = JobView), Problems)
)]
async fn status(State(app): State<Arc<App>>, Segment(id): Segment, headers: HeaderMap) -> Response {
    match logic::status(&app, &app.access.caller(&headers), &id).await {
        Ok(job) => {
            let mut response = json(StatusCode::OK, &job);
            if !job.is_finished() {
                let seconds = HeaderValue::from(ask_again(&job, app.clock.now_unix_us() / 1_000));
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            response
        }
        Err(error) => error.into_response(),
    }
}

/// A second, or longer where it is known that nothing can happen sooner.
fn ask_again(job: &JobView, now_ms: u64) -> u64 {
    let wait_ms = job.due_ms.unwrap_or_default().saturating_sub(now_ms);
    wait_ms.div_ceil(1_000).clamp(1, ASK_AGAIN)
}

/// Calls a job off, for all who share it.
#[utoipa::path(
    delete,
    path = "/jobs/{id}",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 204, description = "It was called off, now or before"), Problems)
)]
async fn cancel(State(app): State<Arc<App>>, Segment(id): Segment, headers: HeaderMap) -> Response {
    match logic::cancel(&app, &app.access.caller(&headers), &id).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(error) => error.into_response(),
    }
}
