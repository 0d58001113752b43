//! Deadlines: how long each phase of a call may take, and the whole of it.
//!
//! A deadline is a moment, not a duration that every layer counts anew: the total is fixed when the request arrives and
//! all phases are cut to what is left of it. Does not decide what happens after one passed.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Clock;

/// Parameters. Absent means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deadlines {
    /// Opening a connection to a provider. Enforced by the connector, see [`crate::upstream::connect_within`].
    pub connect: Option<Duration>,
    /// From sending to the first token of a stream.
    pub first_token: Option<Duration>,
    /// Between two events of a stream.
    pub idle: Option<Duration>,
    /// One attempt at a whole (unary) answer, which shows no first token on the way.
    pub attempt: Option<Duration>,
    /// The whole request, all attempts and waits included.
    pub total: Option<Duration>,
}

/// The phase whose limit passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening a connection.
    Connect,
    /// Up to the first token.
    FirstToken,
    /// Between two events.
    Idle,
    /// One attempt.
    Attempt,
    /// Everything.
    Total,
}

impl Phase {
    /// Its key in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstToken => "first_token",
            Self::Idle => "idle",
            Self::Attempt => "attempt",
            Self::Total => "total",
        }
    }
}

/// A limit passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {} deadline passed", .0.name())]
pub struct Expired(pub Phase);

/// The deadlines of one request. The total runs from [`Deadline::start`]: from its arrival, whatever it waits for then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    clock: Clock,
    limits: Deadlines,
    ends: Option<Instant>,
}

impl Deadline {
    /// The request arrived.
    pub(crate) fn start(clock: Clock, limits: Deadlines) -> Self {
        Self {
            clock,
            limits,
            ends: limits.total.map(|total| clock.now() + total),
        }
    }

    /// Policy: when `phase`, beginning now, has to be over, and which limit that is.
    fn limit(&self, phase: Phase) -> Option<(Instant, Phase)> {
        let own = match phase {
            Phase::Connect => self.limits.connect,
            Phase::FirstToken => self.limits.first_token,
            Phase::Idle => self.limits.idle,
            Phase::Attempt => self.limits.attempt,
            Phase::Total => None,
        };
        let own = own.map(|limit| (self.clock.now() + limit, phase));
        let total = self.ends.map(|ends| (ends, Phase::Total));
        match (own, total) {
            (Some(own), Some(total)) if total.0 < own.0 => Some(total),
            (Some(own), _) => Some(own),
            (None, total) => total,
        }
    }

    /// How much time is left; `None` for any.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.ends.map(|ends| ends.saturating_duration_since(self.clock.now()))
    }

    /// Policy: whether anything useful could still happen after waiting for `wait`.
    pub(crate) fn allows(&self, wait: Duration) -> bool {
        self.ends.is_none_or(|ends| self.clock.now() + wait < ends)
    }

    /// What is left of the whole time, at most `limit`.
    pub(crate) fn left(&self, limit: Duration) -> Duration {
        let left = |ends: Instant| ends.saturating_duration_since(self.clock.now());
        self.ends.map_or(limit, |ends| left(ends).min(limit))
    }

    /// Whether the whole time has passed.
    pub(crate) fn is_over(&self) -> bool {
        !self.allows(Duration::ZERO)
    }

    /// Mechanism: does `work`, as long as `phase` and the total allow. Nothing is begun or taken after the total, however
    /// ready it is.
    pub(crate) async fn within<F: Future>(&self, phase: Phase, work: F) -> Result<F::Output, Expired> {
        match self.limit(phase) {
            Some(_) if self.is_over() => Err(Expired(Phase::Total)),
            None => Ok(work.await),
            Some((ends, phase)) => tokio::time::timeout_at(ends, work).await.map_err(|_| Expired(phase)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn limits(first_token: u64, total: u64) -> Deadlines {
        Deadlines {
            connect: None,
            first_token: Some(Duration::from_secs(first_token)),
            idle: None,
            attempt: None,
            total: Some(Duration::from_secs(total)),
        }
    }

    async fn sleep(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_is_cut_at_its_own_limit_and_just_before_it_is_not() {
        let deadline = Deadline::start(Clock::starting_at(0), limits(5, 60));
        assert_eq!(deadline.within(Phase::FirstToken, sleep(4)).await, Ok(()));
        assert_eq!(
            deadline.within(Phase::FirstToken, sleep(6)).await,
            Err(Expired(Phase::FirstToken))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_total_cuts_a_phase_that_would_outlive_it() {
        let deadline = Deadline::start(Clock::starting_at(0), limits(5, 7));
        sleep(4).await;
        assert_eq!(
            deadline.within(Phase::FirstToken, sleep(4)).await,
            Err(Expired(Phase::Total))
        );
        assert!(!deadline.allows(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_ready_after_the_total_comes_too_late() {
        let deadline = Deadline::start(Clock::starting_at(0), limits(5, 7));
        assert_eq!(deadline.left(Duration::from_secs(30)), Duration::from_secs(7));
        sleep(7).await;
        assert_eq!(deadline.left(Duration::from_secs(30)), Duration::ZERO);
        let ready = deadline.within(Phase::Idle, async { 1 }).await;
        assert_eq!(ready, Err(Expired(Phase::Total)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_is_allowed_only_if_time_is_left_after_it() {
        let deadline = Deadline::start(Clock::starting_at(0), limits(5, 7));
        assert!(deadline.allows(Duration::from_secs(6)));
        assert!(!deadline.allows(Duration::from_secs(7)));
    }
}
