//! What the load programs in `src/bin` share: a provider in a process of its own, raw clients, figures of processes.
//!
//! The criterion benchmarks live in `benches/benches`, one file per question, and use none of this;
//! `docs/performance.md` has the figures of both. In reading order: [`Served`] (the provider), [`Stream`] and
//! [`Connection`] (who calls it), [`Usage`] (what that cost), [`Spread`] (how a value is spread).
//!
//! Deliberately absent: load generation for scenarios, which is `brownout-load`'s, and anything but Linux: processes
//! are measured through `/proc`.

mod connection;
mod served;
mod spread;
mod stream;
mod usage;

pub use connection::Connection;
pub use served::Served;
pub use spread::Spread;
pub use stream::Stream;
pub use usage::{Usage, memory};

/// What a client sends as its key.
const KEY: &str = "Bearer sk-bench";

/// A chat completion request over HTTP/1.1, for a prompt of 20 tokens that names itself.
fn chat(authority: &str, prompt: brownout_scenario::units::PromptId, stream: bool) -> String {
    let content = brownout_scenario::tracer::prompt_text(prompt, 20);
    let body =
        format!(r#"{{"model":"gpt-4o-mini","stream":{stream},"messages":[{{"role":"user","content":"{content}"}}]}}"#);
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {authority}\r\nauthorization: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
