//! A reference service for LLM applications: four designs behind one API, every resilience part with its own switch.
//!
//! It is meant to be copied. Read it in this order:
//!
//! - [`ports`]: what the service is given (listener, provider connection, stores, clock, seed, shutdown). Nothing else
//!   comes in from outside: no statics, no globals, so a hundred instances fit in one process.
//! - [`settings`]: what it is told, and every problem with it at once.
//! - [`error`]: one typed hierarchy, rendered as RFC 9457 problem JSON.
//! - `access`: who calls: keys, requests at a time, and the layer that keeps them.
//! - [`limits`]: requests, tokens and money over time, in memory or in Redis, and what is done when that is gone.
//! - `features`: one module per feature (`chat`, `completions`, `jobs`, `health`, `metrics`, `openapi`, `pages`), each with
//!   its routes, logic and models.
//! - `designs`: how a request meets the model: `blocking`, `coupled`, `background`, `queued`.
//! - `answering`: the steps from a question to its answer, in their order, and `routing`: whom it may be put to.
//! - [`cache`]: which questions are the same one, and where answers are kept to be given again.
//! - [`resilience`]: one file per concern (`deadline`, `retry`, `fallback`, `hedge`, `rescue`, `disconnect`, `broken`,
//!   `shed`) and `course`, the one place where they meet.
//! - [`structured`]: an answer held against the form that was asked for.
//! - [`upstream`]: the narrow trait to the providers, two clients behind it, the OpenAI wire format.
//! - [`storage`] and [`queue`]: the database and the durable queue: a trait each, in memory, on SQLite, on
//!   PostgreSQL; the queue also on Redis.
//! - [`webhooks`]: telling somebody what came of a job: whom, signed how, one try.
//! - `telemetry`: spans that leave as OTLP/HTTP JSON, metrics that are scraped.
//! - `app`, `server`, `tasks`: the parts put together, the accept loop, and what happens to tasks at the end.
//!
//! It depends on no harness and knows of none: faults are the provider's, never switches in here.

mod access;
mod answering;
mod app;
pub mod cache;
pub mod clock;
mod designs;
mod draws;
pub mod error;
mod features;
pub mod limits;
pub mod ports;
pub mod queue;
pub mod resilience;
mod routing;
mod server;
#[cfg(test)]
#[path = "../tests/support/servers.rs"]
mod servers;
pub mod settings;
pub mod storage;
pub mod structured;
mod sync;
mod tasks;
mod telemetry;
#[cfg(test)]
mod tests;
pub mod upstream;
pub mod webhooks;

pub use clock::Clock;
pub use error::ServiceError;
pub use ports::{Ports, Stores, WorkerPorts};
pub use server::{run, watched_worker, worker};
pub use settings::{Settings, SettingsError};
pub use upstream::Upstream;
