//! Gemini `generateContent` and `streamGenerateContent`, as on the wire in 2026.
//!
//! Left out: several candidates, safety ratings, and the white space that the real endpoint puts into its JSON. An error
//! before an array stream begins is a bare object, where the real endpoint wraps it into an array.

mod answer;
mod error;
mod headers;
mod request;

use brownout_scenario::plan::ModelPlan;
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use super::{Answer, Call, ChatRequest, Delivery, Described, Frames, Problem, Route, Wire};

/// The format.
#[derive(Debug)]
pub(crate) struct Gemini;

/// Both versions of the API have the same routes here.
const MODELS: [&str; 2] = ["/v1beta/models", "/v1/models"];
const WHOLE: &str = "generateContent";
const STREAM: &str = "streamGenerateContent";

/// The bound that the real endpoint names when it refuses.
const MAX_BODY: usize = 20_971_520;

/// What a model reads where the plan gives it no window.
const INPUT_TOKEN_LIMIT: u64 = 1_048_576;
const OUTPUT_TOKEN_LIMIT: u64 = 65_536;

impl Wire for Gemini {
    fn route<'a>(&self, method: &Method, path: &'a str) -> Route<'a> {
        let (route, needs) = match resource(path) {
            Some("") => (Route::Models, Method::GET),
            Some(name) => match name.strip_prefix('/').unwrap_or_default().rsplit_once(':') {
                Some((model, WHOLE | STREAM)) if is_name(model) => (Route::Chat, Method::POST),
                Some(_) => return Route::Unknown,
                None => match name.strip_prefix('/') {
                    Some(model) if is_name(model) => (Route::Model(model), Method::GET),
                    _ => return Route::Unknown,
                },
            },
            None => return Route::Unknown,
        };
        if *method == needs { route } else { Route::WrongMethod }
    }

    fn key<'a>(&self, call: &Call<'a>) -> Option<&'a str> {
        let key = call.header("x-goog-api-key").or_else(|| call.parameter("key"))?.trim();
        (!key.is_empty()).then_some(key)
    }

    fn needs_key(&self) -> bool {
        true
    }

    fn max_body(&self) -> usize {
        MAX_BODY
    }

    fn read(&self, call: &Call<'_>, body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
        let target = resource(call.path).and_then(|name| name.strip_prefix('/')?.rsplit_once(':'));
        let (model, verb) = target.unwrap_or_default();
        let delivery = match (verb, call.parameter("alt")) {
            (STREAM, Some("sse")) => Delivery::Events,
            (STREAM, _) => Delivery::Array,
            _ => Delivery::Whole,
        };
        request::read(model, delivery, body)
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
        Box::new(answer::Chunks::new(answer))
    }

    fn error(&self, problem: &Problem<'_>) -> (StatusCode, Vec<u8>) {
        error::error(problem)
    }

    fn headers(&self, told: &Described<'_>) -> HeaderMap {
        headers::headers(told)
    }
}

/// What follows the collection of models in a path: nothing, or a slash and a name.
fn resource(path: &str) -> Option<&str> {
    MODELS.iter().find_map(|models| path.strip_prefix(models))
}

/// Whether `text` can be the name of a model.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('/')
}

fn model(served: &ModelPlan) -> serde_json::Value {
    json!({
        "name": format!("models/{}", served.name),
        "version": "001",
        "displayName": served.name,
        "description": "A simulated model.",
        "inputTokenLimit": served.context_window.unwrap_or(INPUT_TOKEN_LIMIT),
        "outputTokenLimit": OUTPUT_TOKEN_LIMIT,
        "supportedGenerationMethods": [WHOLE],
        "temperature": 1,
        "topP": 0.95,
        "topK": 64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::plan::Price;
    use brownout_scenario::units::Picodollars;

    fn call<'a>(path: &'a str, query: &'a str, headers: &'a HeaderMap) -> Call<'a> {
        Call {
            method: &Method::POST,
            path,
            query,
            headers,
            body: None,
        }
    }

    #[test]
    fn paths_and_methods_are_told_apart() {
        for (method, path, route) in [
            (
                Method::POST,
                "/v1beta/models/gemini-2.5-flash:generateContent",
                Route::Chat,
            ),
            (
                Method::POST,
                "/v1/models/gemini-2.5-flash:streamGenerateContent",
                Route::Chat,
            ),
            (Method::GET, "/v1beta/models/m:generateContent", Route::WrongMethod),
            (Method::POST, "/v1beta/models/m:countTokens", Route::Unknown),
            (Method::POST, "/v1beta/models/:generateContent", Route::Unknown),
            (Method::GET, "/v1beta/models", Route::Models),
            (Method::POST, "/v1beta/models", Route::WrongMethod),
            (
                Method::GET,
                "/v1/models/gemini-2.5-flash",
                Route::Model("gemini-2.5-flash"),
            ),
            (Method::DELETE, "/v1/models/gemini-2.5-flash", Route::WrongMethod),
            (Method::GET, "/v1beta/models/", Route::Unknown),
            (Method::GET, "/v1beta/models/a/b", Route::Unknown),
            (Method::GET, "/v1beta/modelsof", Route::Unknown),
            (Method::POST, "/v1beta/modelsof:generateContent", Route::Unknown),
            (Method::POST, "/v2/models/m:generateContent", Route::Unknown),
        ] {
            assert_eq!(Gemini.route(&method, path), route, "{method} {path}");
        }
    }

    #[test]
    fn path_and_query_name_the_model_and_the_delivery() {
        let read = |path: &str, query: &str| {
            let body = br#"{"contents":[{"parts":[{"text":"x"}]}]}"#;
            let request = Gemini.read(&call(path, query, &HeaderMap::new()), body).unwrap();
            (request.model, request.delivery)
        };
        let stream = "/v1beta/models/gemini-2.5-pro:streamGenerateContent";
        let model = || "gemini-2.5-pro".to_owned();
        assert_eq!(read(stream, "key=a&alt=sse"), (model(), Delivery::Events));
        assert_eq!(read(stream, ""), (model(), Delivery::Array));
        let whole = "/v1/models/gemini-2.5-pro:generateContent";
        assert_eq!(read(whole, "alt=sse"), (model(), Delivery::Whole));
    }

    #[test]
    fn a_key_is_a_header_or_a_parameter() {
        let mut headers = HeaderMap::new();
        assert_eq!(Gemini.key(&call("/", "alt=sse&key=k-1", &headers)), Some("k-1"));
        assert_eq!(Gemini.key(&call("/", "alt=sse&key=", &headers)), None);
        headers.insert("x-goog-api-key", "k-2".parse().unwrap());
        assert_eq!(Gemini.key(&call("/", "key=k-1", &headers)), Some("k-2"));
        headers.clear();
        headers.insert("authorization", "Bearer k-3".parse().unwrap());
        assert_eq!(Gemini.key(&call("/", "", &headers)), None);
    }

    #[test]
    fn a_listed_model_tells_its_window() {
        let free = Price {
            prompt: Picodollars(0),
            cached: Picodollars(0),
            cache_write: Picodollars(0),
            completion: Picodollars(0),
            per_call: Picodollars(0),
        };
        let served = ModelPlan {
            name: "gemini-2.5-flash".to_owned(),
            family: "flash".to_owned(),
            context_window: Some(9_000),
            price: free,
        };
        let list: serde_json::Value = serde_json::from_slice(&Gemini.models(&[served])).unwrap();
        assert_eq!(list["models"][0]["name"], "models/gemini-2.5-flash");
        assert_eq!(list["models"][0]["inputTokenLimit"], 9_000);
    }
}
