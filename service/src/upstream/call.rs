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
}
