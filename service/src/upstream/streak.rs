//! How many attempts in a row a provider has failed: its health, from what is seen of it anyway.
//!
//! Decides nothing: requests are sent to a failing provider all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::AttemptFailure;

/// So many failures in a row, and the provider is said to be failing.
const FAILING: u32 = 5;

/// A provider's failures since its last success. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Streak(Arc<AtomicU32>);

impl Streak {
    /// An attempt ended.
    pub(super) fn saw(&self, failure: Option<&AttemptFailure>) {
        match failure {
            None => self.0.store(0, Ordering::Relaxed),
            Some(failure) if failure.is_the_providers() => {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            Some(_) => {}
        }
    }

    /// A word for readiness.
    pub(super) fn standing(&self) -> &'static str {
        if self.0.load(Ordering::Relaxed) < FAILING {
            "ok"
        } else {
            "failing"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn status(status: u16) -> AttemptFailure {
        AttemptFailure::Status {
            status,
            retry_after: None,
            out_of_quota: false,
        }
    }

    #[test]
    fn five_failures_in_a_row_are_a_failing_provider_and_one_success_is_not() {
        let streak = Streak::default();
        for n in 0..5 {
            assert_eq!(streak.standing(), "ok", "{n}");
            streak.saw(Some(&status(503)));
        }
        assert_eq!(streak.standing(), "failing");
        streak.saw(None);
        assert_eq!(streak.standing(), "ok");
    }

    #[test]
    fn a_client_that_asks_for_nonsense_does_not_make_a_provider_fail() {
        let streak = Streak::default();
        for _ in 0..10 {
            streak.saw(Some(&status(400)));
        }
        assert_eq!(streak.standing(), "ok");
    }
}
