//! A request's body up to its bound, and answers of our own in the shape that every SDK reads as an error.
//!
//! Does not route: recorder and player do the same with every path.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::json;

/// The largest request body: what the largest provider takes.
const MAX_REQUEST_MIB: usize = 32;

/// How long a caller may take over a body.
const LONGEST: Duration = Duration::from_mins(1);

/// The caller left while its request was being read: there is nobody to answer.
#[derive(Debug, thiserror::Error)]
#[error("the caller left before its request was complete, or took too long over it")]
pub(super) struct CallerLeft;

/// A body; `None` when it is too large.
pub(super) async fn whole(body: Incoming) -> Result<Option<Bytes>, CallerLeft> {
    let collect = Limited::new(body, MAX_REQUEST_MIB << 20).collect();
    match tokio::time::timeout(LONGEST, collect).await {
        Ok(Ok(collected)) => Ok(Some(collected.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Ok(None),
        Ok(Err(_)) | Err(_) => Err(CallerLeft),
    }
}

/// The answer to a body that is too large.
pub(super) fn too_large() -> Response<Full<Bytes>> {
    let message = format!("The body is larger than {MAX_REQUEST_MIB} MiB, the most that a tape takes: send less.");
    problem(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", &message)
}

/// An error of our own.
pub(super) fn problem(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    let body = json!({"error": {"message": message, "type": kind}}).to_string();
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
