//! What a dialect says, in words that no dialect owns.
//!
//! A dialect only encodes and decodes: it routes, reads a request, and writes answers, frames, errors and headers. It
//! decides nothing. Each has the same files: `request`, `answer`, `error`, `headers`.

pub(crate) mod openai;

use brownout_scenario::units::{Micros, PromptId};

use crate::limits::Refused;

/// What a path and a method ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// An answer of the model.
    Chat,
    /// The list of models.
    Models,
    /// A known path, but not with this method.
    WrongMethod,
    /// Nothing this provider has.
    Unknown,
}

/// A chat request, as far as a simulated provider needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ChatRequest {
    /// The model asked for.
    pub(crate) model: String,
    /// The prompt that the last user message names.
    pub(crate) prompt: PromptId,
    /// Tokens of all messages.
    pub(crate) prompt_tokens: u64,
    /// The most tokens the caller wants, if it says so.
    pub(crate) max_tokens: Option<u64>,
    /// Token by token, or at once.
    pub(crate) stream: bool,
    /// Whether a stream ends with a frame that reports usage.
    pub(crate) usage_frame: bool,
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
    /// The model asked for is not the one served.
    UnknownModel(&'a str),
    /// A rate limit.
    RateLimited {
        /// The model asked for.
        model: &'a str,
        /// What refused, and until when.
        refused: Refused,
    },
    /// A fault that the plan asks for.
    Fault {
        /// The model asked for.
        model: &'a str,
        /// HTTP status.
        status: u16,
        /// What it says about trying again.
        retry_after: Option<Micros>,
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
    /// Tokens of the prompt.
    pub(crate) prompt_tokens: u64,
    /// Tokens of the answer.
    pub(crate) tokens: u64,
    /// True when the caller's limit cut it.
    pub(crate) cut: bool,
}
