//! Which fault an attempt suffers: the first in the plan that applies.
//!
//! Keeps the one thing that depends on the order of arrival, the count behind `first = n`. What a fault does is
//! [`crate::script`]'s part.

use brownout_scenario::plan::{FaultPlan, ProviderPlan};
use brownout_scenario::seed::{Purpose, SeedTree};

use crate::script::Ask;

/// How many attempts each fault's window has seen.
#[derive(Debug)]
pub(crate) struct Faults {
    seen: Vec<u64>,
}

impl Faults {
    /// Nothing seen yet.
    pub(crate) fn new(plan: &ProviderPlan) -> Self {
        Self {
            seen: vec![0; plan.faults.len()],
        }
    }

    /// The fault that `ask` suffers. Every window that is open counts the attempt, whoever wins it.
    pub(crate) fn pick<'p>(&mut self, plan: &'p ProviderPlan, seed: SeedTree, ask: &Ask) -> Option<&'p FaultPlan> {
        let mut winner = None;
        for (fault, seen) in plan.faults.iter().zip(&mut self.seen) {
            if !(fault.from..fault.until).contains(&ask.arrived) {
                continue;
            }
            *seen += 1;
            let counted_out = fault.first.is_some_and(|first| *seen > first);
            if winner.is_none() && !counted_out && strikes(plan, seed, fault, ask) {
                winner = Some(fault);
            }
        }
        winner
    }
}

/// Draws whether the fault hits; the draw belongs to provider, fault, prompt and attempt.
fn strikes(plan: &ProviderPlan, seed: SeedTree, fault: &FaultPlan, ask: &Ask) -> bool {
    let owner = format!("{}/{}", plan.name, fault.id);
    seed.stream(Purpose::Fault, &owner, ask.prompt, ask.attempt).unit() < fault.probability.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{plan, status};
    use brownout_scenario::units::{Micros, PromptId, Share};

    fn ask(prompt: u64, arrived: Micros) -> Ask {
        Ask {
            prompt: PromptId(prompt),
            attempt: 0,
            arrived,
            max_tokens: 10,
        }
    }

    fn window(id: &str, from: u64, until: u64) -> FaultPlan {
        FaultPlan {
            id: id.to_owned(),
            from: Micros(from),
            until: Micros(until),
            ..status(503, None)
        }
    }

    fn picked(plan: &ProviderPlan, faults: &mut Faults, prompt: u64, at: u64) -> Option<String> {
        let fault = faults.pick(plan, SeedTree::new(1), &ask(prompt, Micros(at)));
        fault.map(|fault| fault.id.clone())
    }

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let mut plan = plan();
        plan.faults = vec![window("a", 10, 20)];
        let mut faults = Faults::new(&plan);
        let hits = [9, 10, 19, 20].map(|at| picked(&plan, &mut faults, 1, at).is_some());
        assert_eq!(hits, [false, true, true, false]);
    }

    #[test]
    fn the_first_that_applies_wins() {
        let mut plan = plan();
        plan.faults = vec![window("a", 10, 20), window("b", 0, 30)];
        let mut faults = Faults::new(&plan);
        assert_eq!(picked(&plan, &mut faults, 1, 15).as_deref(), Some("a"));
        assert_eq!(picked(&plan, &mut faults, 1, 25).as_deref(), Some("b"));
    }

    #[test]
    fn first_three_then_fine() {
        let mut plan = plan();
        plan.faults = vec![FaultPlan {
            first: Some(3),
            ..window("a", 10, 20)
        }];
        let mut faults = Faults::new(&plan);
        assert_eq!(
            picked(&plan, &mut faults, 0, 5),
            None,
            "before the window nothing counts"
        );
        let hits = (0..5).map(|n| picked(&plan, &mut faults, n, 12).is_some());
        assert_eq!(hits.collect::<Vec<_>>(), [true, true, true, false, false]);
    }

    #[test]
    fn chance_falls_on_the_same_prompts_in_any_order() {
        let mut plan = plan();
        plan.faults = vec![FaultPlan {
            probability: Share::try_from(0.3).unwrap(),
            ..window("a", 0, 100)
        }];
        let mut forth = Faults::new(&plan);
        let mut back = Faults::new(&plan);
        let upward: Vec<_> = (0..1_000).map(|n| picked(&plan, &mut forth, n, 1)).collect();
        let mut downward: Vec<_> = (0..1_000).rev().map(|n| picked(&plan, &mut back, n, 1)).collect();
        downward.reverse();
        assert_eq!(upward, downward);
        let hits = upward.iter().flatten().count();
        assert!((240..360).contains(&hits), "{hits} of 1000 at 0.3");
    }
}
