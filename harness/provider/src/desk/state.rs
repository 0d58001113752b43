//! What changes from attempt to attempt at one provider.
//!
//! Behind the desk's lock, so that attempts pass one after the other.

use std::sync::Arc;

use brownout_scenario::plan::{Dialect, ModelPlan, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use brownout_scenario::units::Micros;

use super::reply::Holds;
use super::seen::Seen;
use crate::capacity::Capacity;
use crate::faults::Faults;
use crate::ledger::{CutShort, Retention};
use crate::limits::{Limiter, Owner, Standing};
use crate::prompt::PromptCache;
use crate::timetable::Timetable;

/// All of it.
#[derive(Debug)]
pub(super) struct State {
    /// What is played.
    pub(super) plan: Arc<ProviderPlan>,
    /// Where its draws come from.
    pub(super) seed: SeedTree,
    /// How often each prompt came.
    pub(super) seen: Seen,
    /// What goes wrong.
    pub(super) faults: Faults,
    /// Who may ask how much.
    pub(super) limiter: Option<Limiter>,
    /// How much is worked on at once.
    pub(super) capacity: Option<Capacity>,
    /// What is remembered of prompts.
    pub(super) cache: Option<PromptCache>,
    /// When everything is slow.
    pub(super) slow: Option<Timetable>,
    /// A number for every attempt.
    pub(super) tickets: u64,
}

impl State {
    /// Nothing has happened yet.
    pub(super) fn new(plan: ProviderPlan, seed: SeedTree, retention: Retention) -> Self {
        Self {
            seed,
            seen: Seen::new(retention),
            faults: Faults::new(&plan, seed),
            limiter: plan.limits.clone().map(Limiter::new),
            capacity: plan.capacity.map(Capacity::new),
            cache: plan
                .prompt_cache
                .map(|cache| PromptCache::new(cache, plan.dialect == Dialect::Anthropic)),
            slow: plan
                .slow_periods
                .as_ref()
                .map(|slow| Timetable::of_slow_periods(slow, seed, &plan.name)),
            tickets: 0,
            plan: Arc::new(plan),
        }
    }

    /// By what all waits of an attempt that arrives now are multiplied.
    pub(super) fn slowness(&mut self, now: Micros) -> f64 {
        let is_slow = self.slow.as_mut().is_some_and(|timetable| timetable.is_on(now));
        let factor = self.plan.slow_periods.as_ref().map_or(1.0, |slow| slow.factor);
        if is_slow { factor } else { 1.0 }
    }

    /// Where a key stands with the family of `model`, or else of the first model.
    pub(super) fn standing(&mut self, key: Option<&str>, model: Option<&ModelPlan>, now: Micros) -> Standing {
        let (Some(limiter), Some(key)) = (&mut self.limiter, key) else {
            return Standing::default();
        };
        let family = model.or(self.plan.models.first()).map_or("", |model| &model.family);
        limiter.standing(Owner { key, family }, now)
    }

    /// The next number.
    pub(super) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// An attempt ended otherwise than expected.
    pub(super) fn let_go(&mut self, holds: &Holds, cut: CutShort, now: Micros) {
        if let (Some(capacity), Some((ticket, expected))) = (&mut self.capacity, holds.slot) {
            capacity.revise(ticket, expected, cut.ended);
        }
        if let (Some(limiter), Some(refund)) = (&mut self.limiter, &holds.refund) {
            let unused = holds.max_tokens.saturating_sub(cut.generated);
            limiter.revise(refund, cut.ended, unused, now);
        }
    }
}
