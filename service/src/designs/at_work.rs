//! The jobs that this process has in hand, so that one that is called off stops at once and not at the next look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::sync::lock;
use crate::telemetry::Metrics;

/// Jobs in hand, by id and lease number: a process can meet a job again whose lease it let run out.
#[derive(Debug, Default)]
pub(crate) struct AtWork(Mutex<BTreeMap<(String, u32), CancellationToken>>);

impl AtWork {
    /// The job `id` is begun for the time `attempt`. It is in hand until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, metrics: &Metrics, id: &str, attempt: u32) -> InHand {
        let called_off = CancellationToken::new();
        lock(&self.0).insert((id.to_owned(), attempt), called_off.clone());
        metrics.jobs_running.inc();
        InHand {
            at_work: Arc::clone(self),
            metrics: metrics.clone(),
            key: (id.to_owned(), attempt),
            called_off,
        }
    }

    /// The job was called off: whoever has it here drops it.
    pub(crate) fn call_off(&self, id: &str) {
        let jobs = lock(&self.0);
        let runs = jobs.range((id.to_owned(), 0)..=(id.to_owned(), u32::MAX));
        runs.for_each(|(_, called_off)| called_off.cancel());
    }
}

/// A job in hand, counted.
pub(super) struct InHand {
    at_work: Arc<AtWork>,
    metrics: Metrics,
    key: (String, u32),
    called_off: CancellationToken,
}

impl InHand {
    /// Returns when the job was called off through this process.
    pub(super) async fn called_off(&self) {
        self.called_off.cancelled().await;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.metrics.jobs_running.dec();
        lock(&self.at_work.0).remove(&self.key);
    }
}
