//! What all endpoints share: who asks, how the exchange is counted and traced, and how it is answered.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::access::Caller;
use crate::app::App;
use crate::draws::Purpose;
use crate::error::Error;
use crate::telemetry::{Span, Trace, TraceParent};

const REQUEST_ID: &str = "x-request-id";
/// Longest request id that is taken from a client, in bytes.
const LONGEST_ID: usize = 128;

/// Who asks: what the logic of a feature needs to know about a request.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    pub(crate) caller: Caller,
    pub(crate) trace: Trace,
}

/// A request on its way to its answer. Counted and traced when it is dropped, whether it was answered or its client left.
pub(crate) struct Exchange {
    app: Arc<App>,
    endpoint: &'static str,
    began: Instant,
    root: Span,
    request_id: String,
    status: Option<StatusCode>,
}

impl Exchange {
    /// A request arrived at `endpoint`.
    pub(crate) fn begin(app: &Arc<App>, endpoint: &'static str, headers: &HeaderMap) -> (Context, Self) {
        let request_id = request_id(app, headers);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parent = text("traceparent").and_then(TraceParent::parse);
        let (trace, root) = app.tracer.begin(parent, &request_id, endpoint);
        let exchange = Self {
            app: Arc::clone(app),
            endpoint,
            began: app.clock.now(),
            root,
            request_id: request_id.clone(),
            status: None,
        };
        let context = Context {
            request_id,
            caller: Caller::anonymous(),
            trace,
        };
        (context, exchange)
    }

    /// Answers with JSON, or with the problem.
    pub(crate) fn answer<T: Serialize>(mut self, status: StatusCode, result: Result<T, Error>) -> Response {
        let mut response = match result {
            Ok(value) => json(status, &value),
            Err(error) => error.into_response(),
        };
        self.finish(response.status());
        self.sign(&mut response);
        response
    }

    /// The exchange came to its end with `status`.
    pub(crate) const fn finish(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Says in the response which request it answers.
    pub(crate) fn sign(&self, response: &mut Response) {
        if let Ok(id) = HeaderValue::try_from(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let outcome = if let Some(status) = self.status {
            let took = self.app.clock.now() - self.began;
            self.app.metrics.answered(self.endpoint, status.as_u16(), took);
            status.as_str().to_owned()
        } else {
            self.app.metrics.cancelled(self.endpoint);
            "cancelled".to_owned()
        };
        self.root.set("outcome", outcome);
    }
}

/// The client's name for its request if it is a decent one, else one of ours.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let decent = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    let ours = || format!("{:032x}", app.ids.next(Purpose::Request, "", app.clock.now_unix_us()));
    given.filter(decent).map_or_else(ours, str::to_owned)
}

/// Reads a request's JSON body.
pub(crate) fn read<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Error> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
        _ => Error::Invalid("the body could not be read: send it again".to_owned()),
    })?;
    serde_json::from_slice(&body).map_err(|error| Error::Invalid(format!("the body does not fit: {error}")))
}

/// A JSON response.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let Ok(body) = serde_json::to_vec(value) else {
        return Error::Storage.into_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
