//! When each token of an answer is due, on the run's clock.
//!
//! A schedule never falls. It may be empty: then it still says when the head of the answer is due.

use std::sync::Arc;

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{FaultEffect, ProviderPlan};
use brownout_scenario::seed::{Purpose, SeedTree};
use brownout_scenario::units::Micros;

use super::{Ask, MAX_WAIT};

/// Due times: of the tokens that the model only thinks, then of those that are delivered. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    due: Arc<[Micros]>,
    /// How many of them are only thought.
    hidden: usize,
    /// When an answer without any token begins.
    head: Micros,
}

impl Schedule {
    /// Draws the times: the wait for the first token, then the gaps. What a spike replaces has draws of its own, so the
    /// rest stays as it would have been.
    pub(super) fn draw(
        plan: &ProviderPlan,
        seed: SeedTree,
        effect: Option<&FaultEffect>,
        ask: &Ask,
        (hidden, visible): (u64, u64),
    ) -> Self {
        let spike = match effect {
            Some(FaultEffect::LatencySpike {
                first_token,
                inter_token,
            }) => (first_token.as_ref(), inter_token.as_ref()),
            _ => (None, None),
        };
        let draws = |purpose| seed.stream(purpose, &plan.name, ask.prompt, ask.attempt);
        let mut spiked = draws(Purpose::FaultLatency);
        let wait = match spike.0 {
            Some(distribution) => spiked.whole(distribution),
            None => draws(Purpose::FirstToken).whole(&plan.first_token),
        };
        let (mut gaps, gap): (_, &Distribution) = match spike.1 {
            Some(distribution) => (spiked, distribution),
            None => (draws(Purpose::InterToken), &plan.inter_token),
        };
        let prefill = plan.prefill.0.saturating_mul(ask.prefill_tokens);
        let slow = |wait: u64| slowed(wait, ask.slowness).min(MAX_WAIT);
        let head = ask.begins.plus(slow(wait.saturating_add(prefill)));
        let tokens = (hidden + visible) as usize;
        let mut due = Vec::with_capacity(tokens);
        let mut at = head;
        for nth in 0..tokens {
            if nth > 0 {
                at = at.plus(slow(gaps.whole(gap)));
            }
            due.push(at);
        }
        Self {
            due: due.into(),
            hidden: hidden as usize,
            head,
        }
    }

    /// Nothing is ever due, from `head` on.
    pub(crate) fn nothing(head: Micros) -> Self {
        Self {
            due: Arc::new([]),
            hidden: 0,
            head,
        }
    }

    /// Leaves the first `visible` visible tokens.
    pub(super) fn cut(&mut self, visible: u64) {
        let keep = self.hidden + visible as usize;
        if keep < self.due.len() {
            self.due = self.due[..keep].into();
        }
    }

    /// Delays what comes after the first `visible` visible tokens; if none does, the end is as it was.
    pub(super) fn stall(&mut self, visible: u64, pause: Micros) {
        let from = self.hidden + visible as usize;
        let delayed = |(nth, due): (usize, &Micros)| if nth >= from { due.plus(pause) } else { *due };
        self.due = self.due.iter().enumerate().map(delayed).collect();
    }

    /// Tokens that are delivered.
    pub(crate) fn visible(&self) -> u64 {
        (self.due.len() - self.hidden) as u64
    }

    /// Tokens that are only thought.
    pub(crate) fn hidden(&self) -> u64 {
        self.hidden as u64
    }

    /// All tokens.
    pub(crate) fn tokens(&self) -> u64 {
        self.due.len() as u64
    }

    /// When visible token `index` is due; the end for any index beyond the last.
    pub(crate) fn due(&self, index: u64) -> Micros {
        let at = self.hidden.saturating_add(index as usize);
        self.due.get(at).copied().unwrap_or_else(|| self.end())
    }

    /// When the head of a stream is due: with its first visible token, or at the end of one that has none.
    pub(crate) fn first(&self) -> Micros {
        self.due(0)
    }

    /// When the last token is due.
    pub(crate) fn end(&self) -> Micros {
        self.due.last().copied().unwrap_or(self.head)
    }

    /// Visible tokens due at `now` or before. A token counts from the moment it is due.
    pub(crate) fn due_by(&self, now: Micros) -> u64 {
        self.generated_by(now).saturating_sub(self.hidden as u64)
    }

    /// All tokens due at `now` or before.
    pub(crate) fn generated_by(&self, now: Micros) -> u64 {
        self.due.partition_point(|due| *due <= now) as u64
    }
}

/// `wait` microseconds times `factor`, exact when the factor is 1.
fn slowed(wait: u64, factor: f64) -> Micros {
    if (factor - 1.0).abs() < f64::EPSILON {
        Micros(wait)
    } else {
        Micros((wait as f64 * factor) as u64)
    }
}
