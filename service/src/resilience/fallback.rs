//! Fallback: which provider to try next.
//!
//! The chain is walked once without waiting, because another provider owes nothing to the first one's bad day. When all
//! have failed it begins again, at the provider that may be asked first; that is a retry, and [`super::retry`] decides on it.

use std::time::Duration;

use tokio::time::Instant;

/// Policy: the walk along the providers, in order of preference, for one request. With one provider it stays where it is.
#[derive(Debug)]
pub(crate) struct Chain {
    /// When each provider may be asked again, as far as it said so.
    not_before: Vec<Option<Instant>>,
    at: usize,
    visited: usize,
}

/// Where to go after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To a provider that has not been asked yet: at once.
    Fallback,
    /// To one that has been asked before, and not sooner than after this wait.
    Again(Duration),
}

impl Chain {
    /// A walk along `providers` of them; without fallback the first is the only one.
    pub(crate) fn new(providers: usize, fallback: bool) -> Self {
        let length = if fallback { providers.max(1) } else { 1 };
        Self {
            not_before: vec![None; length],
            at: 0,
            visited: 1,
        }
    }

    /// The provider whose turn it is.
    pub(crate) const fn current(&self) -> usize {
        self.at
    }

    /// The current provider failed and does not want to be asked again for `floor`.
    pub(crate) fn failed(&mut self, now: Instant, floor: Duration) -> Next {
        self.not_before[self.at] = Some(now + floor);
        if self.visited < self.not_before.len() {
            self.at = self.visited;
            self.visited += 1;
            return Next::Fallback;
        }
        // Whoever was free first: among equals `min_by_key` takes the first, which keeps the order of preference, and who
        // has just failed comes last.
        let first_free = (0..self.not_before.len()).min_by_key(|index| self.not_before[*index]);
        self.at = first_free.unwrap_or(0);
        Next::Again(self.not_before[self.at].map_or(Duration::ZERO, |at| at.duration_since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_chain_is_walked_once_before_anyone_is_asked_again() {
        let now = Instant::now();
        let mut chain = Chain::new(3, true);
        assert_eq!(chain.failed(now, Duration::ZERO), Next::Fallback);
        assert_eq!(chain.current(), 1);
        assert_eq!(chain.failed(now, Duration::ZERO), Next::Fallback);
        assert_eq!(chain.failed(now, Duration::ZERO), Next::Again(Duration::ZERO));
        assert_eq!(chain.current(), 0, "order of preference");
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_asked_for_time_gets_it_while_another_is_ready() {
        let now = Instant::now();
        let mut chain = Chain::new(2, true);
        assert_eq!(chain.failed(now, Duration::from_secs(30)), Next::Fallback);
        assert_eq!(
            chain.failed(now, Duration::from_secs(2)),
            Next::Again(Duration::from_secs(2))
        );
        assert_eq!(chain.current(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_failed_comes_last_in_the_next_round() {
        let now = Instant::now();
        let mut chain = Chain::new(2, true);
        chain.failed(now, Duration::ZERO);
        chain.failed(now, Duration::ZERO);
        chain.failed(now + Duration::from_secs(1), Duration::ZERO);
        assert_eq!(chain.current(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_fallback_the_first_provider_is_the_only_one() {
        let mut chain = Chain::new(3, false);
        assert_eq!(
            chain.failed(Instant::now(), Duration::ZERO),
            Next::Again(Duration::ZERO)
        );
        assert_eq!(chain.current(), 0);
    }
}
