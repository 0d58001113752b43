//! The seed tree: every draw has its own generator, named by what it is for.
//!
//! A draw is keyed by (seed, purpose, owner, prompt or request, attempt) and never by the order in which things happen, so
//! concurrency, retries and the choice of clock leave all other draws as they were.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use crate::distribution::Distribution;
use crate::trace;
use crate::units::PromptId;

/// What a draw decides. The number is part of every key: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Gaps between arrivals.
    Arrival = 1,
    /// Which kind of client a request is.
    ClientClass = 2,
    /// When a client leaves.
    Disconnect = 3,
    /// Length of a prompt.
    PromptLength = 4,
    /// Length of an answer.
    OutputLength = 5,
    /// Time to first token.
    FirstToken = 6,
    /// Gaps between tokens.
    InterToken = 7,
    /// Whether a fault hits.
    Fault = 8,
    /// Time to first token or gaps under a fault.
    FaultLatency = 9,
    /// Think time of a closed user.
    Think = 10,
    /// How long a model thinks before it answers.
    ReasoningLength = 11,
    /// After which token a fault strikes.
    FaultPosition = 12,
    /// How long a stall lasts.
    StallLength = 13,
    /// When a fault that comes and goes is there.
    FaultTimetable = 14,
    /// When everything is slow.
    SlowPeriod = 15,
    /// Whether an answer is a call of a tool.
    ToolCall = 16,
    /// How long a process takes to start.
    StartTime = 17,
    /// Which prompt a request carries.
    Prompt = 18,
    /// In which words a question is put.
    Phrasing = 19,
    /// Length of an earlier turn of a conversation.
    HistoryLength = 20,
    /// Whether an impatient client sends its request again.
    Again = 21,
}

/// The root of all draws of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedTree {
    seed: u64,
}

impl SeedTree {
    /// The tree that grows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The generator for one purpose of request `index`, whatever prompt it carries.
    pub fn of_request(self, purpose: Purpose, index: u64) -> Draws {
        self.stream(purpose, "", PromptId(trace::number(index)), 0)
    }

    /// The generator for one purpose of one owner (a provider's name, a variant-free label), prompt and attempt.
    pub fn stream(self, purpose: Purpose, owner: &str, prompt: PromptId, attempt: u32) -> Draws {
        let mut key = Sha256::new();
        key.update(self.seed.to_le_bytes());
        key.update([purpose as u8]);
        key.update((owner.len() as u64).to_le_bytes());
        key.update(owner.as_bytes());
        key.update(prompt.0.to_le_bytes());
        key.update(attempt.to_le_bytes());
        Draws(ChaCha8Rng::from_seed(key.finalize().into()))
    }
}

/// A sequence of draws for one key.
#[derive(Debug, Clone)]
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// A number in the open interval (0, 1), on a grid of 2^-53.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A value of `distribution`, rounded to a whole number of its unit.
    pub fn whole(&mut self, distribution: &Distribution) -> u64 {
        libm::round(distribution.quantile(self.unit())) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_key_matters() {
        let first = |seed, purpose, owner, prompt, attempt| {
            SeedTree::new(seed)
                .stream(purpose, owner, PromptId(prompt), attempt)
                .unit()
                .to_bits()
        };
        let base = first(1, Purpose::Fault, "a", 1, 0);
        assert_eq!(base, first(1, Purpose::Fault, "a", 1, 0));
        assert_ne!(base, first(2, Purpose::Fault, "a", 1, 0));
        assert_ne!(base, first(1, Purpose::Arrival, "a", 1, 0));
        assert_ne!(base, first(1, Purpose::Fault, "b", 1, 0));
        assert_ne!(base, first(1, Purpose::Fault, "a", 2, 0));
        assert_ne!(base, first(1, Purpose::Fault, "a", 1, 1));
    }

    #[test]
    fn draws_fill_the_unit_interval() {
        let mut draws = SeedTree::new(7).stream(Purpose::Think, "x", PromptId(0), 0);
        let mean = (0..10_000).map(|_| draws.unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
