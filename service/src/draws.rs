//! Seeded draws: every random decision has its own generator, named by what it is for.
//!
//! A draw is keyed by (seed, purpose, key, n) and never by the order in which requests happen to run, so one request's
//! jitter does not depend on its neighbours.

use std::sync::atomic::{AtomicU64, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What a draw decides. The number is part of the key: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// Jitter between attempts at a provider.
    Jitter = 1,
    /// A trace id, for requests that bring none.
    Trace = 2,
    /// A span id.
    Span = 3,
    /// A request id, for requests that bring none.
    Request = 4,
    /// The id of an answer or a job.
    Answer = 5,
    /// Jitter between runs of a job.
    JobBackoff = 6,
    /// Jitter between tries to tell the outcome of a job.
    WebhookBackoff = 7,
    /// Which of several providers that are alike is asked first.
    Route = 8,
    /// Jitter of a breaker's cooldown.
    BreakerJitter = 9,
}

/// 128 bits for one key.
pub(crate) fn bits(seed: u64, purpose: Purpose, key: &str, n: u64) -> u128 {
    let mut rng = rng(seed, purpose, key, n);
    (u128::from(rng.next_u64()) << 64) | u128::from(rng.next_u64())
}

/// A number in [0, 1) for one key.
pub(crate) fn unit(seed: u64, purpose: Purpose, key: &str, n: u64) -> f64 {
    (rng(seed, purpose, key, n).next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
}

fn rng(seed: u64, purpose: Purpose, key: &str, n: u64) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    let parts = [seed, purpose as u64, fnv1a(key.as_bytes()), n];
    for (slot, part) in bytes.chunks_exact_mut(8).zip(parts) {
        slot.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Hands out identifiers that differ between requests, instances with the same seed, and restarts of one.
#[derive(Debug)]
pub(crate) struct Ids {
    seed: u64,
    count: AtomicU64,
}

impl Ids {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            seed,
            count: AtomicU64::new(0),
        }
    }

    /// A fresh id. `key` and `now_us` keep equal seeds apart: name the request, and say when.
    pub(crate) fn next(&self, purpose: Purpose, key: &str, now_us: u64) -> u128 {
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        bits(self.seed ^ now_us.rotate_left(17), purpose, key, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_matters() {
        let base = bits(1, Purpose::Jitter, "a", 0);
        assert_eq!(base, bits(1, Purpose::Jitter, "a", 0));
        assert_ne!(base, bits(2, Purpose::Jitter, "a", 0));
        assert_ne!(base, bits(1, Purpose::Answer, "a", 0));
        assert_ne!(base, bits(1, Purpose::Jitter, "b", 0));
        assert_ne!(base, bits(1, Purpose::Jitter, "a", 1));
    }

    #[test]
    fn a_restarted_instance_hands_out_new_ids() {
        let before = Ids::new(7).next(Purpose::Answer, "r", 1_000);
        let after = Ids::new(7).next(Purpose::Answer, "r", 2_000);
        assert_ne!(before, after);
    }
}
