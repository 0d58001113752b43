//! `POST /jobs`, `GET /jobs/{id}`, `DELETE /jobs/{id}`.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::logic;
use super::models::JobView;
use crate::app::App;
use crate::error::Error;
use crate::features::exchange::{Context, Exchange, json, read};

pub(in crate::features) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/jobs", post(submit))
        .route("/jobs/{id}", get(status).delete(cancel))
}

async fn submit(State(app): State<Arc<App>>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /jobs", &headers);
    let result = accept(&app, &context, body).await;
    let location = result.as_ref().ok().map(|job| format!("/jobs/{}", job.id));
    let mut response = exchange.answer(StatusCode::ACCEPTED, result);
    if let Some(location) = location.and_then(|location| HeaderValue::try_from(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn accept(app: &Arc<App>, context: &Context, body: Result<Bytes, BytesRejection>) -> Result<JobView, Error> {
    let request = read(body)?;
    logic::submit(app, context, &request).await
}

/// Not traced: clients ask often, and the answer is a lookup.
async fn status(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match logic::status(&app, &id).await {
        Ok(job) => json(StatusCode::OK, &job),
        Err(error) => error.into_response(),
    }
}

async fn cancel(State(app): State<Arc<App>>, Path(id): Path<String>) -> Response {
    match logic::cancel(&app, &id).await {
        Ok(()) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        Err(error) => error.into_response(),
    }
}
