//! Answers of Chat Completions. Source: the OpenAI API reference, "Chat Completions", "Models".

use serde::Serialize;
use utoipa::ToSchema;

use crate::features::chat::ChatResponse;
use crate::upstream::{Role, Usage};

/// A whole answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Completion {
    id: String,
    object: &'static str,
    /// When, in seconds since 1970.
    created: u64,
    model: String,
    choices: [Choice; 1],
    /// As the provider reports it; `null` if it does not.
    #[schema(required = true)]
    usage: Option<UsageBody>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Choice {
    index: u32,
    message: Said,
    #[schema(required = true, value_type = Option<Object>)]
    logprobs: Option<()>,
    finish_reason: String,
}

#[derive(Debug, Serialize, ToSchema)]
struct Said {
    role: Role,
    content: String,
    #[schema(required = true)]
    refusal: Option<String>,
}

/// Usage with its sum, as OpenAI writes it.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names are OpenAI's")]
pub(super) struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
}

impl From<Usage> for UsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
        }
    }
}

impl Completion {
    pub(super) fn of(answer: ChatResponse, created: u64) -> Self {
        let message = Said {
            role: Role::Assistant,
            content: answer.content,
            refusal: None,
        };
        Self {
            id: answer.id,
            object: "chat.completion",
            created,
            model: answer.model,
            choices: [Choice {
                index: 0,
                message,
                logprobs: None,
                finish_reason: answer.finish_reason,
            }],
            usage: answer.usage.map(UsageBody::from),
        }
    }
}

/// The models that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    object: &'static str,
    data: Vec<Model>,
}

/// A word that can be asked for.
#[derive(Debug, Serialize, ToSchema)]
struct Model {
    id: String,
    object: &'static str,
    /// Nobody here knows when: 0.
    created: u64,
    /// The provider that is asked for it first.
    owned_by: String,
}

impl ModelList {
    pub(super) fn of<'a>(known: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let data = known.map(|(id, owner)| Model {
            id: id.to_owned(),
            object: "model",
            created: 0,
            owned_by: owner.to_owned(),
        });
        Self {
            object: "list",
            data: data.collect(),
        }
    }
}
