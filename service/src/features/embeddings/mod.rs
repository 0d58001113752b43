//! Embeddings: texts in, vectors out, for clients that speak OpenAI's Embeddings.
//!
//! - `models`: requests and answers as OpenAI's reference has them. `routes`: the endpoint. `logic`: what one request takes.
//! - `gather`: which inputs go out together. Pure. `batch`: the calls that carry the inputs of several requests.
//!
//! Inputs of different requests, and of different tenants, may share a call: a provider's answer to one input does not
//! depend on its neighbours, and each request gets back its own vectors and nothing else. Requests for another model, or
//! for vectors of another length, never share one. No other provider stands in for one that fails: vectors of two models
//! cannot be compared.

mod batch;
mod gather;
mod logic;
mod models;
mod routes;

use std::time::Duration;

pub(crate) use self::batch::Batcher;
pub(super) use self::routes::routes;

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Inputs that one call carries at most. 1: each input is a call.
    pub size: u32,
    /// How long an input waits for others.
    pub wait: Duration,
}
