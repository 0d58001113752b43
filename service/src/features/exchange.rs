//! What all endpoints share: who asks, how the exchange is counted and traced, and how it is answered.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::access_log::AccessLine;
use crate::access::{Caller, Place};
use crate::app::App;
use crate::cache::Freshness;
use crate::draws::Purpose;
use crate::error::Error;
use crate::resilience::deadline::Deadline;
use crate::telemetry::conventions::attribute;
use crate::telemetry::conventions::header::{CACHE, OVERHEAD_MS, REQUEST_ID, ROUTE_REASON, SERVER_TIMING};
use crate::telemetry::{Counted, Span, Trace, TraceParent, millis};

/// Longest request id that is taken from a client, in bytes.
const LONGEST_ID: usize = 128;

/// Who asks: what the logic of a feature needs to know about a request.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) request_id: String,
    pub(crate) caller: Caller,
    pub(crate) trace: Trace,
    /// Until when: fixed when the request arrived.
    pub(crate) deadline: Deadline,
    /// What it says about answers that were given before.
    pub(crate) freshness: Freshness,
    pub(crate) kept: Kept,
}

/// What is held for as long as anybody works for a request, whoever waits for it.
#[derive(Clone, Default)]
#[expect(dead_code, reason = "what counts is when they are dropped")]
pub(crate) struct Kept {
    place: Place,
    line: Option<Arc<AccessLine>>,
}

impl Context {
    /// The same request, which takes a place among those that its key may have under way.
    pub(crate) fn taking(mut self, place: Place) -> Self {
        self.kept.place = place;
        self
    }
}

/// A request on its way to its answer. Counted and traced when it is dropped, whether it was answered or its client left.
pub(crate) struct Exchange {
    app: Arc<App>,
    endpoint: &'static str,
    trace: Trace,
    root: Span,
    request_id: String,
    line: Arc<AccessLine>,
    status: Option<StatusCode>,
    _in_flight: Counted,
}

impl Exchange {
    /// A request arrived at `endpoint`.
    pub(crate) fn begin(app: &Arc<App>, endpoint: &'static str, headers: &HeaderMap) -> (Context, Self) {
        let request_id = request_id(app, headers);
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let parent = text("traceparent").and_then(TraceParent::parse);
        let (trace, root) = app.tracer.begin(parent, &request_id, endpoint);
        let caller = app.access.caller(headers);
        trace.tenant(&caller.tenant);
        let line = Arc::new(AccessLine::begin(endpoint, trace.clone(), app.metrics.clone()));
        let exchange = Self {
            app: Arc::clone(app),
            endpoint,
            trace: trace.clone(),
            root,
            request_id: request_id.clone(),
            line: Arc::clone(&line),
            status: None,
            _in_flight: Counted::begin(&app.metrics.in_flight),
        };
        let context = Context {
            request_id,
            caller,
            trace,
            deadline: Deadline::start(app.clock, app.settings.deadline),
            kept: Kept {
                place: Place::default(),
                line: Some(line),
            },
            freshness: text(header::CACHE_CONTROL.as_str())
                .map(Freshness::of)
                .unwrap_or_default(),
        };
        (context, exchange)
    }

    /// Answers with JSON, or with the problem.
    pub(crate) fn answer<T: Serialize>(self, status: StatusCode, result: Result<T, Error>) -> Response {
        match result {
            Ok(value) => self.respond(json(status, &value)),
            Err(error) => self.refuse(error, Error::into_response),
        }
    }

    /// Answers with the error, worded as the endpoint does it.
    pub(crate) fn refuse(mut self, error: Error, worded: impl FnOnce(Error) -> Response) -> Response {
        self.failed(&error);
        self.respond(worded(error))
    }

    /// Answers with a response of the endpoint's own making.
    pub(crate) fn respond(mut self, mut response: Response) -> Response {
        self.finish(response.status());
        self.sign(&mut response);
        response
    }

    /// The exchange came to its end with `status`.
    pub(crate) const fn finish(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The exchange failed. For what is told within an answer; [`Exchange::answer`] sees to the others.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.app.metrics.failed(self.endpoint, error.kind());
        self.root.set(attribute::ERROR, error.kind());
    }

    /// Says in the response which request it answers, and where its time went so far.
    pub(crate) fn sign(&self, response: &mut Response) {
        let spent = self.trace.spent();
        let values = [
            (REQUEST_ID, self.request_id.clone()),
            (SERVER_TIMING, spent.server_timing()),
            (OVERHEAD_MS, millis(spent.overhead()).to_string()),
        ];
        for (name, value) in values.into_iter().chain(self.trace.said()) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
    }

    /// What the root span says, by the conventions for HTTP servers.
    fn describe(&mut self) {
        if let Some((method, route)) = self.endpoint.split_once(' ') {
            self.root.set(attribute::METHOD, method);
            self.root.set(attribute::ROUTE, route);
            self.root.set(attribute::PATH, route);
        }
        for (name, value) in self.trace.said() {
            match name {
                ROUTE_REASON => self.root.set(attribute::ROUTE_REASON, value),
                CACHE => self.root.set(attribute::CACHE, value),
                _ => {}
            }
        }
        match self.status {
            Some(status) => self.root.set(attribute::STATUS, status.as_u16()),
            None => self.root.set(attribute::CANCELLED, true),
        }
        if self.status.is_some_and(|status| status.is_server_error()) {
            self.root.fail();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(status) = self.status {
            let took = self.trace.spent().total;
            self.app.metrics.answered(self.endpoint, status.as_u16(), took);
            self.line.answered(status.as_u16());
        } else {
            self.trace.client_has_left();
            self.app.metrics.cancelled(self.endpoint);
            self.line.left();
        }
        self.describe();
    }
}

/// The client's name for its request if it is a decent one, else one of ours.
pub(super) fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let decent = |id: &&str| !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
    let ours = || format!("{:032x}", app.ids.next(Purpose::Request, "", app.clock.now_unix_us()));
    given.filter(decent).map_or_else(ours, str::to_owned)
}

/// The one named part of a path, such as a job's id. What is no text names nothing.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        match named {
            // Not every store can look for control characters; nothing has them in its name.
            Ok(Path(name)) if !name.chars().any(char::is_control) => Ok(Self(name)),
            _ => Err(Error::NotFound("page")),
        }
    }
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
