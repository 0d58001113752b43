//! Requests of Chat Completions. Source: the OpenAI API reference, "Chat Completions".
//!
//! What is not known is passed over, as OpenAI's own servers do with what their clients send along; what would change the
//! meaning of the answer and is not done here (tools, several choices, log probabilities) is refused.

use garde::Validate;
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Ref, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::answering::Ask;
use crate::features::chat::{MESSAGES, TOKENS};
use crate::features::format::ResponseFormat;
use crate::upstream::{Message, Options, Prompt, Role};

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
    #[garde(dive)]
    response_format: Option<ResponseFormat>,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "it is called as all rules are")]
fn unwanted<C>(wanted: &bool, _: &C) -> garde::Result {
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
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "the content is to be a text, or a list of parts of type text")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A part of what is said.
#[derive(Debug, Deserialize, Validate, ToSchema)]
struct Part {
    #[garde(skip)]
    #[serde(rename = "type")]
    _kind: PartKind,
    #[garde(length(min = 1))]
    #[schema(min_length = 1)]
    text: String,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PartKind {
    Text,
}

impl Content {
    fn joined(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => parts.into_iter().map(|part| part.text).collect(),
        }
    }
}

impl Validate for Content {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        let empty = match self {
            Self::Text(text) => text.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        };
        if empty {
            report.append(parent(), garde::Error::new("is empty"));
        }
        if let Self::Parts(parts) = self {
            for (at, part) in parts.iter().enumerate() {
                part.validate_into(&(), &mut || parent().join(at), report);
            }
        }
    }
}

impl PartialSchema for Content {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        let parts = ArrayBuilder::new()
            .items(Ref::from_schema_name("Part"))
            .min_items(Some(1));
        OneOfBuilder::new().item(text).item(parts).into()
    }
}

impl ToSchema for Content {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("Part".to_owned(), Part::schema()));
        Part::schemas(schemas);
    }
}

/// Where the model is to stop.
#[derive(Debug, Deserialize)]
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

impl PartialSchema for Stop {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let texts = ArrayBuilder::new().items(text()).max_items(Some(STOPS));
        OneOfBuilder::new().item(text()).item(texts).into()
    }
}

impl ToSchema for Stop {}

impl CompletionRequest {
    /// Whether a stream is to say what it used.
    pub(super) fn wants_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage).unwrap_or_default()
    }

    /// The question, to be put to the provider at `named` before all others.
    pub(super) fn ask(self, named: Option<usize>, task: Option<String>) -> Ask {
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
            response_format: self.response_format.as_ref().and_then(ResponseFormat::on_the_wire),
        };
        Ask {
            prompt: Prompt {
                messages: messages.collect(),
                max_tokens: self.max_completion_tokens.or(self.max_tokens),
                options,
            },
            named,
            task,
            session: None,
        }
    }
}
