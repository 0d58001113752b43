//! Completions: the same chat for clients that speak OpenAI's Chat Completions.
//!
//! - `models`: requests and answers as OpenAI's reference has them, and what of it is done here. `wording`: streams.
//! - `problem`: errors in OpenAI's body. `routes`: the endpoints. What it takes to answer is [`super::chat`]'s.

mod models;
mod problem;
mod routes;
mod wording;

pub(super) use self::problem::refusal;
pub(super) use self::routes::routes;
