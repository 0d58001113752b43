//! The reference API as a client speaks it: requests out, answers in. Written apart from the service on purpose, so that
//! one mistake cannot cancel itself on both sides.

use brownout_scenario::observe::Usage;
use brownout_scenario::plan::Endpoint;
use brownout_scenario::schedule::PlannedRequest;
use brownout_scenario::tracer;
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;
use serde::Deserialize;

use crate::sse::Event;

/// High half of every trace id: says whose traces these are. The low half is the prompt id.
const TRACE_ID_HIGH: u64 = 0x6272_6f77_6e6f_7574;

/// The request that opens an exchange.
pub(crate) fn ask(
    authority: &str,
    endpoint: Endpoint,
    planned: &PlannedRequest,
    max_tokens: u64,
) -> Request<Full<Bytes>> {
    let path = match endpoint {
        Endpoint::Chat => "/chat",
        Endpoint::Stream => "/chat/stream",
        Endpoint::Jobs => "/jobs",
        Endpoint::Completions | Endpoint::CompletionsStream => "/v1/chat/completions",
    };
    let prompt = tracer::prompt_text(planned.prompt, planned.prompt_tokens);
    let body = serde_json::json!({
        "messages": [{ "role": "user", "content": prompt }],
        "max_tokens": max_tokens,
    });
    request(authority, Method::POST, path, planned, body.to_string())
}

/// The request that asks for a job.
pub(crate) fn poll(authority: &str, job: &str, planned: &PlannedRequest) -> Request<Full<Bytes>> {
    request(authority, Method::GET, &format!("/jobs/{job}"), planned, String::new())
}

fn request(
    authority: &str,
    method: Method,
    path: &str,
    planned: &PlannedRequest,
    body: String,
) -> Request<Full<Bytes>> {
    let prompt = planned.prompt.0;
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
    let headers = request.headers_mut();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = value.try_into() {
            headers.insert(name, value);
        }
    };
    set("host", authority.to_owned());
    set("content-type", "application/json".to_owned());
    set("x-request-id", format!("prompt-{prompt}"));
    set(
        "traceparent",
        format!("00-{TRACE_ID_HIGH:016x}{prompt:016x}-{prompt:016x}-01"),
    );
    request
}

/// A whole answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) content: String,
    pub(crate) usage: Option<UsageBody>,
}

/// Usage as the service writes it.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl From<UsageBody> for Usage {
    fn from(body: UsageBody) -> Self {
        Self {
            prompt_tokens: body.prompt_tokens,
            completion_tokens: body.completion_tokens,
        }
    }
}

/// A job that was taken on.
#[derive(Debug, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) id: String,
}

/// A job as it stands.
#[derive(Debug, Deserialize)]
pub(crate) struct Job {
    status: String,
    result: Option<Answer>,
}

/// What a poll came to.
#[derive(Debug)]
pub(crate) enum JobState {
    Open,
    Succeeded(Answer),
    Failed,
}

impl Job {
    pub(crate) fn state(self) -> JobState {
        match (self.status.as_str(), self.result) {
            ("succeeded", Some(answer)) => JobState::Succeeded(answer),
            ("queued" | "running", _) => JobState::Open,
            _ => JobState::Failed,
        }
    }
}

/// What an event of `/chat/stream` means.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    Delta(String),
    Usage(Usage),
    Error,
    Done,
    Other,
    Malformed,
}

#[derive(Deserialize)]
struct Delta {
    text: String,
}

/// Reads an event of `/chat/stream`.
pub(crate) fn stream_event(event: &Event) -> StreamEvent {
    match event.name.as_str() {
        "delta" => {
            serde_json::from_str::<Delta>(&event.data).map_or(StreamEvent::Malformed, |d| StreamEvent::Delta(d.text))
        }
        "usage" => serde_json::from_str::<UsageBody>(&event.data)
            .map_or(StreamEvent::Malformed, |u| StreamEvent::Usage(u.into())),
        "error" => StreamEvent::Error,
        "done" => StreamEvent::Done,
        _ => StreamEvent::Other,
    }
}
