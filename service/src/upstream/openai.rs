//! OpenAI Chat Completions on the wire: requests out, answers and chunks in.
//!
//! Bytes and values only: no sending, no waiting, no judging. Source: the OpenAI API reference, "Chat Completions".

use std::borrow::Cow;

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::call::Prompt;

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
pub struct Message {
    /// Who speaks.
    #[garde(skip)]
    pub role: Role,
    /// What is said.
    #[garde(length(min = 1))]
    #[schema(min_length = 1)]
    pub content: String,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Whoever set the conversation up.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// Tokens, as the provider counts and bills them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u64,
    /// Of the completion.
    pub completion_tokens: u64,
}

/// What else a client may ask of the model. Passed on as it is; absent is the provider's default.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stop: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_format: Option<Value>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The text.
    pub content: String,
    /// Why the model stopped, in the provider's word: `stop`, `length`, `content_filter`.
    pub finish_reason: String,
    /// What it cost, if the provider said so.
    pub usage: Option<Usage>,
    /// The model that answered.
    pub model: String,
}

/// What one chunk of a stream brings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Chunk {
    pub(super) text: String,
    pub(super) finish_reason: Option<String>,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<String>,
    pub(super) is_error: bool,
}

/// The frame that closes a stream.
pub(super) const DONE: &str = "[DONE]";

/// The beginning of an answer that a model is to go on with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning<'a> {
    pub(super) text: &'a str,
    /// Longest rest, in tokens.
    pub(super) max_tokens: Option<u32>,
}

/// The body of a request.
pub(super) fn request_body(model: &str, prompt: &Prompt, stream: bool, begun: Option<Beginning<'_>>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        model: &'a str,
        messages: Vec<Turn<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_tokens: Option<u32>,
        #[serde(flatten)]
        options: &'a Options,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        stream: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        stream_options: Option<StreamOptions>,
    }
    #[derive(Serialize)]
    struct Turn<'a> {
        role: Role,
        content: &'a str,
    }
    #[derive(Serialize)]
    struct StreamOptions {
        include_usage: bool,
    }
    let said = prompt.messages.iter().map(|turn| (turn.role, turn.content.as_str()));
    // A beginning is a last turn of the model's own, which it goes on with.
    let begun_turn = begun.map(|begun| (Role::Assistant, begun.text));
    let body = Body {
        model,
        messages: said
            .chain(begun_turn)
            .map(|(role, content)| Turn { role, content })
            .collect(),
        max_tokens: begun.map_or(prompt.max_tokens, |begun| begun.max_tokens),
        options: &prompt.options,
        stream,
        // Without this a stream does not say what it cost.
        stream_options: stream.then_some(StreamOptions { include_usage: true }),
    };
    serde_json::to_vec(&body).unwrap_or_default()
}

/// Reads a whole answer; `None` if it is none.
pub(super) fn read_completion(body: &[u8]) -> Option<Completion> {
    #[derive(Deserialize)]
    struct Body {
        model: String,
        choices: Vec<Choice>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Choice {
        message: Content,
        finish_reason: String,
    }
    #[derive(Deserialize)]
    struct Content {
        content: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let choice = body.choices.into_iter().next()?;
    Some(Completion {
        content: choice.message.content.unwrap_or_default(),
        finish_reason: choice.finish_reason,
        usage: body.usage,
        model: body.model,
    })
}

/// Reads one chunk of a stream; `None` if it is none. Unknown fields (such as `obfuscation`) are passed over.
pub(super) fn read_chunk(data: &str) -> Option<Chunk> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(default, borrow)]
        choices: Vec<Choice<'a>>,
        usage: Option<Usage>,
        #[serde(borrow)]
        model: Option<Cow<'a, str>>,
        error: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(default, borrow)]
        delta: Delta<'a>,
        #[serde(borrow)]
        finish_reason: Option<Cow<'a, str>>,
    }
    #[derive(Deserialize, Default)]
    struct Delta<'a> {
        #[serde(borrow)]
        content: Option<Cow<'a, str>>,
    }
    let body: Body<'_> = serde_json::from_str(data).ok()?;
    let choice = body.choices.into_iter().next();
    let (delta, finish_reason) = choice.map_or((None, None), |c| (c.delta.content, c.finish_reason));
    Some(Chunk {
        text: delta.unwrap_or_default().into_owned(),
        finish_reason: finish_reason.map(Cow::into_owned),
        usage: body.usage,
        model: body.model.map(Cow::into_owned),
        is_error: body.error.is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_asks_for_its_usage_and_a_whole_answer_does_not() {
        let mut prompt = Prompt {
            messages: vec![Message {
                role: Role::User,
                content: "Hello!".into(),
            }],
            max_tokens: Some(9),
            ..Prompt::default()
        };
        assert_eq!(
            String::from_utf8(request_body("gpt-4o-mini", &prompt, true, None)).unwrap(),
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello!"}],"max_tokens":9,"stream":true,"stream_options":{"include_usage":true}}"#
        );
        prompt.max_tokens = None;
        prompt.options.temperature = Some(0.5);
        assert_eq!(
            String::from_utf8(request_body("gpt-4o-mini", &prompt, false, None)).unwrap(),
            r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello!"}],"temperature":0.5}"#
        );
    }

    #[test]
    fn a_beginning_is_a_last_turn_of_the_model_and_leaves_room_for_the_rest() {
        let prompt = Prompt {
            messages: vec![Message {
                role: Role::User,
                content: "Count!".into(),
            }],
            max_tokens: Some(9),
            ..Prompt::default()
        };
        let begun = Beginning {
            text: "one two",
            max_tokens: Some(7),
        };
        assert_eq!(
            String::from_utf8(request_body("m", &prompt, false, Some(begun))).unwrap(),
            r#"{"model":"m","messages":[{"role":"user","content":"Count!"},{"role":"assistant","content":"one two"}],"max_tokens":7}"#
        );
    }

    #[test]
    fn chunks_are_read_as_the_provider_writes_them() {
        let text = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini","system_fingerprint":"fp","choices":[{"index":0,"delta":{"content":" caf\u00e9\n"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"r4N7"}"#;
        let chunk = read_chunk(text).unwrap();
        assert_eq!((chunk.text.as_str(), chunk.finish_reason), (" café\n", None));
        let end = read_chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#).unwrap();
        assert_eq!((end.text.as_str(), end.finish_reason.as_deref()), ("", Some("stop")));
        let usage =
            read_chunk(r#"{"choices":[],"usage":{"prompt_tokens":13,"completion_tokens":5,"total_tokens":18}}"#);
        assert_eq!(
            usage.unwrap().usage,
            Some(Usage {
                prompt_tokens: 13,
                completion_tokens: 5
            })
        );
        assert!(
            read_chunk(r#"{"error":{"message":"x","type":"server_error"}}"#)
                .unwrap()
                .is_error
        );
        assert_eq!(read_chunk("<html>"), None);
    }

    #[test]
    fn an_answer_without_choices_is_no_answer() {
        assert_eq!(read_completion(b"{}"), None);
        assert_eq!(read_completion(br#"{"model":"m","choices":[]}"#), None);
        assert_eq!(read_completion(b""), None);
    }
}
