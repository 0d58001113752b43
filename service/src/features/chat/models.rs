//! What a chat looks like from outside.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::upstream::{Message, Usage};

/// Turns of a conversation.
const MESSAGES: usize = 256;
/// Tokens that can be asked for.
const TOKENS: u32 = 128_000;
/// Longest name of a session, in bytes.
const SESSION: usize = 128;

/// A valid request: there is no other way to make one than to read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawChatRequest")]
pub(crate) struct ChatRequest {
    pub(crate) messages: Vec<Message>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<String>,
}

/// A request as it arrives.
#[derive(Deserialize)]
struct RawChatRequest {
    messages: Vec<Message>,
    max_tokens: Option<u32>,
    session_id: Option<String>,
}

impl TryFrom<RawChatRequest> for ChatRequest {
    type Error = String;

    fn try_from(raw: RawChatRequest) -> Result<Self, String> {
        if raw.messages.is_empty() || raw.messages.len() > MESSAGES {
            return Err(format!("send from 1 to {MESSAGES} messages"));
        }
        if raw.messages.iter().any(|message| message.content.is_empty()) {
            return Err("leave no message empty".to_owned());
        }
        if raw.max_tokens.is_some_and(|tokens| !(1..=TOKENS).contains(&tokens)) {
            return Err(format!("ask for 1 to {TOKENS} max_tokens"));
        }
        if raw
            .session_id
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.len() > SESSION)
        {
            return Err(format!("name the session with 1 to {SESSION} bytes"));
        }
        Ok(Self {
            messages: raw.messages,
            max_tokens: raw.max_tokens,
            session_id: raw.session_id,
        })
    }
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChatResponse {
    pub(crate) id: String,
    pub(crate) content: String,
    pub(crate) finish_reason: String,
    /// As the provider reports it; `null` if it does not.
    pub(crate) usage: Option<Usage>,
    pub(crate) model: String,
    pub(crate) provider: String,
}

/// An event of a streamed answer. A stream that does not end with `Done` is not complete.
#[derive(Debug)]
pub(crate) enum ChatEvent {
    /// A piece of the text, to be appended as it is.
    Delta(String),
    /// What the answer used.
    Usage(Usage),
    /// The answer cannot be completed. The last event.
    Error(Error),
    /// The answer is complete. The last event.
    Done(StreamDone),
}

/// The data of `done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct StreamDone {
    pub(crate) id: String,
    pub(crate) finish_reason: String,
    pub(crate) model: String,
    pub(crate) provider: String,
}
