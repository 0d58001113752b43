//! Chat: a conversation in, the model's answer out, whole or as it is written.

mod logic;
mod models;
mod routes;

pub(crate) use self::logic::answer;
pub(crate) use self::models::{ChatRequest, ChatResponse};
pub(super) use self::routes::routes;
