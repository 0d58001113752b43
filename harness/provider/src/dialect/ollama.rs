//! Ollama `/api/chat`, as on the wire in 2026.
//!
//! Left out: thinking text, images, `/api/show`, and the loading of a model by a chat without messages, which is
//! refused. Ollama answers unknown paths in plain text; here they are JSON like every other error.

mod answer;
mod error;
mod headers;
mod request;

use brownout_scenario::plan::ModelPlan;
use brownout_scenario::tracer;
use brownout_scenario::units::Micros;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::{Answer, Call, ChatRequest, Described, Frames, Problem, Route, Wire};

/// The format.
#[derive(Debug)]
pub(crate) struct Ollama;

const CHAT: &str = "/api/chat";
const TAGS: &str = "/api/tags";
const VERSION: &str = "/api/version";

/// Ollama states no bound for this endpoint; this one is ours.
const MAX_BODY: usize = 32 << 20;

/// In bytes, that of an 8-billion-parameter model of 4 bits: every model has the same.
const MODEL_SIZE: u64 = 4_920_753_328;

impl Wire for Ollama {
    fn route<'a>(&self, method: &Method, path: &'a str) -> Route<'a> {
        match (path, method) {
            (CHAT, &Method::POST) => Route::Chat,
            (TAGS, &Method::GET) => Route::Models,
            (VERSION, &Method::GET) => Route::Fixed(r#"{"version":"0.13.0"}"#),
            (CHAT | TAGS | VERSION, _) => Route::WrongMethod,
            _ => Route::Unknown,
        }
    }

    fn key<'a>(&self, call: &Call<'a>) -> Option<&'a str> {
        super::bearer(call)
    }

    fn needs_key(&self) -> bool {
        false
    }

    fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn read(&self, _: &Call<'_>, body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
        request::read(body)
    }

    fn models(&self, served: &[ModelPlan]) -> Vec<u8> {
        let models: Vec<_> = served.iter().map(model).collect();
        json!({"models": models}).to_string().into_bytes()
    }

    fn model(&self, served: &ModelPlan) -> Vec<u8> {
        model(served).to_string().into_bytes()
    }

    fn whole(&self, answer: &Answer) -> Vec<u8> {
        answer::whole(answer)
    }

    fn frames(&self, answer: Answer) -> Box<dyn Frames> {
        Box::new(answer::Lines::new(answer))
    }

    fn error(&self, problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
        error::error(problem)
    }

    fn headers(&self, told: &Described<'_>) -> HeaderMap {
        headers::headers(told)
    }
}

fn model(served: &ModelPlan) -> serde_json::Value {
    json!({
        "name": served.name,
        "model": served.name,
        "modified_at": answer::timestamp(Micros::ZERO),
        "size": MODEL_SIZE,
        "digest": format!("{:016x}", tracer::prompt_of(&served.name).0).repeat(4),
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": served.family,
            "families": [served.family],
            "parameter_size": "8.0B",
            "quantization_level": "Q4_K_M",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_are_told_apart() {
        let version = Route::Fixed(r#"{"version":"0.13.0"}"#);
        for (method, path, route) in [
            (Method::POST, CHAT, Route::Chat),
            (Method::GET, CHAT, Route::WrongMethod),
            (Method::GET, TAGS, Route::Models),
            (Method::GET, VERSION, version),
            (Method::POST, VERSION, Route::WrongMethod),
            (Method::POST, "/api/generate", Route::Unknown),
            (Method::GET, "/", Route::Unknown),
        ] {
            assert_eq!(Ollama.route(&method, path), route, "{method} {path}");
        }
    }
}
