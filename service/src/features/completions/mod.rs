//! Completions: the same chat for clients that speak OpenAI's Chat Completions.
//!
//! - `request`, `answer`: as OpenAI's reference has them, and what of it is done here. `wording`: streams.
//! - `problem`: errors in OpenAI's body. `routes`: the endpoints. What it takes to answer is [`super::chat`]'s.

mod answer;
mod problem;
mod request;
mod routes;
mod wording;

pub(super) use self::problem::{Refusals, refusal};
pub(super) use self::routes::routes;
