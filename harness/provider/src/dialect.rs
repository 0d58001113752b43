//! What a dialect says, in words that no dialect owns.
//!
//! A dialect only encodes and decodes: it routes, reads a request, and writes answers, frames, errors and headers. It
//! decides nothing. Each has the same files (`request`, `answer`, `error`, `headers`) behind [`Wire`] and [`Frames`].

pub(crate) mod anthropic;
mod duration;
pub(crate) mod gemini;
pub(crate) mod ollama;
pub(crate) mod openai;

use std::fmt::Debug;

use brownout_scenario::plan::{Dialect, ModelPlan};
use brownout_scenario::units::{Micros, PromptId};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::limits::{Refused, Standing};
use crate::output::Output;

/// Second 0 of a run, in dates: the run clock tells none, and a made-up one keeps answers reproducible.
pub(crate) const EPOCH: u64 = 1_700_000_000;

/// The wire format of `dialect`.
pub(crate) fn wire(dialect: Dialect) -> &'static dyn Wire {
    match dialect {
        Dialect::OpenAi => &openai::OpenAi,
        Dialect::Anthropic => &anthropic::Anthropic,
        Dialect::Gemini => &gemini::Gemini,
        Dialect::Ollama => &ollama::Ollama,
    }
}

/// The token of an `Authorization: Bearer` header.
pub(crate) fn bearer<'a>(call: &Call<'a>) -> Option<&'a str> {
    let (scheme, key) = call.header(AUTHORIZATION.as_str())?.split_once(' ')?;
    let key = key.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !key.is_empty()).then_some(key)
}

/// Inserts a header whose name and value are plain ASCII.
pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        headers.insert(name, value);
    }
}

/// A request, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: &'a Method,
    /// The path, without query.
    pub(crate) path: &'a str,
    /// The query, without its question mark; empty if there is none.
    pub(crate) query: &'a str,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The body; `None` when it was above [`Wire::max_body`].
    pub(crate) body: Option<&'a [u8]>,
}

impl<'a> Call<'a> {
    /// The text of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a query parameter, as it stands there.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// One provider's wire format.
pub(crate) trait Wire: Debug + Send + Sync {
    /// What a path and a method ask for.
    fn route<'a>(&self, method: &Method, path: &'a str) -> Route<'a>;
    /// The API key that a request carries, wherever this dialect allows it.
    fn key<'a>(&self, call: &Call<'a>) -> Option<&'a str>;
    /// Whether a request without a key is refused.
    fn needs_key(&self) -> bool;
    /// Bodies of more bytes are refused.
    fn max_body(&self) -> usize;
    /// Reads a chat request; `body` is the call's.
    fn read(&self, call: &Call<'_>, body: &[u8]) -> Result<ChatRequest, Problem<'static>>;
    /// The list of models.
    fn models(&self, served: &[ModelPlan]) -> Vec<u8>;
    /// One model of that list.
    fn model(&self, served: &ModelPlan) -> Vec<u8>;
    /// The body of a unary answer.
    fn whole(&self, answer: &Answer) -> Vec<u8>;
    /// The frames of a streamed answer.
    fn frames(&self, answer: Answer) -> Box<dyn Frames>;
    /// Status and body of an error.
    fn error(&self, problem: &Problem<'_>) -> (StatusCode, Vec<u8>);
    /// The headers of a response, its media type included.
    fn headers(&self, told: &Described<'_>) -> HeaderMap;
}

/// The frames of one streamed answer, written in this order: `opening`, `token` for each token, `ending`, `terminator`.
///
/// Every method appends whole frames to `out`. Writing the same token twice writes the same bytes.
pub(crate) trait Frames: Debug + Send {
    /// What comes before the first token; nothing where the dialect has nothing to say.
    fn opening(&self, out: &mut String);
    /// The frame of token `index`.
    fn token(&self, index: u64, out: &mut String);
    /// Why the model stopped, and what it used.
    fn ending(&self, out: &mut String);
    /// What says that this was all; nothing where the dialect has nothing of the kind.
    fn terminator(&self, out: &mut String);
    /// An error in the middle of the stream, and what the dialect still writes after it.
    fn error(&self, problem: &Problem<'_>, out: &mut String);
    /// The first half of the frame of token `index`, delimited like a whole one.
    fn malformed(&self, index: u64, out: &mut String);
}

/// What a path and a method ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// An answer of the model.
    Chat,
    /// Vectors for texts.
    Embeddings,
    /// The list of models.
    Models,
    /// One model, by its name.
    Model(&'a str),
    /// Something that is always the same JSON.
    Fixed(&'static str),
    /// A known path, but not with this method.
    WrongMethod,
    /// Nothing this provider has.
    Unknown,
}

/// A chat request, as far as a simulated provider needs it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChatRequest {
    /// The model asked for.
    pub(crate) model: String,
    /// All that the model is to read, in order, never empty.
    pub(crate) passages: Vec<Passage>,
    /// The most tokens the caller wants, if it says so.
    pub(crate) max_tokens: Option<u64>,
    /// How the answer is to come.
    pub(crate) delivery: Delivery,
    /// Whether a stream ends with a frame that reports usage, where that is the caller's choice.
    pub(crate) usage_frame: bool,
    /// What kind of answer it is to be.
    pub(crate) wants: Wants,
}

/// A piece of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Who says it.
    pub(crate) role: Role,
    /// Its text; parts of a message are joined by a space.
    pub(crate) text: String,
    /// The caller asks to cache the prompt up to here, where that is the caller's choice.
    pub(crate) cache_here: bool,
}

/// Who says a piece of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The operator: system prompts, definitions of tools.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool.
    Tool,
}

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// At once.
    Whole,
    /// Server-sent events.
    Events,
    /// A JSON array that arrives element by element.
    Array,
    /// JSON lines.
    Lines,
}

/// What kind of answer a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wants {
    /// Plain text.
    Text,
    /// JSON of this schema (an empty object: any JSON object).
    Json(Value),
    /// A vector for each passage.
    Vectors {
        /// Their length.
        dimensions: u32,
        /// Written in base64, not as lists of numbers.
        base64: bool,
    },
    /// A call of a tool if the model likes, or must.
    Tool {
        /// The tool: the one that is forced, else the first.
        name: String,
        /// The JSON schema of its arguments.
        parameters: Value,
        /// It must be called; else the plan's share of the prompts do. A result of a tool as the last passage is always
        /// answered with text.
        forced: bool,
    },
}

/// Why an attempt gets an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem<'a> {
    /// Nothing lives at that path.
    UnknownRoute {
        /// The method.
        method: &'a str,
        /// The path.
        path: &'a str,
    },
    /// Something lives there, but not for that method.
    WrongMethod {
        /// The method.
        method: &'a str,
        /// The path.
        path: &'a str,
    },
    /// The body is above the bound.
    TooLarge {
        /// The bound, in bytes.
        limit: usize,
    },
    /// No API key.
    NoKey,
    /// The body is not JSON.
    NotJson,
    /// The body is JSON, but not a chat request.
    Invalid(InvalidRequest),
    /// The model asked for is not served.
    UnknownModel(&'a str),
    /// A rate limit.
    RateLimited {
        /// The model asked for.
        model: &'a str,
        /// What refused, and until when.
        refused: Refused,
    },
    /// As much as the provider can work on is waiting already.
    Overloaded {
        /// The model asked for.
        model: &'a str,
    },
    /// Prompt and answer do not fit into the context window.
    ContextLength {
        /// The model asked for.
        model: &'a str,
        /// Its window, in tokens.
        window: u64,
        /// Tokens of the prompt.
        prompt_tokens: u64,
        /// The most tokens of the answer.
        max_tokens: u64,
    },
    /// A fault that the plan asks for.
    Fault {
        /// The model asked for.
        model: &'a str,
        /// HTTP status.
        status: u16,
        /// What it says about trying again.
        retry_after: Option<Micros>,
        /// The dialect's own code, if the plan names one.
        code: Option<&'a str>,
    },
}

/// A field of a chat request that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidRequest {
    /// What the caller is told.
    pub(crate) message: String,
    /// The field.
    pub(crate) param: Option<&'static str>,
    /// The dialect's name for the mistake.
    pub(crate) code: Option<&'static str>,
}

/// What an answer says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The prompt answered.
    pub(crate) prompt: PromptId,
    /// The attempt.
    pub(crate) attempt: u32,
    /// The model.
    pub(crate) model: String,
    /// When the request arrived.
    pub(crate) arrived: Micros,
    /// When its first token is due.
    pub(crate) first_token: Micros,
    /// When its last token is due.
    pub(crate) ended: Micros,
    /// What it cost.
    pub(crate) usage: Usage,
    /// What it says, `usage.completion` tokens of it.
    pub(crate) output: Output,
    /// Why the model stopped.
    pub(crate) stop: Stop,
    /// How it comes.
    pub(crate) delivery: Delivery,
    /// Whether a stream ends with a frame that reports usage, where that is the caller's choice.
    pub(crate) usage_frame: bool,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Of the whole prompt.
    pub(crate) prompt: u64,
    /// Of these, read from the cache.
    pub(crate) cached: u64,
    /// Of the prompt, written to the cache (disjoint from `cached`).
    pub(crate) cache_write: u64,
    /// Of the answer that is delivered, thinking left out.
    pub(crate) completion: u64,
    /// Of thinking.
    pub(crate) reasoning: u64,
}

/// Why the model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It had said everything.
    Finished,
    /// It had called a tool.
    ToolCall,
    /// The caller's limit.
    Length,
    /// The rest is withheld.
    Filtered,
}

/// What the headers of a response tell.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// How the body comes; errors and lists come whole.
    pub(crate) delivery: Delivery,
    /// When they are written, on the run's clock.
    pub(crate) now: Micros,
    /// The prompt, or what stands for it.
    pub(crate) prompt: PromptId,
    /// The attempt.
    pub(crate) attempt: u32,
    /// From the request's arrival to these headers.
    pub(crate) processing: Micros,
    /// The key's limits; empty without a key or without limits.
    pub(crate) standing: Standing,
    /// When to try again.
    pub(crate) retry_after: RetryAfter<'a>,
}

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter<'a> {
    /// Nothing is said.
    Unsaid,
    /// After this long, in the dialect's own way.
    Wait(Micros),
    /// A `Retry-After` header of exactly this text.
    Text(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_bearer_token() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            let call = Call {
                method: &Method::POST,
                path: "/",
                query: "",
                headers: &headers,
                body: None,
            };
            bearer(&call).map(str::to_owned)
        };
        assert_eq!(of("Bearer sk-1").as_deref(), Some("sk-1"));
        assert_eq!(of("bearer sk-1").as_deref(), Some("sk-1"));
        assert_eq!(of("Bearer "), None);
        assert_eq!(of("Basic abc"), None);
    }
}
