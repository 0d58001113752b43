//! Where the time of one request went so far, by part: what `server-timing` and the overhead header tell.
//!
//! Overlapping stretches of one part count once, so attempts side by side don't add up to more than the request took.

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

use super::conventions::span;
use super::span::SpanKind;
use crate::sync::lock;

/// A part of a request's time. What is in none of them is the application's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Waiting for a connection, and for the database.
    Database,
    /// Waiting for a turn: a worker, a slot, a limit, a cache.
    Queue,
    /// In a call to a provider.
    Provider,
    /// Between two calls.
    Backoff,
}

impl Part {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Database, "db"),
        (Self::Queue, "queue"),
        (Self::Provider, "provider"),
        (Self::Backoff, "backoff"),
    ];

    /// The part that a span of that name and kind belongs to.
    pub(super) fn of(name: &str, kind: SpanKind) -> Option<Self> {
        match name {
            span::WAIT_POOL | span::SESSION | span::USAGE | span::ENQUEUE => Some(Self::Database),
            span::WAIT_BACKOFF => Some(Self::Backoff),
            wait if wait.starts_with("wait.") => Some(Self::Queue),
            _ if kind == SpanKind::Client => Some(Self::Provider),
            _ => None,
        }
    }
}

/// One stopwatch for each part.
#[derive(Debug, Default)]
pub(crate) struct Timing(Mutex<[Stopwatch; Part::ALL.len()]>);

/// Runs while at least one stretch does.
#[derive(Debug, Clone, Copy, Default)]
struct Stopwatch {
    running: u32,
    since_us: u64,
    spent_us: u64,
}

impl Timing {
    pub(super) fn begin(&self, part: Part, now_us: u64) {
        let watch = &mut lock(&self.0)[part as usize];
        if watch.running == 0 {
            watch.since_us = now_us;
        }
        watch.running += 1;
    }

    pub(super) fn end(&self, part: Part, now_us: u64) {
        let watch = &mut lock(&self.0)[part as usize];
        watch.running = watch.running.saturating_sub(1);
        if watch.running == 0 {
            watch.spent_us += now_us.saturating_sub(watch.since_us);
        }
    }

    /// What was spent until now, on a request that began at `began_us`.
    pub(super) fn spent(&self, began_us: u64, now_us: u64) -> Spent {
        let watches = *lock(&self.0);
        let spent = |watch: Stopwatch| {
            let open = if watch.running == 0 {
                0
            } else {
                now_us.saturating_sub(watch.since_us)
            };
            Duration::from_micros(watch.spent_us + open)
        };
        Spent {
            parts: watches.map(spent),
            total: Duration::from_micros(now_us.saturating_sub(began_us)),
        }
    }
}

/// Where a request's time went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spent {
    parts: [Duration; Part::ALL.len()],
    /// Since the request arrived.
    pub(crate) total: Duration,
}

impl Spent {
    /// What was not spent in calls to providers.
    pub(crate) fn overhead(&self) -> Duration {
        self.total.saturating_sub(self.parts[Part::Provider as usize])
    }

    /// The value of `server-timing`: the parts that took time, what is left as `app`, and the total; in milliseconds.
    pub(crate) fn server_timing(&self) -> String {
        let mut text = String::new();
        for ((_, name), spent) in Part::ALL.into_iter().zip(self.parts) {
            if !spent.is_zero() {
                let _ = write!(text, "{name};dur={}, ", millis(spent));
            }
        }
        let app = self.total.saturating_sub(self.parts.iter().sum());
        let _ = write!(text, "app;dur={}, total;dur={}", millis(app), millis(self.total));
        text
    }
}

/// Milliseconds with as many places as a microsecond needs.
pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_stretches_of_a_part_count_once_and_open_ones_count_so_far() {
        let timing = Timing::default();
        timing.begin(Part::Provider, 1_000);
        timing.begin(Part::Provider, 2_000);
        timing.end(Part::Provider, 3_000);
        timing.end(Part::Provider, 5_000);
        timing.begin(Part::Database, 5_500);
        let spent = timing.spent(500, 6_000);
        assert_eq!(
            spent.server_timing(),
            "db;dur=0.5, provider;dur=4, app;dur=1, total;dur=5.5"
        );
        assert_eq!(spent.overhead(), Duration::from_micros(1_500));
    }

    #[test]
    fn every_wait_that_has_no_part_of_its_own_is_a_wait_for_a_turn() {
        assert_eq!(Part::of("wait.rate_limit", SpanKind::Internal), Some(Part::Queue));
        assert_eq!(Part::of("wait.pool", SpanKind::Internal), Some(Part::Database));
        assert_eq!(Part::of("chat m", SpanKind::Client), Some(Part::Provider));
        assert_eq!(Part::of("POST /chat", SpanKind::Server), None);
    }
}
