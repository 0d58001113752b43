//! What all holders of a trace know of its request: where its time went, whether its client is there, what it used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::timing::Timing;
use crate::storage::Provenance;
use crate::sync::lock;
use crate::upstream::Usage;

/// The story of one request.
#[derive(Default)]
pub(super) struct Story {
    pub(super) timing: Timing,
    client_left: AtomicBool,
    /// Whether a provider was asked.
    asked: AtomicBool,
    /// What the head of the answer says besides.
    pub(super) said: Mutex<Vec<(&'static str, String)>>,
    /// Those who wait for what is done here, besides its own client.
    others: Mutex<Vec<Arc<Self>>>,
    /// Whether a piece of text came.
    begun: AtomicBool,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    provider: Option<String>,
    usage: Option<(Usage, Provenance)>,
    /// Of all attempts that have ended.
    attempts: Option<(Usage, Provenance)>,
}

impl Story {
    pub(super) fn client_has_left(&self) {
        self.client_left.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits for what is done here any more.
    pub(super) fn has_client_left(&self) -> bool {
        let left = |story: &Self| story.client_left.load(Ordering::Relaxed);
        left(self) && lock(&self.others).iter().all(|other| left(other))
    }

    /// What is done here is done for that one too.
    pub(super) fn shared_with(&self, other: &Arc<Self>) {
        lock(&self.others).push(Arc::clone(other));
    }

    pub(super) fn asks(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// A piece of text came from `provider`.
    pub(super) fn piece(&self, provider: &str) {
        if !self.begun.swap(true, Ordering::Relaxed) {
            lock(&self.told).provider = Some(provider.to_owned());
        }
    }

    /// Who sent the first piece.
    pub(super) fn begun_by(&self) -> Option<String> {
        lock(&self.told).provider.clone()
    }

    /// An attempt used so much. The sum is an estimate if one of them is.
    pub(super) fn attempt_used(&self, usage: Usage, provenance: Provenance) {
        let mut told = lock(&self.told);
        let (sum, known) = told.attempts.unwrap_or((Usage::default(), Provenance::Authoritative));
        let sum = Usage {
            prompt_tokens: sum.prompt_tokens.saturating_add(usage.prompt_tokens),
            completion_tokens: sum.completion_tokens.saturating_add(usage.completion_tokens),
        };
        let provenance = if known == Provenance::Authoritative {
            provenance
        } else {
            known
        };
        told.attempts = Some((sum, provenance));
    }

    pub(super) fn attempts_used(&self) -> Option<(Usage, Provenance)> {
        lock(&self.told).attempts
    }

    pub(super) fn used(&self, usage: Usage, provenance: Provenance) {
        lock(&self.told).usage = Some((usage, provenance));
    }

    pub(super) fn usage(&self) -> Option<(Usage, Provenance)> {
        lock(&self.told).usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_attempts_is_an_estimate_if_one_of_them_is() {
        let story = Story::default();
        assert_eq!(story.attempts_used(), None);
        let of = |completion_tokens| Usage {
            prompt_tokens: 3,
            completion_tokens,
        };
        let sum = |completion_tokens| Usage {
            prompt_tokens: completion_tokens,
            completion_tokens,
        };
        story.attempt_used(of(2), Provenance::Authoritative);
        story.attempt_used(of(4), Provenance::Authoritative);
        assert_eq!(story.attempts_used(), Some((sum(6), Provenance::Authoritative)));
        story.attempt_used(of(1), Provenance::Estimated);
        story.attempt_used(of(5), Provenance::Authoritative);
        assert_eq!(story.attempts_used(), Some((sum(12), Provenance::Estimated)));
    }
}
