//! What a chat looks like from outside.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answering::{Answer, Ask};
use crate::features::format::ResponseFormat;
use crate::routing::is_task;
use crate::upstream::{Message, Options, Prompt, Usage};

/// Turns of a conversation.
pub(crate) const MESSAGES: usize = 256;
/// Tokens that can be asked for.
pub(crate) const TOKENS: u32 = 128_000;
/// Longest name of a session, in bytes.
pub(crate) const SESSION: usize = 128;

/// A conversation, and how its answer is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "messages": [{ "role": "user", "content": "What is a brownout?" }], "max_tokens": 200 }))]
pub(crate) struct ChatRequest {
    /// The conversation so far, its last turn being the question.
    #[garde(length(min = 1, max = MESSAGES), dive)]
    #[schema(min_items = 1, max_items = 256)]
    pub(crate) messages: Vec<Message>,
    /// Longest answer, in tokens. Absent: as long as the model likes.
    #[garde(range(min = 1, max = TOKENS))]
    #[schema(minimum = 1, maximum = 128_000)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<u32>,
    /// Whose usage the answer is counted under.
    #[garde(length(min = 1, max = SESSION), inner(custom(printable)))]
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<String>,
    /// What it is for, where the service knows models that are meant for it: `code`, `summary`.
    #[garde(inner(custom(names_task)))]
    #[schema(min_length = 1, max_length = 32, pattern = r"^[0-9A-Za-z._-]+$")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// What the answer is to look like. Absent: text.
    #[garde(dive)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_format: Option<ResponseFormat>,
}

/// A task has a short name.
pub(crate) fn names_task<C>(word: &str, _: &C) -> garde::Result {
    if is_task(word) {
        return Ok(());
    }
    Err(garde::Error::new(
        "is no word for a task: write 1 to 32 letters, digits, dots, hyphens or underscores",
    ))
}

/// Control characters are kept out: not every database stores all of them.
pub(crate) fn printable<C>(text: &str, _: &C) -> garde::Result {
    if text.chars().any(char::is_control) {
        return Err(garde::Error::new("has control characters in it"));
    }
    Ok(())
}

impl From<ChatRequest> for Ask {
    fn from(request: ChatRequest) -> Self {
        Self {
            prompt: Prompt {
                messages: request.messages,
                max_tokens: request.max_tokens,
                options: Options {
                    response_format: request.response_format.as_ref().and_then(ResponseFormat::on_the_wire),
                    ..Options::default()
                },
            },
            named: None,
            task: request.task,
            session: request.session_id,
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Validate, ToSchema)]
pub(crate) struct ChatResponse {
    #[garde(skip)]
    pub(crate) id: String,
    #[garde(skip)]
    pub(crate) content: String,
    /// Why the model stopped, in the provider's word: `stop`, `length`, `content_filter`.
    #[garde(length(min = 1, max = 64))]
    pub(crate) finish_reason: String,
    /// As the provider reports it; `null` if it does not.
    #[garde(skip)]
    #[schema(required = true)]
    pub(crate) usage: Option<Usage>,
    /// The model that answered, in the provider's word.
    #[garde(length(min = 1, max = 256))]
    pub(crate) model: String,
    #[garde(skip)]
    pub(crate) provider: String,
}

impl From<Answer> for ChatResponse {
    fn from(answer: Answer) -> Self {
        let Answer { content, usage, done } = answer;
        Self {
            id: done.id,
            content,
            finish_reason: done.finish_reason,
            usage,
            model: done.model,
            provider: done.provider,
        }
    }
}
