//! OpenAI Chat Completions, as on the wire in 2026.
//!
//! Left out: several choices, log probabilities, audio, and the `obfuscation` padding of streamed frames, which callers
//! may not rely on.

mod answer;
pub(crate) mod embeddings;
mod error;
mod headers;
mod request;

use brownout_scenario::plan::ModelPlan;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::{Answer, Call, ChatRequest, Described, EPOCH, Frames, Problem, Route, Wire};

/// The format.
#[derive(Debug)]
pub(crate) struct OpenAi;

const CHAT: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const MODELS: &str = "/v1/models";

/// OpenAI states no bound for this endpoint; this one is ours.
const MAX_BODY: usize = 32 << 20;

impl Wire for OpenAi {
    fn route<'a>(&self, method: &Method, path: &'a str) -> Route<'a> {
        let model = path.strip_prefix(MODELS).and_then(|rest| rest.strip_prefix('/'));
        match (path, model, method) {
            (CHAT, _, &Method::POST) => Route::Chat,
            (EMBEDDINGS, _, &Method::POST) => Route::Embeddings,
            (MODELS, _, &Method::GET) => Route::Models,
            (_, Some(model), &Method::GET) if !model.is_empty() => Route::Model(model),
            (CHAT | EMBEDDINGS | MODELS, _, _) | (_, Some(_), _) => Route::WrongMethod,
            _ => Route::Unknown,
        }
    }

    fn key<'a>(&self, call: &Call<'a>) -> Option<&'a str> {
        super::bearer(call)
    }

    fn needs_key(&self) -> bool {
        true
    }

    fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn read(&self, _: &Call<'_>, body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
        request::read(body)
    }

    fn models(&self, served: &[ModelPlan]) -> Vec<u8> {
        let data: Vec<_> = served.iter().map(model).collect();
        json!({"object": "list", "data": data}).to_string().into_bytes()
    }

    fn model(&self, served: &ModelPlan) -> Vec<u8> {
        model(served).to_string().into_bytes()
    }

    fn whole(&self, answer: &Answer) -> Vec<u8> {
        answer::whole(answer)
    }

    fn frames(&self, answer: Answer) -> Box<dyn Frames> {
        Box::new(answer::Chunks::new(answer))
    }

    fn error(&self, problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
        error::error(problem)
    }

    fn headers(&self, told: &Described<'_>) -> HeaderMap {
        headers::headers(told)
    }
}

fn model(served: &ModelPlan) -> serde_json::Value {
    json!({"id": served.name, "object": "model", "created": EPOCH, "owned_by": "brownout"})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_methods_are_told_apart() {
        for (method, path, route) in [
            (Method::POST, CHAT, Route::Chat),
            (Method::GET, CHAT, Route::WrongMethod),
            (Method::POST, EMBEDDINGS, Route::Embeddings),
            (Method::GET, EMBEDDINGS, Route::WrongMethod),
            (Method::GET, MODELS, Route::Models),
            (Method::GET, "/v1/models/gpt-4o", Route::Model("gpt-4o")),
            (Method::DELETE, "/v1/models/gpt-4o", Route::WrongMethod),
            (Method::GET, "/v1/models/", Route::WrongMethod),
            (Method::GET, "/v1/modelsof", Route::Unknown),
            (Method::POST, "/v2", Route::Unknown),
        ] {
            assert_eq!(OpenAi.route(&method, path), route, "{method} {path}");
        }
    }
}
