//! A question to a model on its way: the values between those who ask and the client that sees to it.
//!
//! Plain data; nothing is sent or decided here.

use super::openai::{Message, Options};
use crate::limits::Funds;
use crate::resilience::deadline::Deadline;
use crate::routing::Route;
use crate::telemetry::Trace;

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prompt {
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) options: Options,
}

impl Prompt {
    /// How much text a provider has to read, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let said: usize = self.messages.iter().map(|message| message.content.len()).sum();
        let format = self.options.response_format.as_ref();
        said + format.map_or(0, |format| format.to_string().len())
    }
}

/// A question on its way: what is asked, of whom, for whom, and until when.
pub(crate) struct Call {
    pub(crate) prompt: Prompt,
    /// Who may be asked, in order.
    pub(crate) route: Route,
    pub(crate) request_id: String,
    pub(crate) trace: Trace,
    pub(crate) deadline: Deadline,
    /// What its attempts are paid from.
    pub(crate) funds: Funds,
    /// The beginning of the answer, where the client has it already: models that can go on from there. Else empty.
    pub(crate) begun: Begun,
}

/// The beginning of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Begun {
    pub(crate) text: String,
    /// How many tokens it has, at least.
    pub(crate) tokens: u32,
}

impl Call {
    /// The same question by other words.
    pub(crate) fn with_prompt(&self, prompt: Prompt) -> Self {
        Self {
            prompt,
            route: self.route.clone(),
            request_id: self.request_id.clone(),
            trace: self.trace.clone(),
            deadline: self.deadline,
            funds: self.funds.clone(),
            begun: Begun::default(),
        }
    }

    /// The same question, of whose answer the client has `begun`.
    pub(crate) fn going_on(&self, begun: Begun) -> Self {
        Self {
            begun,
            ..self.with_prompt(self.prompt.clone())
        }
    }

    /// How many tokens an answer may still have that goes on from what is there. `None`: there is no limit.
    pub(crate) fn tokens_left(&self) -> Option<u32> {
        Some(self.prompt.max_tokens?.saturating_sub(self.begun.tokens))
    }

    /// Whether there is a beginning to go on from, and room for more. No model can be asked for a rest of no tokens.
    pub(crate) fn can_go_on(&self) -> bool {
        !self.begun.text.is_empty() && self.tokens_left() != Some(0)
    }
}
