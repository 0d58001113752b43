//! What an instance tells about itself: spans that leave as OTLP/HTTP JSON, metrics that are scraped, headers, log lines.
//!
//! - `conventions`: all names.
//! - `span`, `trace`, `timing`, `story`: what a request did; `otlp`, `export`: how that leaves.
//! - `metrics`: counted and measured.
//!
//! All belong to the instance: there is no global recorder, subscriber or meter. Log lines go to `tracing`, whose
//! subscriber is the host's choice; those about a request carry its trace.

pub(crate) mod conventions;
mod export;
mod metrics;
mod otlp;
mod span;
mod story;
mod timing;
mod trace;

pub(crate) use export::Exporter;
pub(crate) use metrics::{CLIENT_LEFT, Counted, Format, Metrics, Wasted};
pub(crate) use otlp::Resource;
pub(crate) use timing::{Spent, millis};
pub(crate) use trace::{Span, Trace, TraceParent, Tracer};
