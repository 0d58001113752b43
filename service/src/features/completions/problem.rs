//! Errors as OpenAI's clients read them. The statuses are the same as everywhere else.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::openapi::{RefOr, Response as Described};
use utoipa::{IntoResponses, ToSchema};

use crate::error::Error;
use crate::features::openapi::problems;

/// The body of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// This occurrence in words.
    message: String,
    /// The family it belongs to: `invalid_request_error`, `rate_limit_error`, `server_error`...
    #[serde(rename = "type")]
    family: &'static str,
    /// The field that does not fit, where one does not.
    #[schema(required = true)]
    param: Option<String>,
    /// Which kind of problem it is: stable, for programs.
    code: String,
}

impl ErrorBody {
    pub(super) fn of(error: &Error) -> Self {
        let problem = error.problem();
        let first = problem.errors.into_iter().next();
        Self {
            error: ErrorDetail {
                message: problem.detail,
                family: family(error.status()),
                param: first
                    .map(|violation| violation.pointer.trim_start_matches("#/").replace('/', "."))
                    .filter(|param| param != "#"),
                code: error.kind().replace('-', "_"),
            },
        }
    }
}

fn family(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}

/// The error as a response: status and headers as elsewhere, the body as OpenAI has it.
pub(in crate::features) fn refusal(error: Error) -> Response {
    let body = serde_json::to_vec(&ErrorBody::of(&error)).unwrap_or_default();
    let mut response = error.into_response();
    *response.body_mut() = Body::from(body);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The ways in which these endpoints can fail.
pub(in crate::features) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        problems("application/json", "ErrorBody")
    }
}
