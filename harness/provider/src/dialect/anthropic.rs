//! Anthropic Messages, as on the wire in 2026.
//!
//! Left out: counting tokens, batches, server tools, thinking blocks (only their tokens show), stop sequences, the split
//! of cache writes by lifetime, the check of `anthropic-version` on lists of models. Known difference: an error body
//! carries no `request_id`; the header `request-id` does.

mod answer;
mod error;
mod headers;
mod request;

use brownout_scenario::plan::ModelPlan;
use brownout_scenario::units::{Micros, PromptId};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

use super::{Answer, Call, ChatRequest, Described, Frames, Problem, Route, Wire};

/// The format.
#[derive(Debug)]
pub(crate) struct Anthropic;

const MESSAGES: &str = "/v1/messages";
const MODELS: &str = "/v1/models";

/// The documented bound of the Messages endpoint.
const MAX_BODY: usize = 32 << 20;

impl Wire for Anthropic {
    fn route<'a>(&self, method: &Method, path: &'a str) -> Route<'a> {
        let model = path.strip_prefix(MODELS).and_then(|rest| rest.strip_prefix('/'));
        match (path, model, method) {
            (MESSAGES, _, &Method::POST) => Route::Chat,
            (MODELS, _, &Method::GET) => Route::Models,
            (_, Some(""), _) => Route::Unknown,
            (_, Some(model), &Method::GET) => Route::Model(model),
            (MESSAGES | MODELS, _, _) | (_, Some(_), _) => Route::WrongMethod,
            _ => Route::Unknown,
        }
    }

    fn key<'a>(&self, call: &Call<'a>) -> Option<&'a str> {
        let key = call.header("x-api-key").map(str::trim).filter(|key| !key.is_empty());
        key.or_else(|| super::bearer(call))
    }

    fn needs_key(&self) -> bool {
        true
    }

    fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn read(&self, call: &Call<'_>, body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
        request::read(call, body)
    }

    fn models(&self, served: &[ModelPlan]) -> Vec<u8> {
        let page = Page {
            data: served.iter().map(Model::of).collect(),
            has_more: false,
            first_id: served.first().map(|model| model.name.as_str()),
            last_id: served.last().map(|model| model.name.as_str()),
        };
        json(&page).into_bytes()
    }

    fn model(&self, served: &ModelPlan) -> Vec<u8> {
        json(&Model::of(served)).into_bytes()
    }

    fn whole(&self, answer: &Answer) -> Vec<u8> {
        answer::whole(answer)
    }

    fn frames(&self, answer: Answer) -> Box<dyn Frames> {
        Box::new(answer::Events::new(answer))
    }

    fn error(&self, problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
        error::error(problem)
    }

    fn headers(&self, told: &Described<'_>) -> HeaderMap {
        headers::headers(told)
    }
}

#[derive(Serialize)]
struct Page<'a> {
    data: Vec<Model<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Model<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
    lifecycle: &'static str,
    max_input_tokens: Option<u64>,
}

impl<'a> Model<'a> {
    fn of(served: &'a ModelPlan) -> Self {
        Self {
            kind: "model",
            id: &served.name,
            display_name: &served.name,
            created_at: headers::date(Micros::ZERO),
            lifecycle: "active",
            max_input_tokens: served.context_window,
        }
    }
}

/// An identifier of the real length that says whose it is.
fn id(prefix: &str, prompt: PromptId, attempt: u32) -> String {
    format!("{prefix}_{:016x}{attempt:08x}", prompt.0)
}

/// JSON of our own plain data, which always has one.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::plan::Price;
    use brownout_scenario::units::Picodollars;

    fn plan(name: &str, context_window: Option<u64>) -> ModelPlan {
        ModelPlan {
            name: name.to_owned(),
            family: name.to_owned(),
            context_window,
            price: Price {
                prompt: Picodollars(1),
                cached: Picodollars(1),
                cache_write: Picodollars(1),
                completion: Picodollars(1),
                per_call: Picodollars(0),
            },
        }
    }

    #[test]
    fn paths_and_methods_are_told_apart() {
        for (method, path, route) in [
            (Method::POST, MESSAGES, Route::Chat),
            (Method::GET, MESSAGES, Route::WrongMethod),
            (Method::GET, MODELS, Route::Models),
            (Method::POST, MODELS, Route::WrongMethod),
            (Method::GET, "/v1/models/claude-a", Route::Model("claude-a")),
            (Method::DELETE, "/v1/models/claude-a", Route::WrongMethod),
            (Method::GET, "/v1/models/", Route::Unknown),
            (Method::GET, "/v1/modelsof", Route::Unknown),
            (Method::POST, "/v1/messages/batches", Route::Unknown),
        ] {
            assert_eq!(Anthropic.route(&method, path), route, "{method} {path}");
        }
    }

    #[test]
    fn a_key_is_in_its_own_header_or_a_bearer_token() {
        let of = |given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, value.parse().unwrap());
            }
            let call = Call {
                method: &Method::POST,
                path: MESSAGES,
                query: "",
                headers: &headers,
                body: None,
            };
            Anthropic.key(&call).map(str::to_owned)
        };
        assert_eq!(of(&[("x-api-key", "a")]).as_deref(), Some("a"));
        assert_eq!(of(&[("authorization", "Bearer b")]).as_deref(), Some("b"));
        assert_eq!(
            of(&[("x-api-key", "a"), ("authorization", "Bearer b")]).as_deref(),
            Some("a")
        );
        assert_eq!(
            of(&[("x-api-key", " "), ("authorization", "Bearer b")]).as_deref(),
            Some("b")
        );
        assert_eq!(of(&[("authorization", "Basic b")]), None);
    }

    #[test]
    fn the_list_of_models_is_one_page() {
        let one = concat!(
            r#"{"type":"model","id":"claude-a","display_name":"claude-a","created_at":"2023-11-14T22:13:20Z","#,
            r#""lifecycle":"active","max_input_tokens":200000}"#
        );
        let two = one.replace("claude-a", "claude-b").replace("200000", "null");
        let served = [plan("claude-a", Some(200_000)), plan("claude-b", None)];
        assert_eq!(String::from_utf8(Anthropic.model(&served[0])).unwrap(), one);
        assert_eq!(
            String::from_utf8(Anthropic.models(&served)).unwrap(),
            format!(r#"{{"data":[{one},{two}],"has_more":false,"first_id":"claude-a","last_id":"claude-b"}}"#)
        );
    }
}
