//! The course of one call: what is done after each failed attempt. The one place where the concerns meet.
//!
//! The caller makes the attempts; the course says after each failure whether there is a next one, waits until it is due,
//! and says at which provider. It never makes an attempt itself.

use std::time::Duration;

use crate::draws::{Purpose, unit};
use crate::resilience::classes::{Class, Verdict};
use crate::resilience::deadline::Deadline;
use crate::resilience::fallback::{Chain, Next};
use crate::resilience::retry::{RetryBudget, RetrySettings};
use crate::telemetry::conventions::span;
use crate::telemetry::{Metrics, Trace};
use crate::upstream::AttemptFailure;

/// All attempts failed, or none could be made.
#[derive(Debug, thiserror::Error)]
#[error("{attempts} attempts failed, the last one: {last}")]
pub struct CallFailure {
    /// How the last one failed.
    pub last: AttemptFailure,
    /// How many there were.
    pub attempts: u32,
    /// Whether one of them got as far as an answer that somebody may bill.
    pub may_be_billed: bool,
}

/// What a course needs to decide.
pub(crate) struct Rules<'a> {
    pub(crate) retry: &'a RetrySettings,
    pub(crate) budget: &'a RetryBudget,
    pub(crate) metrics: &'a Metrics,
    pub(crate) seed: u64,
}

/// The state of one call between its attempts.
pub(crate) struct Course<'a> {
    rules: Rules<'a>,
    chain: Chain,
    deadline: Deadline,
    trace: &'a Trace,
    request_id: &'a str,
    attempts: u32,
    may_be_billed: bool,
    retries: u32,
}

impl<'a> Course<'a> {
    /// A call begins.
    pub(crate) fn begin(
        rules: Rules<'a>,
        chain: Chain,
        deadline: Deadline,
        trace: &'a Trace,
        request_id: &'a str,
    ) -> Self {
        rules.budget.deposit();
        Self {
            rules,
            chain,
            deadline,
            trace,
            request_id,
            attempts: 0,
            may_be_billed: false,
            retries: 0,
        }
    }

    /// The provider to attempt now.
    pub(crate) const fn provider(&self) -> usize {
        self.chain.current()
    }

    /// The provider that a second attempt beside the current one goes to: the next that has not been asked, or the same.
    pub(crate) fn spare(&self) -> usize {
        self.chain.spare()
    }

    /// The attempt at `place` is the one that counts.
    pub(crate) fn went_to(&mut self, place: usize) {
        self.chain.went_to(place);
    }

    /// Whether there may be an attempt besides the one under way, or after the one that answered.
    pub(crate) fn may_have_one_more(&self) -> bool {
        self.attempts + 1 < self.rules.retry.max_attempts && self.deadline.allows(Duration::ZERO)
    }

    /// There is one.
    pub(crate) fn one_more(&mut self) {
        self.attempts += 1;
    }

    /// Whether one of the attempts that failed may be billed.
    pub(crate) const fn may_be_billed(&self) -> bool {
        self.may_be_billed
    }

    /// An attempt failed. Returns when the next one is due, or with the failure that the call ends with.
    pub(crate) async fn after(&mut self, failure: AttemptFailure) -> Result<(), CallFailure> {
        self.attempts += u32::from(was_asked(&failure));
        self.may_be_billed |= failure.may_be_billed();
        let now = tokio::time::Instant::now();
        let (floor, verdict) = self.says(&failure);
        let next = self.chain.failed(now, floor, verdict);
        let floor = match next {
            Next::Nobody => return Err(self.give_up(failure)),
            _ if self.deadline.is_over() => return Err(self.give_up(failure)),
            Next::Fallback => {
                self.rules.metrics.fallbacks.inc();
                return Ok(());
            }
            Next::Again(floor) => floor,
        };
        let draw = unit(
            self.rules.seed,
            Purpose::Jitter,
            self.request_id,
            u64::from(self.attempts),
        );
        let wait = self.rules.retry.wait(self.retries, draw, None).max(floor);
        if self.attempts >= self.rules.retry.max_attempts
            || !self.deadline.allows(wait)
            || !self.rules.budget.withdraw()
        {
            return Err(self.give_up(failure));
        }
        self.retries += 1;
        self.rules.metrics.retries.inc();
        if !wait.is_zero() {
            let _backoff = self.trace.span(span::WAIT_BACKOFF);
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// The attempt at `place` failed beside another one, which is the one that counts. It was announced by
    /// [`Course::one_more`].
    pub(crate) fn also_failed(&mut self, place: usize, failure: &AttemptFailure) {
        self.attempts -= u32::from(!was_asked(failure));
        self.may_be_billed |= failure.may_be_billed();
        // What two could not be paid from at a time may be enough for one after the other.
        if failure.class() != Class::Unaffordable {
            let (floor, verdict) = self.says(failure);
            self.chain
                .also_failed(place, tokio::time::Instant::now(), floor, verdict);
        }
    }

    /// What a failure says: for how long its provider is not to be asked again, and what follows.
    fn says(&self, failure: &AttemptFailure) -> (Duration, Verdict) {
        let floor = match failure {
            AttemptFailure::Open { retry_in } => *retry_in,
            _ => self.rules.retry.floor(failure.retry_after()),
        };
        (floor, self.rules.retry.on.verdict(failure.class()))
    }

    /// The call ends with `failure`. What it says about coming back is made true for the whole chain, and bounded.
    fn give_up(&self, failure: AttemptFailure) -> CallFailure {
        let last = match failure {
            AttemptFailure::Open { .. } => AttemptFailure::Open {
                retry_in: self.chain.soonest(tokio::time::Instant::now()),
            },
            failure => failure.bounded(self.rules.retry.retry_after_cap),
        };
        CallFailure {
            last,
            attempts: self.attempts,
            may_be_billed: self.may_be_billed,
        }
    }
}

/// Whether there was an attempt: whoever was passed over was not asked.
const fn was_asked(failure: &AttemptFailure) -> bool {
    !matches!(failure.class(), Class::Open | Class::Unaffordable)
}
