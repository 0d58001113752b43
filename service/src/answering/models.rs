//! A question as the steps take it, and its answer as they give it, whichever route it came by.

use serde::Serialize;

use crate::error::Error;
use crate::upstream::{Prompt, Usage};

/// A question.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) prompt: Prompt,
    /// The provider that is asked for by name, by place in the settings.
    pub(crate) named: Option<usize>,
    /// What it is for: a word that providers may be meant for.
    pub(crate) task: Option<String>,
    /// Whose usage the answer is counted under.
    pub(crate) session: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) content: String,
    /// As the provider reports it.
    pub(crate) usage: Option<Usage>,
    pub(crate) done: Done,
}

/// An event of an answer that is given piece by piece. One that does not end with `Done` is not complete.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// This model has begun to answer. The first event, unless it is `Error`; again where another one takes over.
    Begin {
        /// In the provider's word.
        model: String,
    },
    /// A piece of the text, to be appended as it is.
    Delta(String),
    /// What the answer used.
    Usage(Usage),
    /// The answer cannot be completed. The last event.
    Error(Error),
    /// The answer is complete. The last event.
    Done(Done),
}

/// What is said of a complete answer at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Done {
    pub(crate) id: String,
    /// Why the model stopped, in the provider's word: `stop`, `length`, `content_filter`.
    pub(crate) finish_reason: String,
    /// The model that answered, in the provider's word.
    pub(crate) model: String,
    pub(crate) provider: String,
    /// Whether it may be given to others later. Not if its stream broke off, although some would rather not know; and not
    /// if another model stood in for the one that was to be asked.
    #[serde(skip)]
    pub(crate) lasting: bool,
}
