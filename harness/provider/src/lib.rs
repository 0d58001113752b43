//! Simulated LLM providers: one script that decides, two engines that put it on the wire, and a ledger.
//!
//! In reading order: [`Provider`] (a running one), `script` and `faults` (what an attempt gets, drawn from the seed tree
//! when it arrives), `limits` (token buckets per key), `ledger` (a row per attempt: generated, flushed, billed), `desk`
//! (takes a request, asks all of these, gives the reply), `dialect` (what the reply reads like on the wire), [`engine`]
//! (how it gets there: `streaming` over hyper on any network, or [`engine::wiremock`]).
//!
//! What the simulator takes for granted:
//!
//! - A stream's status line leaves with its first token, so the time to headers is the time to the first token.
//! - A request without a token limit is charged for, and answered with, at most 4,096 tokens.
//! - Attempts that a fault fails still count against the request limit; attempts that a limit refuses cost nothing.
//! - `created` counts from a made-up second, because the run's clock tells no date.
//! - `retry-after` knows the buckets as they are, not the refunds that running answers will bring.
//!
//! Deliberately absent: the model, a tokenizer (a word is a token), TLS, HTTP/2, and any knowledge of the service.

mod desk;
mod dialect;
pub mod engine;
mod faults;
mod ledger;
mod limits;
mod provider;
#[cfg(test)]
mod samples;
mod script;

pub use engine::{EngineKind, Needs, choose};
pub use ledger::Ledger;
pub use provider::Provider;
