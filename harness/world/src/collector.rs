//! The OTLP/HTTP receiver: takes spans as JSON from any service and joins them to requests by their trace id.
//!
//! Spans of traces that the load generator did not open are left out; whole bodies that cannot be read are counted. A call
//! to a model is known by the OpenTelemetry conventions for generative AI, so it is an attempt whoever made it.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use brownout_scenario::observe::{ATTEMPT, SpanRow};
use brownout_scenario::trace;
use brownout_scenario::units::Micros;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde::Deserialize;

/// Largest export that is read.
const LONGEST_EXPORT: usize = 16 << 20;
/// Most spans kept: bounds memory on a service gone wild.
const MOST_SPANS: usize = 5_000_000;

/// Spans received so far.
#[derive(Clone, Default)]
pub(crate) struct Collector {
    received: Arc<Mutex<Received>>,
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    unreadable: u64,
}

impl Collector {
    /// The service to put on a listener.
    pub(crate) fn service(
        &self,
    ) -> impl hyper::service::Service<
        Request<Incoming>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static {
        let collector = self.clone();
        service_fn(move |request| {
            let collector = collector.clone();
            async move { Ok(collector.answer(request).await) }
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let status = if request.method() == Method::POST && request.uri().path() == "/v1/traces" {
            match Limited::new(request.into_body(), LONGEST_EXPORT).collect().await {
                Ok(body) => self.take(&body.to_bytes()),
                Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
            }
        } else {
            StatusCode::NOT_FOUND
        };
        let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }

    fn take(&self, body: &[u8]) -> StatusCode {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(export) = serde_json::from_slice::<Export>(body) else {
            received.unreadable += 1;
            return StatusCode::BAD_REQUEST;
        };
        let spans = export
            .resource_spans
            .into_iter()
            .flat_map(|r| r.scope_spans)
            .flat_map(|s| s.spans);
        for span in spans {
            if received.spans.len() < MOST_SPANS {
                received.spans.push(span);
            } else {
                received.unreadable += 1;
            }
        }
        StatusCode::OK
    }

    /// The spans that belong to requests, on the run's clock, which began at `origin_unix_us`. Ordered by request, start
    /// and name, so that the order of arrival does not show.
    pub(crate) fn rows(&self, origin_unix_us: u64) -> Vec<SpanRow> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<SpanRow> = received
            .spans
            .iter()
            .filter_map(|span| span.row(origin_unix_us))
            .collect();
        rows.sort_by(|a, b| (a.request, a.start, a.end, &a.name).cmp(&(b.request, b.start, b.end, &b.name)));
        rows
    }

    /// Exports that could not be read, and spans there was no room for.
    pub(crate) fn unreadable(&self) -> u64 {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).unreadable
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export {
    #[serde(default)]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<Span>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    name: String,
    #[serde(default)]
    kind: SpanKind,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    #[serde(default)]
    attributes: Vec<Attribute>,
}

/// OTLP/JSON writes enums as numbers; some writers write their names.
#[derive(Deserialize)]
#[serde(untagged)]
enum SpanKind {
    Number(u8),
    Name(String),
}

impl Default for SpanKind {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl SpanKind {
    fn is_client(&self) -> bool {
        match self {
            Self::Number(number) => *number == 3,
            Self::Name(name) => name == "SPAN_KIND_CLIENT",
        }
    }
}

#[derive(Deserialize)]
struct Attribute {
    key: String,
}

impl Span {
    fn row(&self, origin_unix_us: u64) -> Option<SpanRow> {
        let request = trace::request_of(&self.trace_id)?;
        let at = |nanos: &str| {
            let us = nanos.parse::<u64>().ok()? / 1_000;
            Some(Micros(us.saturating_sub(origin_unix_us)))
        };
        let (start, end) = (at(&self.start_time_unix_nano)?, at(&self.end_time_unix_nano)?);
        Some(SpanRow {
            request,
            name: self.phase().to_owned(),
            start,
            end: end.max(start),
        })
    }

    /// What the span is about. The name of a call to a model holds the model's, which tells calls to one from calls to
    /// another, and not calls from everything else. Source: OpenTelemetry semantic conventions, GenAI spans (`gen_ai.system`
    /// before 1.37).
    fn phase(&self) -> &str {
        const MARKS: [&str; 3] = ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system"];
        let is_marked = || self.attributes.iter().any(|a| MARKS.contains(&a.key.as_str()));
        if self.kind.is_client() && is_marked() {
            ATTEMPT
        } else {
            &self.name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"resourceSpans":[{"resource":{},"scopeSpans":[{"spans":[
        {"traceId":"62726F776E6F75740000000000000011","spanId":"1","name":"wait.pool",
         "startTimeUnixNano":"5000000","endTimeUnixNano":"7000000","attributes":[]},
        {"traceId":"00000000000000000000000000000011","spanId":"2","name":"startup",
         "startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}"#;

    #[test]
    fn spans_of_our_traces_are_joined_to_their_request_and_others_are_left_out() {
        let collector = Collector::default();
        assert_eq!(collector.take(EXPORT.as_bytes()), StatusCode::OK);
        let rows = collector.rows(4_000);
        let expected = SpanRow {
            request: 16,
            name: "wait.pool".into(),
            start: Micros(1_000),
            end: Micros(3_000),
        };
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn a_call_to_a_model_is_an_attempt_whatever_it_is_called() {
        let span = |name: &str, kind: &str, key: &str| {
            let text = format!(
                r#"{{"traceId":"62726F776E6F75740000000000000011","name":"{name}","kind":{kind},
                "startTimeUnixNano":"1","endTimeUnixNano":"2","attributes":[{{"key":"{key}","value":{{}}}}]}}"#
            );
            serde_json::from_str::<Span>(&text).expect("a span").phase().to_owned()
        };
        assert_eq!(span("chat gpt-4o", "3", "gen_ai.operation.name"), ATTEMPT);
        assert_eq!(span("openai.chat", r#""SPAN_KIND_CLIENT""#, "gen_ai.system"), ATTEMPT);
        // An agent's own span wraps its calls; a call to something else is no attempt.
        assert_eq!(span("invoke_agent x", "1", "gen_ai.operation.name"), "invoke_agent x");
        assert_eq!(span("GET /search", "3", "http.request.method"), "GET /search");
    }

    #[test]
    fn an_unreadable_export_is_refused_and_counted() {
        let collector = Collector::default();
        assert_eq!(collector.take(b"not json"), StatusCode::BAD_REQUEST);
        assert_eq!(collector.unreadable(), 1);
    }
}
