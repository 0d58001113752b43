//! The script: what one attempt gets, decided entirely when it arrives.
//!
//! Pure: no clock, no wire, no state. Which fault applies is [`crate::faults`]'s part, which needs to count.

use std::sync::Arc;

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{FaultEffect, FaultPlan, ProviderPlan};
use brownout_scenario::seed::{Purpose, SeedTree};
use brownout_scenario::units::{Micros, PromptId};

/// No answer is longer, whatever its distribution draws.
pub(crate) const MAX_OUTPUT_TOKENS: u64 = 131_072;

/// No wait for a single token is longer, whatever its distribution draws.
pub(crate) const MAX_WAIT: Micros = Micros::from_secs(3_600);

/// One attempt, as far as the script cares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask {
    /// The prompt.
    pub(crate) prompt: PromptId,
    /// How often the provider had seen it before.
    pub(crate) attempt: u32,
    /// When the request had been read.
    pub(crate) arrived: Micros,
    /// The most tokens it may be answered with.
    pub(crate) max_tokens: u64,
}

/// What an attempt gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// An error answer, at once.
    Error {
        /// HTTP status.
        status: u16,
        /// What it says about trying again.
        retry_after: Option<Micros>,
    },
    /// An answer.
    Answer {
        /// When each token is due.
        schedule: Schedule,
        /// True when `max_tokens` cut it.
        cut: bool,
    },
}

/// When each token of an answer is due, on the run's clock. Never empty, never falling, cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(Arc<[Micros]>);

impl Schedule {
    /// Tokens of the answer.
    pub(crate) fn tokens(&self) -> u64 {
        self.0.len() as u64
    }

    /// When token `index` is due; the last one's time for any index beyond it.
    pub(crate) fn due(&self, index: u64) -> Micros {
        self.0[(index as usize).min(self.0.len() - 1)]
    }

    /// When the first token is due.
    pub(crate) fn first(&self) -> Micros {
        self.due(0)
    }

    /// When the last token is due.
    pub(crate) fn end(&self) -> Micros {
        self.due(u64::MAX)
    }

    /// Tokens due at `now` or before. A token counts from the moment it is due.
    pub(crate) fn due_by(&self, now: Micros) -> u64 {
        self.0.partition_point(|due| *due <= now) as u64
    }
}

/// Decides what an attempt gets.
///
/// The length depends on the prompt alone, so that a second attempt, or another provider, can produce the same text.
pub(crate) fn decide(plan: &ProviderPlan, seed: SeedTree, fault: Option<&FaultPlan>, ask: &Ask) -> Decision {
    let spike = match fault.map(|fault| &fault.effect) {
        Some(FaultEffect::Status { status, retry_after }) => {
            return Decision::Error {
                status: *status,
                retry_after: *retry_after,
            };
        }
        Some(FaultEffect::LatencySpike {
            first_token,
            inter_token,
        }) => (first_token.as_ref(), inter_token.as_ref()),
        None => (None, None),
    };
    let wanted = seed
        .stream(Purpose::OutputLength, "", ask.prompt, 0)
        .whole(&plan.output_tokens)
        .clamp(1, MAX_OUTPUT_TOKENS);
    let tokens = wanted.min(ask.max_tokens).max(1);
    Decision::Answer {
        schedule: schedule(plan, seed, spike, ask, tokens),
        cut: tokens < wanted,
    }
}

/// Draws the times: the wait for the first token, then the gaps. What a spike replaces has draws of its own, so the
/// rest stays as it would have been.
fn schedule(
    plan: &ProviderPlan,
    seed: SeedTree,
    spike: (Option<&Distribution>, Option<&Distribution>),
    ask: &Ask,
    tokens: u64,
) -> Schedule {
    let draws = |purpose| seed.stream(purpose, &plan.name, ask.prompt, ask.attempt);
    let mut spiked = draws(Purpose::FaultLatency);
    let wait = match spike.0 {
        Some(distribution) => spiked.whole(distribution),
        None => draws(Purpose::FirstToken).whole(&plan.first_token),
    };
    let (mut gaps, gap) = match spike.1 {
        Some(distribution) => (spiked, distribution),
        None => (draws(Purpose::InterToken), &plan.inter_token),
    };
    let mut at = ask.arrived.plus(Micros(wait).min(MAX_WAIT));
    let mut due = Vec::with_capacity(tokens as usize);
    due.push(at);
    for _ in 1..tokens {
        at = at.plus(Micros(gaps.whole(gap)).min(MAX_WAIT));
        due.push(at);
    }
    Schedule(due.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{lognormal, plan, spike};

    fn ask(prompt: u64, attempt: u32, max_tokens: u64) -> Ask {
        Ask {
            prompt: PromptId(prompt),
            attempt,
            arrived: Micros::from_secs(1),
            max_tokens,
        }
    }

    fn answer(decision: Decision) -> (Schedule, bool) {
        match decision {
            Decision::Answer { schedule, cut } => (schedule, cut),
            Decision::Error { .. } => panic!("an error and no answer: {decision:?}"),
        }
    }

    #[test]
    fn tokens_fall_due_at_first_token_plus_the_gaps() {
        let (schedule, cut) = answer(decide(&plan(), SeedTree::new(1), None, &ask(7, 0, 100)));
        assert_eq!(schedule.tokens(), 5);
        assert!(!cut);
        let due: Vec<u64> = (0..5).map(|n| schedule.due(n).0).collect();
        assert_eq!(due, [1_100_000, 1_110_000, 1_120_000, 1_130_000, 1_140_000]);
        assert_eq!(schedule.due_by(Micros(1_099_999)), 0);
        assert_eq!(schedule.due_by(Micros(1_100_000)), 1);
        assert_eq!(schedule.due_by(Micros(1_139_999)), 4);
        assert_eq!(schedule.due_by(schedule.end()), 5);
    }

    #[test]
    fn the_request_limit_cuts_and_an_exact_fit_does_not() {
        let tokens = |max| {
            let (schedule, cut) = answer(decide(&plan(), SeedTree::new(1), None, &ask(7, 0, max)));
            (schedule.tokens(), cut)
        };
        assert_eq!(tokens(4), (4, true));
        assert_eq!(tokens(5), (5, false));
        assert_eq!(tokens(6), (5, false));
    }

    #[test]
    fn length_depends_on_the_prompt_alone_and_pace_on_provider_and_attempt() {
        let mut one = plan();
        one.output_tokens = Distribution::Uniform { min: 1.0, max: 900.0 };
        one.first_token = lognormal(350_000.0, 1_200_000.0);
        let mut other = one.clone();
        other.name = "other".to_owned();
        let seed = SeedTree::new(3);
        let base = answer(decide(&one, seed, None, &ask(7, 0, 1_000))).0;
        for (plan, attempt) in [(&one, 1), (&other, 0)] {
            let again = answer(decide(plan, seed, None, &ask(7, attempt, 1_000))).0;
            assert_eq!(again.tokens(), base.tokens());
            assert_ne!(again.first(), base.first());
        }
        let next = answer(decide(&one, seed, None, &ask(8, 0, 1_000))).0;
        assert_ne!(next.tokens(), base.tokens());
    }

    #[test]
    fn a_spike_replaces_only_what_it_names() {
        let mut plan = plan();
        plan.inter_token = lognormal(10_000.0, 30_000.0);
        let seed = SeedTree::new(5);
        let calm = answer(decide(&plan, seed, None, &ask(1, 0, 100))).0;
        let fault = spike(Some(Distribution::Constant { value: 3e6 }), None);
        let slow = answer(decide(&plan, seed, Some(&fault), &ask(1, 0, 100))).0;
        assert_eq!(slow.first(), Micros::from_secs(4));
        assert_eq!(slow.end().since(slow.first()), calm.end().since(calm.first()));
    }

    #[test]
    fn an_absurd_draw_is_held_to_the_bound() {
        let mut plan = plan();
        plan.first_token = Distribution::Constant { value: 1e18 };
        let (schedule, _) = answer(decide(&plan, SeedTree::new(1), None, &ask(1, 0, 1)));
        assert_eq!(schedule.first(), Micros::from_secs(1).plus(MAX_WAIT));
    }
}
