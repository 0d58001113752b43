//! The bound of what may wait: a service that takes on more than it can do makes everybody wait for work that comes too
//! late, and says so to nobody. Within it each tenant has a share, so that one cannot take the room of all.
//!
//! The queue is asked how long it is only when a bound seems to be reached, now and then by `queue_watch`, and for each
//! eighth of its share that a tenant fills; between two looks a process counts what it takes on. Several replicas can
//! therefore overshoot by what they take on between two looks. Requests that turn out to be jobs that exist already are
//! refused as well: nobody knows before the queue does.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::app::App;
use crate::error::Error;
use crate::queue::Depth;
use crate::settings::{Auth, Design, Settings};
use crate::sync::lock;

/// The part of a tenant's share that is filled between two looks.
const STRIDE: u64 = 8;

/// How full the queue is, as far as this process knows.
#[derive(Debug)]
pub(crate) struct Backlog {
    whole: Option<Bound>,
    share: Option<Bound>,
    /// Shortest pause between two looks. None where the queue is this process's own memory.
    pause: Duration,
    known: Mutex<Known>,
    /// The same of each tenant. They come from the settings, which bounds how many there are.
    tenants: Mutex<BTreeMap<String, Known>>,
}

/// How many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound {
    most: u64,
    /// After how many of our own to look what others have added.
    stride: u64,
}

/// The last look, and what was added since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    waiting: u64,
    added: u64,
    looked: Option<Instant>,
}

/// What to do with one more job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Take,
    Refuse,
    /// Nobody knows without looking: it seems full, or much was added, and the last look is not recent.
    Look,
}

impl Known {
    const fn seen(waiting: u64, at: Instant) -> Self {
        Self {
            waiting,
            added: 0,
            looked: Some(at),
        }
    }

    fn judge(self, bound: Bound, pause: Duration, now: Instant) -> Verdict {
        let is_fresh = self.looked.is_some_and(|looked| now.duration_since(looked) < pause);
        let (is_full, is_due) = (self.waiting + self.added >= bound.most, self.added >= bound.stride);
        match (is_full, is_due, is_fresh) {
            (true, _, true) => Verdict::Refuse,
            (true, _, false) | (false, true, false) => Verdict::Look,
            (false, _, _) => Verdict::Take,
        }
    }
}

impl Backlog {
    pub(crate) fn new(settings: &Settings) -> Self {
        let jobs = &settings.jobs;
        // Where nobody shows a key everybody is one tenant.
        let share = jobs.backlog_per_tenant.filter(|_| settings.auth == Auth::Required);
        Self {
            whole: jobs.backlog.map(u64::from).map(|most| Bound { most, stride: u64::MAX }),
            share: share.map(u64::from).map(|most| Bound {
                most,
                stride: (most / STRIDE).max(1),
            }),
            pause: match settings.design {
                Design::Background => Duration::ZERO,
                _ => jobs.poll,
            },
            known: Mutex::default(),
            tenants: Mutex::default(),
        }
    }

    /// Whether one more job of `tenant` may wait.
    pub(super) async fn admit(&self, app: &App, tenant: &str) -> Result<(), Error> {
        if self.is_share_full(app, tenant).await? {
            app.metrics.job("over_share");
            return Err(Error::ShareFull);
        }
        if self.is_full(app).await? {
            app.metrics.job("refused");
            return Err(Error::BacklogFull);
        }
        lock(&self.known).added += 1;
        if self.share.is_some() {
            lock(&self.tenants).entry(tenant.to_owned()).or_default().added += 1;
        }
        Ok(())
    }

    async fn is_full(&self, app: &App) -> Result<bool, Error> {
        let Some(bound) = self.whole else { return Ok(false) };
        let now = app.clock.now();
        let verdict = lock(&self.known).judge(bound, self.pause, now);
        if verdict != Verdict::Look {
            return Ok(verdict == Verdict::Refuse);
        }
        let depth = app.jobs.depth(app.clock.now_unix_us()).await?;
        self.seen(depth, now);
        Ok(depth.queued >= bound.most)
    }

    async fn is_share_full(&self, app: &App, tenant: &str) -> Result<bool, Error> {
        let Some(bound) = self.share else { return Ok(false) };
        let now = app.clock.now();
        let known = lock(&self.tenants).get(tenant).copied().unwrap_or_default();
        let verdict = known.judge(bound, self.pause, now);
        if verdict != Verdict::Look {
            return Ok(verdict == Verdict::Refuse);
        }
        let waiting = app.jobs.waiting(tenant).await?;
        lock(&self.tenants).insert(tenant.to_owned(), Known::seen(waiting, now));
        Ok(waiting >= bound.most)
    }

    /// Somebody looked.
    pub(super) fn seen(&self, depth: Depth, at: Instant) {
        *lock(&self.known) = Known::seen(depth.queued, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    const fn bound(most: u64, stride: u64) -> Bound {
        Bound { most, stride }
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_looked_at_before_anybody_is_refused_and_not_again_at_once() {
        let (two, now) = (bound(2, u64::MAX), Instant::now());
        let mut known = Known::default();
        assert_eq!(known.judge(two, PAUSE, now), Verdict::Take);
        known.added = 2;
        assert_eq!(known.judge(two, PAUSE, now), Verdict::Look);
        known = Known::seen(2, now);
        assert_eq!(
            known.judge(two, PAUSE, now + Duration::from_millis(99)),
            Verdict::Refuse
        );
        assert_eq!(known.judge(two, PAUSE, now + PAUSE), Verdict::Look);
        assert_eq!(known.judge(bound(3, u64::MAX), PAUSE, now), Verdict::Take);
        assert_eq!(known.judge(two, Duration::ZERO, now), Verdict::Look);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stride_it_is_looked_what_others_have_added() {
        let (share, now) = (bound(64, 8), Instant::now());
        let mut known = Known::seen(20, now);
        known.added = 7;
        assert_eq!(known.judge(share, PAUSE, now + PAUSE), Verdict::Take);
        known.added = 8;
        assert_eq!(known.judge(share, PAUSE, now + PAUSE), Verdict::Look);
        assert_eq!(known.judge(share, PAUSE, now), Verdict::Take, "not again at once");
        known.added = 44;
        assert_eq!(known.judge(share, PAUSE, now), Verdict::Refuse);
    }
}
