//! Requests and answers of Chat Completions. Source: the OpenAI API reference, "Chat Completions".
//!
//! What is not known is passed over, as OpenAI's own servers do with what their clients send along; what would change the
//! meaning of the answer and is not done here (tools, several choices, log probabilities) is refused.

use garde::Validate;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::features::chat::{Ask, ChatResponse, MESSAGES, TOKENS};
use crate::upstream::{Message, Options, Prompt, Role, Usage};

/// Longest name of a model or a user, in bytes.
const NAME: usize = 256;
/// Texts at which the model may be told to stop.
const STOPS: usize = 4;

/// A request.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[schema(example = json!({ "model": "default", "messages": [{ "role": "user", "content": "What is a brownout?" }] }))]
pub(super) struct CompletionRequest {
    /// A model of `GET /v1/models`.
    #[garde(length(min = 1, max = NAME))]
    #[schema(min_length = 1, max_length = 256)]
    pub(super) model: String,
    #[garde(length(min = 1, max = MESSAGES), dive)]
    #[schema(min_items = 1, max_items = 256)]
    messages: Vec<Turn>,
    #[garde(range(min = 1, max = TOKENS))]
    #[schema(minimum = 1, maximum = 128_000)]
    max_completion_tokens: Option<u32>,
    /// The older name of `max_completion_tokens`, which wins.
    #[garde(range(min = 1, max = TOKENS))]
    #[schema(minimum = 1, maximum = 128_000)]
    max_tokens: Option<u32>,
    #[garde(skip)]
    pub(super) stream: Option<bool>,
    #[garde(skip)]
    stream_options: Option<StreamOptions>,
    /// Only one choice is ever made.
    #[garde(range(min = 1, max = 1))]
    #[schema(minimum = 1, maximum = 1)]
    n: Option<u32>,
    #[garde(range(min = 0.0, max = 2.0))]
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    #[garde(range(min = 0.0, max = 1.0))]
    #[schema(minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    #[garde(range(min = -2.0, max = 2.0))]
    #[schema(minimum = -2, maximum = 2)]
    presence_penalty: Option<f64>,
    #[garde(range(min = -2.0, max = 2.0))]
    #[schema(minimum = -2, maximum = 2)]
    frequency_penalty: Option<f64>,
    #[garde(dive)]
    stop: Option<Stop>,
    #[garde(skip)]
    seed: Option<i64>,
    #[garde(length(min = 1, max = NAME))]
    #[schema(min_length = 1, max_length = 256)]
    user: Option<String>,
    /// Passed on to the provider as it is.
    #[garde(skip)]
    #[schema(value_type = Option<Object>)]
    response_format: Option<serde_json::Map<String, Value>>,
    /// Not done here: leave it out, or empty.
    #[garde(length(max = 0))]
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    tools: Option<Vec<Value>>,
    /// Not done here: leave it out, or empty.
    #[garde(length(max = 0))]
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    functions: Option<Vec<Value>>,
    /// Not done here: leave it out, or `false`.
    #[garde(inner(custom(unwanted)))]
    logprobs: Option<bool>,
}

fn unwanted(wanted: &bool, (): &()) -> garde::Result {
    if *wanted {
        return Err(garde::Error::new("is not done here: leave it out"));
    }
    Ok(())
}

/// What a stream is to say besides the answer.
#[derive(Debug, Deserialize, ToSchema)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// A turn of the conversation.
#[derive(Debug, Deserialize, Validate, ToSchema)]
struct Turn {
    #[garde(skip)]
    role: Speaker,
    #[garde(dive)]
    content: Content,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    System,
    /// What `system` is called for newer models.
    Developer,
    User,
    Assistant,
}

/// What is said: a text, or a text in parts.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "the content is to be a text, or a list of parts of type text")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of what is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text {
        #[schema(min_length = 1)]
        text: String,
    },
}

impl Content {
    fn joined(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().map(|Part::Text { text }| text).collect(),
        }
    }
}

impl Validate for Content {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        let empty = match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.iter().all(|Part::Text { text }| text.is_empty()),
        };
        if empty {
            report.append(parent(), garde::Error::new("is empty"));
        }
    }
}

/// Where the model is to stop.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "stop is to be a text, or a list of texts")]
enum Stop {
    One(String),
    Any(Vec<String>),
}

impl Stop {
    fn listed(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Any(texts) => texts,
        }
    }
}

impl Validate for Stop {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if let Self::Any(texts) = self
            && texts.len() > STOPS
        {
            report.append(parent(), garde::Error::new(format!("is more than {STOPS} texts")));
        }
    }
}

impl CompletionRequest {
    /// Whether a stream is to say what it used.
    pub(super) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage).unwrap_or_default()
    }

    /// The question, to be put to the provider at `first` before all others.
    pub(super) fn ask(self, first: usize) -> Ask {
        let messages = self.messages.into_iter().map(|turn| Message {
            role: match turn.role {
                Speaker::System | Speaker::Developer => Role::System,
                Speaker::User => Role::User,
                Speaker::Assistant => Role::Assistant,
            },
            content: turn.content.joined(),
        });
        let options = Options {
            temperature: self.temperature,
            top_p: self.top_p,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            stop: self.stop.map(Stop::listed).unwrap_or_default(),
            seed: self.seed,
            user: self.user,
            response_format: self.response_format.map(Value::Object),
        };
        Ask {
            prompt: Prompt {
                first,
                messages: messages.collect(),
                max_tokens: self.max_completion_tokens.or(self.max_tokens),
                options,
            },
            session: None,
        }
    }
}

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
