//! OpenAI Chat Completions, as on the wire in 2026.
//!
//! Left out: tools, several choices, log probabilities, and the `obfuscation` padding of streamed frames, which callers
//! may not rely on.

mod answer;
mod error;
mod headers;
mod request;

use http::Method;

use super::Route;

pub(crate) use answer::{Frames, whole};
pub(crate) use error::error;
pub(crate) use headers::{Described, headers};
pub(crate) use request::{key, read};

/// Media type of a unary answer.
pub(crate) const JSON: &str = "application/json";

/// Media type of a stream.
pub(crate) const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";

/// Second 0 of a run, in `created`: the run clock tells no date, and a made-up one keeps answers reproducible.
const EPOCH: u64 = 1_700_000_000;

const CHAT: &str = "/v1/chat/completions";
const MODELS: &str = "/v1/models";

/// What a path and a method ask for.
pub(crate) fn route(method: &Method, path: &str) -> Route {
    match (path, method) {
        (CHAT, &Method::POST) => Route::Chat,
        (MODELS, &Method::GET) => Route::Models,
        (CHAT | MODELS, _) => Route::WrongMethod,
        _ => Route::Unknown,
    }
}

/// The body of `GET /v1/models`: the one model there is.
pub(crate) fn models(model: &str) -> Vec<u8> {
    serde_json::json!({
        "object": "list",
        "data": [{"id": model, "object": "model", "created": EPOCH, "owned_by": "brownout"}],
    })
    .to_string()
    .into_bytes()
}
