//! Reads a chat request.
//!
//! Takes what the simulator needs and ignores the rest, as the real endpoint ignores nothing: unknown fields pass.

use brownout_scenario::tracer;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::error::Category;

use crate::dialect::{ChatRequest, InvalidRequest, Problem};

#[derive(Deserialize)]
struct Body {
    model: Option<String>,
    #[serde(default)]
    messages: Vec<Message>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => parts
                .iter()
                .map(|part| part.text.as_str())
                .collect::<Vec<_>>()
                .join(" "),
        }
    }
}

/// The API key of a request.
pub(crate) fn key(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Reads the body of a chat request.
pub(crate) fn read(body: &[u8]) -> Result<ChatRequest, Problem<'static>> {
    let body: Body = serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid(format!("Invalid request body: {error}"), None, None),
        _ => Problem::NotJson,
    })?;
    let Some(model) = body.model else {
        return Err(invalid("you must provide a model parameter".to_owned(), None, None));
    };
    let Some(last) = body
        .messages
        .iter()
        .rfind(|m| m.role == "user")
        .or(body.messages.last())
    else {
        return Err(invalid(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
                .to_owned(),
            Some("messages"),
            Some("empty_array"),
        ));
    };
    let max_tokens = match body.max_completion_tokens {
        Some(limit) => positive("max_completion_tokens", Some(limit))?,
        None => positive("max_tokens", body.max_tokens)?,
    };
    Ok(ChatRequest {
        model,
        prompt: tracer::prompt_of(&last.text()),
        prompt_tokens: body.messages.iter().map(|m| tracer::prompt_length(&m.text())).sum(),
        max_tokens,
        stream: body.stream.unwrap_or(false),
        usage_frame: body.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
    })
}

fn positive(param: &'static str, limit: Option<i64>) -> Result<Option<u64>, Problem<'static>> {
    match limit {
        Some(limit) if limit < 1 => Err(invalid(
            format!("Invalid '{param}': integer below minimum value. Expected a value >= 1, but got {limit} instead."),
            Some(param),
            Some("integer_below_min_value"),
        )),
        limit => Ok(limit.map(i64::unsigned_abs)),
    }
}

fn invalid(message: String, param: Option<&'static str>, code: Option<&'static str>) -> Problem<'static> {
    Problem::Invalid(InvalidRequest { message, param, code })
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::units::PromptId;

    #[test]
    fn the_last_user_message_names_the_prompt_and_all_messages_count() {
        let request = read(
            br#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens":9,"temperature":1,
            "messages":[{"role":"system","content":"be brief"},{"role":"user","content":"[prompt 1] a"},
            {"role":"assistant","content":null},
            {"role":"user","content":[{"type":"text","text":"[prompt 17]"},{"type":"text","text":"w2 w3"}]},
            {"role":"assistant","content":"so far"}]}"#,
        )
        .unwrap();
        assert_eq!(
            request,
            ChatRequest {
                model: "m".to_owned(),
                prompt: PromptId(17),
                prompt_tokens: 2 + 3 + 4 + 2,
                max_tokens: Some(9),
                stream: true,
                usage_frame: true,
            }
        );
    }

    #[test]
    fn the_newer_name_of_the_limit_wins() {
        let max = |limits: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}]{limits}}}"#);
            read(body.as_bytes()).map(|r| r.max_tokens)
        };
        assert_eq!(max(""), Ok(None));
        assert_eq!(max(r#","max_tokens":5,"max_completion_tokens":7"#), Ok(Some(7)));
        assert!(matches!(max(r#","max_tokens":0"#), Err(Problem::Invalid(_))));
    }

    #[test]
    fn what_is_not_json_and_what_is_no_chat_request_are_told_apart() {
        assert_eq!(read(b"{\"model\":"), Err(Problem::NotJson));
        assert!(matches!(read(br#"{"model":3}"#), Err(Problem::Invalid(_))));
        assert!(matches!(
            read(br#"{"model":"m","messages":[]}"#),
            Err(Problem::Invalid(_))
        ));
        assert!(matches!(read(br#"{"messages":[]}"#), Err(Problem::Invalid(_))));
    }

    #[test]
    fn a_key_is_a_bearer_token() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            key(&headers).map(str::to_owned)
        };
        assert_eq!(of("Bearer sk-1").as_deref(), Some("sk-1"));
        assert_eq!(of("bearer sk-1").as_deref(), Some("sk-1"));
        assert_eq!(of("Bearer "), None);
        assert_eq!(of("Basic abc"), None);
    }
}
