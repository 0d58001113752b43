//! The bound of what may wait: a service that takes on more than it can do makes everybody wait for work that comes too
//! late, and says so to nobody.
//!
//! The queue is asked how long it is only when the bound seems to be reached, and now and then by `queue_watch`; between
//! two looks a process counts what it takes on. Several replicas can therefore overshoot by what they take on between two
//! looks. Requests that turn out to be jobs that exist already are refused as well: nobody knows before the queue does.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::App;
use crate::error::Error;
use crate::queue::Depth;
use crate::settings::{Design, Settings};
use crate::sync::lock;

/// How full the queue is, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Backlog {
    bound: Option<u64>,
    /// Shortest pause between two looks. None where the queue is this process's own memory.
    pause: Duration,
    known: Mutex<Known>,
}

/// The last look, and what was added since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    waiting: u64,
    looked: Option<Instant>,
}

/// What to do with one more job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Take,
    Refuse,
    /// It seems full, but the last look is too old to say so.
    Look,
}

impl Known {
    fn judge(self, bound: u64, pause: Duration, now: Instant) -> Verdict {
        let is_fresh = self.looked.is_some_and(|looked| now.duration_since(looked) < pause);
        match self.waiting < bound {
            true => Verdict::Take,
            false if is_fresh => Verdict::Refuse,
            false => Verdict::Look,
        }
    }
}

impl Backlog {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            bound: settings.jobs.backlog.map(u64::from),
            pause: match settings.design {
                Design::Background => Duration::ZERO,
                _ => settings.jobs.poll,
            },
            known: Mutex::default(),
        }
    }

    /// Whether one more job may wait.
    pub(super) async fn admit(&self, app: &App) -> Result<(), Error> {
        let Some(bound) = self.bound else { return Ok(()) };
        let now = app.clock.now();
        let verdict = lock(&self.known).judge(bound, self.pause, now);
        let is_full = match verdict {
            Verdict::Take => false,
            Verdict::Refuse => true,
            Verdict::Look => {
                let depth = app.jobs.depth(app.clock.now_unix_us()).await?;
                self.seen(depth, now);
                depth.queued >= bound
            }
        };
        if is_full {
            app.metrics.job("refused");
            return Err(Error::BacklogFull);
        }
        lock(&self.known).waiting += 1;
        Ok(())
    }

    /// Somebody looked.
    pub(super) fn seen(&self, depth: Depth, at: Instant) {
        *lock(&self.known) = Known {
            waiting: depth.queued,
            looked: Some(at),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_looked_at_before_anybody_is_refused_and_not_again_at_once() {
        let (pause, now) = (Duration::from_millis(100), Instant::now());
        let mut known = Known::default();
        assert_eq!(known.judge(2, pause, now), Verdict::Take);
        known.waiting = 2;
        assert_eq!(known.judge(2, pause, now), Verdict::Look);
        known.looked = Some(now);
        assert_eq!(known.judge(2, pause, now + Duration::from_millis(99)), Verdict::Refuse);
        assert_eq!(known.judge(2, pause, now + pause), Verdict::Look);
        assert_eq!(known.judge(3, pause, now), Verdict::Take);
        assert_eq!(known.judge(2, Duration::ZERO, now), Verdict::Look);
    }
}
