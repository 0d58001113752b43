//! The access log: one line for every request, with what it used.
//!
//! A request whose client left is logged when nobody works for it any more, because only then it is known what it used: its
//! line is held by the exchange and by the work, and whoever lets go of it last writes it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::telemetry::{CLIENT_LEFT, Metrics, Spent, Trace, millis};

/// The line of one request.
pub(super) struct AccessLine {
    endpoint: &'static str,
    trace: Trace,
    metrics: Metrics,
    left: OnceLock<Spent>,
    is_written: AtomicBool,
}

impl AccessLine {
    pub(super) fn begin(endpoint: &'static str, trace: Trace, metrics: Metrics) -> Self {
        Self {
            endpoint,
            trace,
            metrics,
            left: OnceLock::new(),
            is_written: AtomicBool::new(false),
        }
    }

    /// The request was answered.
    pub(super) fn answered(&self, status: u16) {
        self.write(status, false, &self.trace.spent());
    }

    /// Its client left, this far into it.
    pub(super) fn left(&self) {
        let _ = self.left.set(self.trace.spent());
    }

    /// How it is known what the request used.
    fn provenance(&self) -> &'static str {
        self.trace.usage().map_or("none", |(_, provenance)| provenance.name())
    }

    fn write(&self, status: u16, cancelled: bool, spent: &Spent) {
        if self.is_written.swap(true, Ordering::Relaxed) {
            return;
        }
        let usage = self.trace.usage().map(|(usage, _)| usage);
        tracing::info!(
            parent: self.trace.log(),
            endpoint = self.endpoint,
            status,
            cancelled,
            duration_ms = millis(spent.total),
            overhead_ms = millis(spent.overhead()),
            prompt_tokens = usage.map(|usage| usage.prompt_tokens),
            completion_tokens = usage.map(|usage| usage.completion_tokens),
            usage = self.provenance(),
            "answered"
        );
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        if let Some(spent) = self.left.get() {
            self.metrics.abandoned(self.provenance());
            self.write(CLIENT_LEFT, true, spent);
        }
    }
}
