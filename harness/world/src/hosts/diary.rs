//! What happened to the processes of a variant, written down on the run's clock.
//!
//! What is before the beginning of the run happened at its first instant; what is after its end is left out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use brownout_scenario::observe::{HostChange, HostRow, Probe, ProbeRow};
use brownout_scenario::units::Micros;
use std::time::Duration;
use tokio::time::Instant;

use crate::dependencies::Beginning;

/// Most rows of either kind that are kept: bounds memory on a world gone wild.
const MOST_ROWS: usize = 1_000_000;

/// The rows so far. Clones write into the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    beginning: Beginning,
    closed: AtomicBool,
    hosts: Mutex<Vec<HostRow>>,
    probes: Mutex<Vec<ProbeRow>>,
}

impl Diary {
    /// An empty one whose clock is `beginning`.
    pub(crate) fn new(beginning: Beginning) -> Self {
        Self {
            shared: Arc::new(Shared {
                beginning,
                ..Shared::default()
            }),
        }
    }

    /// Something happened to `host` just now.
    pub(crate) fn host(&self, host: &str, change: HostChange) {
        let row = HostRow {
            at: self.micros(Instant::now()),
            host: host.to_owned(),
            change,
        };
        self.keep(&self.shared.hosts, row);
    }

    /// `host` was asked how it is. Nobody cares before the run begins.
    pub(crate) fn probe(&self, host: &str, probe: Probe, at: Instant, took: Duration, status: Option<u16>) {
        if self.shared.beginning.get().is_none() {
            return;
        }
        let row = ProbeRow {
            at: self.micros(at),
            took: took.into(),
            host: host.to_owned(),
            probe,
            status,
        };
        self.keep(&self.shared.probes, row);
    }

    /// Whether something like that happened to `host` already.
    pub(crate) fn has(&self, host: &str, change: HostChange) -> bool {
        let rows = self.shared.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().any(|row| row.host == host && row.change == change)
    }

    /// Ends it: nothing more is written down. The rows, in the order of time.
    pub(crate) fn close(&self) -> (Vec<HostRow>, Vec<ProbeRow>) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let take = |rows: &Mutex<Vec<_>>| std::mem::take(&mut *rows.lock().unwrap_or_else(PoisonError::into_inner));
        let hosts = take(&self.shared.hosts);
        let mut probes = std::mem::take(&mut *self.shared.probes.lock().unwrap_or_else(PoisonError::into_inner));
        // Written down when they were answered; of one instant, in that order.
        probes.sort_by_key(|row| row.at);
        (hosts, probes)
    }

    fn keep<T>(&self, rows: &Mutex<Vec<T>>, row: T) {
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() < MOST_ROWS && !self.shared.closed.load(Ordering::Relaxed) {
            rows.push(row);
        }
    }

    fn micros(&self, at: Instant) -> Micros {
        let beginning = self.shared.beginning.get();
        beginning.map_or(Micros::ZERO, |clock| {
            Micros(at.saturating_duration_since(clock.instant(0)).as_micros() as u64)
        })
    }
}
