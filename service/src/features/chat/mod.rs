//! Chat: a conversation in, the model's answer out, whole or as it is written.
//!
//! - `models`: requests and answers. `logic`: what an answer promises. `routes`: the API's own two endpoints.
//! - `streaming`: a stream on its way to its client; the OpenAI route words the same events in its own way.

mod logic;
mod models;
mod routes;
mod streaming;

pub(crate) use self::logic::answer;
pub(crate) use self::models::{ChatRequest, ChatResponse, MESSAGES, SESSION, TOKENS, names_task, printable};
pub(super) use self::routes::routes;
pub(super) use self::streaming::{EventStream, Wording, open, respond};
