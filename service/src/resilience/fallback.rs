//! Fallback: which provider to try next.
//!
//! The chain is walked once without waiting, because another provider owes nothing to the first one's bad day. When all
//! have failed it begins again, at the provider that may be asked first; that is a retry, and [`super::retry`] decides on it.
//! Does not know why a provider failed: what follows from that comes with the `Verdict`.

use std::time::Duration;

use tokio::time::Instant;

use crate::resilience::classes::{FallsBack, Verdict};

/// Policy: the walk along the providers, in order of preference, for one request. With one provider it stays where it is.
#[derive(Debug)]
pub(crate) struct Chain {
    candidates: Vec<Candidate>,
    at: usize,
}

/// A provider in the chain.
#[derive(Debug, Clone, Copy, Default)]
struct Candidate {
    /// Tokens that prompt and answer have room in, as far as that is known.
    context_window: Option<u32>,
    /// When it may be asked again, as far as it said so.
    not_before: Option<Instant>,
    /// Its turn has come.
    visited: bool,
    /// It is not asked again for this request.
    out: bool,
}

/// Where to go after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// To a provider that has not been asked yet: at once.
    Fallback,
    /// To one that has been asked before, and not sooner than after this wait.
    Again(Duration),
    /// Nobody is left who may be asked.
    Nobody,
}

impl Chain {
    /// A walk along providers with these context windows; without fallback the first is the only one.
    pub(crate) fn new(context_windows: impl IntoIterator<Item = Option<u32>>, fallback: bool) -> Self {
        let candidates = context_windows.into_iter().map(|context_window| Candidate {
            context_window,
            ..Candidate::default()
        });
        let length = if fallback { usize::MAX } else { 1 };
        let mut chain = Self {
            candidates: candidates.take(length).collect(),
            at: 0,
        };
        chain.visit(0);
        chain
    }

    /// The provider whose turn it is.
    pub(crate) const fn current(&self) -> usize {
        self.at
    }

    /// Who would be asked next, were the current one to fail; the current one if all have been asked.
    pub(crate) fn spare(&self) -> usize {
        let mut candidates = self.candidates.iter();
        let next = candidates.position(|candidate| !candidate.visited && !candidate.out);
        next.unwrap_or(self.at)
    }

    /// Who stands at `place` was asked besides, and has answered.
    pub(crate) fn went_to(&mut self, place: usize) {
        self.visit(place);
    }

    /// The current provider failed, `verdict` follows from it, and it does not want to be asked again for `floor`.
    pub(crate) fn failed(&mut self, now: Instant, floor: Duration, verdict: Verdict) -> Next {
        self.also_failed(self.at, now, floor, verdict);
        self.next(now)
    }

    /// So did who stands at `place` and was asked besides. The turn does not change for that.
    pub(crate) fn also_failed(&mut self, place: usize, now: Instant, floor: Duration, verdict: Verdict) {
        let failed = &mut self.candidates[place];
        failed.visited = true;
        failed.not_before = failed.not_before.max(Some(now + floor));
        failed.out |= !verdict.retried;
        let window = failed.context_window;
        match verdict.falls_back {
            FallsBack::ToNext => {}
            FallsBack::No => self.rule_out(|_| true),
            FallsBack::ToLarger => self.rule_out(|other| !is_larger(other.context_window, window)),
        }
    }

    /// How long until the first of those who said so may be asked.
    pub(crate) fn soonest(&self, now: Instant) -> Duration {
        let soonest = self
            .candidates
            .iter()
            .filter_map(|candidate| candidate.not_before)
            .min();
        soonest.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    fn next(&mut self, now: Instant) -> Next {
        let left = |(_, candidate): &(usize, &Candidate)| !candidate.out;
        let unvisited = self
            .candidates
            .iter()
            .enumerate()
            .filter(left)
            .find(|(_, it)| !it.visited);
        if let Some((place, _)) = unvisited {
            self.visit(place);
            return Next::Fallback;
        }
        // Whoever was free first: among equals `min_by_key` takes the first, which keeps the order of preference, and who
        // has just failed comes last.
        let left = self.candidates.iter().enumerate().filter(left);
        let Some((place, free)) = left.min_by_key(|(_, candidate)| candidate.not_before) else {
            return Next::Nobody;
        };
        let wait = free.not_before.map(|at| at.saturating_duration_since(now));
        self.visit(place);
        Next::Again(wait.unwrap_or_default())
    }

    fn visit(&mut self, place: usize) {
        self.at = place;
        if let Some(candidate) = self.candidates.get_mut(place) {
            candidate.visited = true;
        }
    }

    fn rule_out(&mut self, whom: impl Fn(&Candidate) -> bool) {
        for candidate in &mut self.candidates {
            candidate.out |= whom(candidate);
        }
    }
}

/// Only what is known to be larger is: a guess would cost a visit and end the same way.
fn is_larger(other: Option<u32>, than: Option<u32>) -> bool {
    other.zip(than).is_some_and(|(other, than)| other > than)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::classes::Class;

    const BRIEFLY: Verdict = Class::Transient.verdict();

    fn chain(providers: usize) -> Chain {
        Chain::new(vec![None; providers], true)
    }

    #[tokio::test(start_paused = true)]
    async fn the_chain_is_walked_once_before_anyone_is_asked_again() {
        let now = Instant::now();
        let mut chain = chain(3);
        assert_eq!(chain.failed(now, Duration::ZERO, BRIEFLY), Next::Fallback);
        assert_eq!(chain.current(), 1);
        assert_eq!(chain.failed(now, Duration::ZERO, BRIEFLY), Next::Fallback);
        assert_eq!(chain.failed(now, Duration::ZERO, BRIEFLY), Next::Again(Duration::ZERO));
        assert_eq!(chain.current(), 0, "order of preference");
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_asked_for_time_gets_it_while_another_is_ready() {
        let now = Instant::now();
        let mut chain = chain(2);
        assert_eq!(chain.failed(now, Duration::from_secs(30), BRIEFLY), Next::Fallback);
        assert_eq!(
            chain.failed(now, Duration::from_secs(2), BRIEFLY),
            Next::Again(Duration::from_secs(2))
        );
        assert_eq!(chain.current(), 1);
        assert_eq!(chain.soonest(now), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_just_failed_comes_last_in_the_next_round() {
        let now = Instant::now();
        let mut chain = chain(2);
        chain.failed(now, Duration::ZERO, BRIEFLY);
        chain.failed(now, Duration::ZERO, BRIEFLY);
        chain.failed(now + Duration::from_secs(1), Duration::ZERO, BRIEFLY);
        assert_eq!(chain.current(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn without_fallback_the_first_provider_is_the_only_one() {
        let mut chain = Chain::new([None; 3], false);
        let now = Instant::now();
        assert_eq!(chain.failed(now, Duration::ZERO, BRIEFLY), Next::Again(Duration::ZERO));
        assert_eq!(chain.current(), 0);
        let silent = Class::Silent.verdict();
        assert_eq!(chain.failed(now, Duration::ZERO, silent), Next::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_silent_is_out_and_the_others_take_turns_without_it() {
        let now = Instant::now();
        let mut chain = chain(2);
        let silent = Class::Silent.verdict();
        assert_eq!(chain.failed(now, Duration::ZERO, silent), Next::Fallback);
        for _ in 0..3 {
            assert_eq!(chain.failed(now, Duration::ZERO, BRIEFLY), Next::Again(Duration::ZERO));
            assert_eq!(chain.current(), 1);
        }
        assert_eq!(chain.failed(now, Duration::ZERO, silent), Next::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_asked_besides_and_failed_is_not_visited_again_as_if_it_were_new() {
        let now = Instant::now();
        let mut three = chain(3);
        three.also_failed(1, now, Duration::from_secs(30), BRIEFLY);
        assert_eq!((three.current(), three.spare()), (0, 2));
        assert_eq!(three.failed(now, Duration::ZERO, BRIEFLY), Next::Fallback);
        assert_eq!(three.current(), 2);
        assert_eq!(three.failed(now, Duration::ZERO, BRIEFLY), Next::Again(Duration::ZERO));
        assert_eq!(three.current(), 0, "not who asked for half a minute");
        let mut two = chain(2);
        two.also_failed(1, now, Duration::ZERO, Class::Silent.verdict());
        assert_eq!(two.failed(now, Duration::ZERO, Class::Silent.verdict()), Next::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_request_is_taken_to_nobody_else() {
        let mut chain = chain(3);
        let wrong = Class::ClientFault.verdict();
        assert_eq!(chain.failed(Instant::now(), Duration::ZERO, wrong), Next::Nobody);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_prompt_goes_to_windows_that_are_known_to_be_larger() {
        let now = Instant::now();
        let too_long = Class::ContextLength.verdict();
        let windows = [Some(8_000), Some(8_000), None, Some(4_000), Some(32_000)];
        let mut chain = Chain::new(windows, true);
        assert_eq!(chain.failed(now, Duration::ZERO, too_long), Next::Fallback);
        assert_eq!(chain.current(), 4);
        // Whatever happens there, nobody with a smaller one is asked again.
        assert_eq!(chain.failed(now, Duration::ZERO, BRIEFLY), Next::Again(Duration::ZERO));
        assert_eq!(chain.current(), 4);
        assert_eq!(chain.failed(now, Duration::ZERO, too_long), Next::Nobody);
        let mut unknown = Chain::new([None, Some(32_000)], true);
        assert_eq!(unknown.failed(now, Duration::ZERO, too_long), Next::Nobody);
    }
}
