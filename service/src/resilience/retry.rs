//! Retry: how often, after how long, and how much extra load that may put on a provider that is already in trouble.
//!
//! A retry is a second visit to a provider: moving on to another is [`super::fallback`]'s. Does not know HTTP: which
//! failures are worth a retry is said by [`super::classes`].

use std::sync::Mutex;
use std::time::Duration;

use crate::resilience::classes::{Class, FallsBack, Verdict};
use crate::sync::lock;

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetrySettings {
    /// Which failures are tried again.
    pub on: RetryOn,
    /// Attempts at all providers together, the first included.
    pub max_attempts: u32,
    /// How the wait between attempts grows.
    pub backoff: Backoff,
    /// Longest wait before the first retry.
    pub base: Duration,
    /// Longest wait before any retry.
    pub cap: Duration,
    /// Whether a provider's `Retry-After` is a floor for the wait.
    pub honour_retry_after: bool,
    /// A `Retry-After` above this counts as this.
    pub retry_after_cap: Duration,
    /// Retries allowed per request, on average: what keeps a retry storm from finishing off a provider. Absent: no bound.
    pub budget_ratio: Option<f64>,
}

/// Which failures are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// Those that may pass.
    Transient,
    /// All of them, wrong requests too: what a decorator around a call does that asks no questions.
    Everything,
}

impl RetryOn {
    /// Policy: what follows a failure of this class.
    pub(crate) const fn verdict(self, class: Class) -> Verdict {
        let verdict = class.verdict();
        match (self, class) {
            (Self::Transient, _) | (_, Class::Open | Class::Unaffordable | Class::OutOfTime) => verdict,
            (Self::Everything, _) => Verdict {
                retried: true,
                falls_back: FallsBack::ToNext,
                ..verdict
            },
        }
    }
}

/// How the wait between attempts grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backoff {
    /// It does not: try again at once.
    None,
    /// Anything between nothing and `base * 2^n`, evenly: "full jitter", which spreads a crowd best.
    /// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    FullJitter,
}

impl RetrySettings {
    /// Policy: how long to wait before retry number `retry` (from 0). `draw` is in [0, 1).
    pub(crate) fn wait(&self, retry: u32, draw: f64, retry_after: Option<Duration>) -> Duration {
        let backoff = match self.backoff {
            Backoff::None => Duration::ZERO,
            Backoff::FullJitter => full_jitter(self.base, self.cap, retry, draw),
        };
        backoff.max(self.floor(retry_after))
    }

    /// Policy: the shortest wait that a provider's `Retry-After` leaves.
    pub(crate) fn floor(&self, retry_after: Option<Duration>) -> Duration {
        match retry_after {
            Some(asked) if self.honour_retry_after => asked.min(self.retry_after_cap),
            _ => Duration::ZERO,
        }
    }
}

/// A wait between zero and `base * 2^retry`, at most `cap`. `draw` is in [0, 1).
pub(crate) fn full_jitter(base: Duration, cap: Duration, retry: u32, draw: f64) -> Duration {
    let ceiling = base.saturating_mul(1 << retry.min(16)).min(cap);
    ceiling.mul_f64(draw)
}

/// Mechanism: a bucket into which every request pays `ratio` and from which every retry takes 1.
#[derive(Debug)]
pub(crate) struct RetryBudget {
    ratio: Option<f64>,
    balance: Mutex<f64>,
}

/// What the bucket holds at the start, so that a quiet service can retry as well.
const RESERVE: f64 = 10.0;
/// What it holds at most: yesterday's calm must not pay for today's storm.
const CAPACITY: f64 = 100.0;

impl RetryBudget {
    pub(crate) const fn new(ratio: Option<f64>) -> Self {
        Self {
            ratio,
            balance: Mutex::new(RESERVE),
        }
    }

    /// A request begins.
    pub(crate) fn deposit(&self) {
        if let Some(ratio) = self.ratio {
            let mut balance = lock(&self.balance);
            *balance = (*balance + ratio).min(CAPACITY);
        }
    }

    /// Whether a retry may be made; if so, it is paid for.
    pub(crate) fn withdraw(&self) -> bool {
        if self.ratio.is_none() {
            return true;
        }
        let mut balance = lock(&self.balance);
        let enough = *balance >= 1.0;
        if enough {
            *balance -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: RetrySettings = RetrySettings {
        on: RetryOn::Transient,
        max_attempts: 5,
        backoff: Backoff::FullJitter,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(8),
        honour_retry_after: true,
        retry_after_cap: Duration::from_mins(1),
        budget_ratio: Some(0.2),
    };

    proptest! {
        #[test]
        fn a_wait_stays_between_its_floor_and_its_cap(retry in 0_u32..100, draw in 0.0..1.0_f64, after in 0_u64..1000) {
            let wait = SETTINGS.wait(retry, draw, Some(Duration::from_secs(after)));
            prop_assert!(wait >= Duration::from_secs(after.min(60)));
            prop_assert!(wait <= Duration::from_secs(after.clamp(8, 60)));
        }
    }

    #[test]
    fn who_retries_everything_retries_what_cannot_pass_and_not_what_is_over() {
        for class in [Class::ClientFault, Class::HardDown, Class::ContextLength, Class::Silent] {
            assert!(RetryOn::Everything.verdict(class).retried, "{class:?}");
            assert_eq!(RetryOn::Transient.verdict(class), class.verdict(), "{class:?}");
        }
        for class in [Class::Open, Class::Unaffordable, Class::OutOfTime] {
            assert!(!RetryOn::Everything.verdict(class).retried, "{class:?}");
        }
    }

    #[test]
    fn retry_after_is_ignored_when_told_so() {
        let deaf = RetrySettings {
            honour_retry_after: false,
            backoff: Backoff::None,
            ..SETTINGS
        };
        assert_eq!(deaf.wait(3, 0.9, Some(Duration::from_secs(30))), Duration::ZERO);
    }

    #[test]
    fn waits_double_until_the_cap() {
        let ceilings: Vec<_> = (0..6)
            .map(|n| SETTINGS.wait(n, 0.999_999, None).as_millis().div_ceil(10) * 10)
            .collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 8000]);
    }

    #[test]
    fn a_storm_is_held_to_its_share_of_the_load() {
        let budget = RetryBudget::new(Some(0.2));
        let retries = (0..1000)
            .filter(|_| {
                budget.deposit();
                budget.withdraw()
            })
            .count();
        assert!((200..=211).contains(&retries), "{retries}");
        let unbounded = RetryBudget::new(None);
        assert!((0..1000).all(|_| unbounded.withdraw()));
    }
}
