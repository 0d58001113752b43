//! Simulated LLM providers: one script that decides, two engines that put it on the wire, and a ledger.
//!
//! In reading order: [`Provider`] (a running one), `script` and `faults` (what an attempt gets, drawn from the seed tree
//! when it arrives), `timetable` and `capacity` (when things are there, and how many at once), `limits` (token buckets per
//! key), `prompt` (what a request comes to in tokens, and what a cache knows of it), `output` (what an answer says),
//! `ledger` (a row per attempt: generated, flushed, billed), `desk` (takes a request, asks all of these, gives the
//! reply), `dialect` (what the reply reads like on the wire, four ways), [`engine`] (how it gets there: `streaming` over
//! hyper on any network, or [`engine::wiremock`]), [`tape`] (a real provider's answers, recorded and replayed).
//!
//! # In a test of your own, on wiremock
//!
//! ```
//! use brownout_provider::engine::wiremock::Script;
//! use brownout_provider::openai;
//! use wiremock::{Mock, MockServer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The first call is refused for a second, the others get twenty tokens.
//! let script = Script::parse(
//!     r#"
//!     [[provider]]
//!     name = "primary"
//!     model = "gpt-4o-mini"
//!     first_token = "1ms"
//!     output_tokens = 20
//!
//!     [[provider.fault]]
//!     kind = "status"
//!     status = 429
//!     retry_after = "1s"
//!     first = 1
//!     "#,
//! )?;
//! let server = MockServer::start().await;
//! Mock::given(openai::chat()).respond_with(script.clone()).mount(&server).await;
//!
//! // Here your code calls it, is refused, waits, calls again and is answered. In its place:
//! let call = || {
//!     reqwest::Client::new()
//!         .post(format!("{}/v1/chat/completions", server.uri()))
//!         .bearer_auth("any key")
//!         .body(r#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "[prompt 17]"}]}"#)
//!         .send()
//! };
//! assert_eq!(call().await?.status(), 429);
//! assert!(call().await?.text().await?.contains("t17.0 t17.1"));
//!
//! // Then the bill is:
//! let totals = script.ledger().totals();
//! assert_eq!((totals.attempts, totals.failed, totals.billed), (2, 1, 20));
//! # Ok(())
//! # }
//! ```
//!
//! What the simulator takes for granted:
//!
//! - A stream's status line leaves with its first visible token, so the time to headers is the time to the first token.
//! - A request without a token limit is charged for, and answered with, at most 4,096 tokens.
//! - Attempts that a fault fails still count against the request limit; attempts that a limit refuses cost nothing.
//! - Dates count from a made-up second, because the run's clock tells no date.
//! - `retry-after` knows the buckets as they are, not the refunds that running answers will bring.
//! - Whoever waits for a slot keeps the turn that was settled on arrival, also when somebody ahead leaves early.
//! - One vocabulary, o200k, counts prompts in every dialect; what a chat template adds to them is left out.
//!
//! Deliberately absent: the model, TLS, several choices per request, and any knowledge of the service.

mod capacity;
mod desk;
mod dialect;
pub mod engine;
mod faults;
mod ledger;
mod limits;
mod matchers;
mod output;
mod prompt;
mod provider;
#[cfg(test)]
mod samples;
mod script;
pub mod tape;
mod timetable;

/// Questions as people ask them, labelled by meaning, with near misses: for tests and benches of caches that go by similarity.
/// A simulated provider gives equal answers to equal meanings.
pub use brownout_scenario::questions;
pub use desk::OtherDialect;
pub use engine::{EngineKind, Needs, choose};
pub use ledger::{Ledger, Retention, Totals};
pub use matchers::{anthropic, gemini, ollama, openai};
pub use provider::{Provider, ReplaceError, base_url};
