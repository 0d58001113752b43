//! What all holders of a trace know of its request: where its time went, whether its client is there, what it used.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    /// Tokens in the pieces that came.
    tokens: AtomicU64,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    provider: Option<String>,
    usage: Option<(Usage, Provenance)>,
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

    /// A piece of text came from `provider`, of about so many tokens.
    pub(super) fn piece(&self, provider: &str, tokens: u64) {
        if self.tokens.fetch_add(tokens, Ordering::Relaxed) == 0 {
            lock(&self.told).provider = Some(provider.to_owned());
        }
    }

    /// About how many tokens came so far, of all attempts, and who sent the first.
    pub(super) fn came(&self) -> Option<(u64, String)> {
        let provider = lock(&self.told).provider.clone()?;
        Some((self.tokens.load(Ordering::Relaxed), provider))
    }

    pub(super) fn used(&self, usage: Usage, provenance: Provenance) {
        lock(&self.told).usage = Some((usage, provenance));
    }

    pub(super) fn usage(&self) -> Option<(Usage, Provenance)> {
        lock(&self.told).usage
    }
}
