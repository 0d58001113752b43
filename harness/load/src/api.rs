//! The requests of a client: to the reference API, and to any that is compatible with OpenAI's.
//!
//! Written apart from the service on purpose, so that one mistake cannot cancel itself on both sides. What comes back is
//! `answer`'s part.

use brownout_scenario::plan::{ClientPlan, Endpoint, LoadPlan, Output};
use brownout_scenario::schedule::PlannedRequest;
use brownout_scenario::{conversation, structured, trace};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;
use serde_json::{Value, json};

/// The model that clients of OpenAI-compatible routes ask for: which one it is, is the service's to know.
const MODEL: &str = "default";

/// Who asks whom.
#[derive(Clone, Copy)]
pub(crate) struct Sender<'a> {
    pub(crate) authority: &'a str,
    pub(crate) planned: &'a PlannedRequest,
    /// The kind of client; `None` in a load without kinds.
    pub(crate) kind: Option<&'a ClientPlan>,
}

impl Sender<'_> {
    /// The request that opens an exchange.
    pub(crate) fn ask(self, load: &LoadPlan) -> Request<Full<Bytes>> {
        let mut body = json!({
            "messages": self.messages(),
            "max_tokens": load.max_tokens,
        });
        let endpoint = load.endpoint;
        let task = self.kind.and_then(|kind| kind.task.as_deref());
        if let Some(task) = task.filter(|_| !endpoint.is_openai()) {
            body["task"] = json!(task);
        }
        if load.output == Output::Json {
            body["response_format"] = json!({
                "type": "json_schema",
                "json_schema": { "name": structured::NAME, "strict": true, "schema": structured::schema() },
            });
        }
        let path = match endpoint {
            Endpoint::Chat => "/chat",
            Endpoint::Stream => "/chat/stream",
            Endpoint::Jobs => "/jobs",
            Endpoint::Embeddings => {
                body = json!({ "model": MODEL, "input": self.planned.text(), "encoding_format": "float" });
                "/v1/embeddings"
            }
            Endpoint::Completions | Endpoint::CompletionsStream => {
                body["model"] = json!(MODEL);
                "/v1/chat/completions"
            }
        };
        if endpoint == Endpoint::CompletionsStream {
            body["stream"] = json!(true);
            body["stream_options"] = json!({ "include_usage": true });
        }
        let mut request = self.request(Method::POST, path, body.to_string());
        if let Some(task) = task.filter(|_| endpoint.is_openai() && endpoint != Endpoint::Embeddings) {
            set(&mut request, "x-task", task.to_owned());
        }
        if self.kind.is_some_and(|kind| kind.idempotent) {
            let key = format!("request-{}", trace::number(self.planned.first_index()));
            set(&mut request, "idempotency-key", key);
        }
        request
    }

    /// The request that asks for a job.
    pub(crate) fn poll(self, job: &str) -> Request<Full<Bytes>> {
        self.request(Method::GET, &format!("/jobs/{job}"), String::new())
    }

    /// The request that listens to a job.
    pub(crate) fn listen(self, job: &str) -> Request<Full<Bytes>> {
        self.request(Method::GET, &format!("/jobs/{job}/events"), String::new())
    }

    /// What was said before, then the question.
    fn messages(self) -> Vec<Value> {
        let planned = self.planned;
        let earlier = (0..).zip(&planned.history).map(|(place, tokens)| {
            let (speaker, text) = conversation::turn(planned.prompt, place, *tokens);
            json!({ "role": speaker.role(), "content": text })
        });
        let question = json!({ "role": "user", "content": planned.text() });
        earlier.chain([question]).collect()
    }

    /// What the request is known by, whatever prompt it carries.
    fn id(self) -> String {
        format!("request-{}", trace::number(self.planned.index))
    }

    fn request(self, method: Method, path: &str, body: String) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
        set(&mut request, "host", self.authority.to_owned());
        set(&mut request, "content-type", "application/json".to_owned());
        set(&mut request, "x-request-id", self.id());
        set(&mut request, "traceparent", trace::traceparent(self.planned.index));
        if let Some(key) = self.kind.and_then(|kind| kind.key.as_deref()) {
            set(&mut request, "authorization", format!("Bearer {key}"));
        }
        request
    }
}

fn set(request: &mut Request<Full<Bytes>>, name: &'static str, value: String) {
    if let Ok(value) = value.try_into() {
        request.headers_mut().insert(name, value);
    }
}
