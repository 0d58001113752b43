//! What an instance tells about itself: spans that leave as OTLP/HTTP JSON, and metrics that are scraped.
//!
//! Both belong to the instance: there is no global recorder, subscriber or meter. Log lines go to `tracing`, whose
//! subscriber is the host's choice.

mod export;
mod metrics;
mod otlp;
mod trace;

pub(crate) use export::Exporter;
pub(crate) use metrics::Metrics;
pub(crate) use trace::{Span, Trace, TraceParent, Tracer};
