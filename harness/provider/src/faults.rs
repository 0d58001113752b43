//! Which fault an attempt suffers: the first in the plan that concerns it and strikes.
//!
//! Keeps what depends on the order of arrival, the counts behind `first` and `every`. What a fault does is
//! [`crate::script`]'s part; faults that keep callers from connecting are the engine's.

use std::sync::Arc;

use brownout_scenario::plan::{FaultEffect, FaultPlan, HeaderMatch, ProviderPlan};
use brownout_scenario::seed::{Purpose, SeedTree};
use http::HeaderMap;

use crate::script::Ask;
use crate::timetable::Timetable;

/// The faults of a provider, and how many attempts each has concerned.
#[derive(Debug)]
pub(crate) struct Faults {
    each: Vec<Fault>,
}

#[derive(Debug)]
struct Fault {
    plan: Arc<FaultPlan>,
    owner: String,
    timetable: Timetable,
    concerned: u64,
}

/// An attempt, as far as scopes care.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The model asked for.
    pub(crate) model: &'a str,
    /// The API key.
    pub(crate) key: &'a str,
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
    /// Whether a schema was asked for, by a format or by a tool.
    pub(crate) wants_schema: bool,
}

impl Faults {
    /// Nothing seen yet.
    pub(crate) fn new(plan: &ProviderPlan, seed: SeedTree) -> Self {
        let faults = plan.faults.iter().filter(|f| f.effect != FaultEffect::RefuseConnection);
        let each = faults.map(|fault| Fault {
            plan: Arc::new(fault.clone()),
            owner: format!("{}/{}", plan.name, fault.id),
            timetable: Timetable::of_fault(fault, seed, &plan.name),
            concerned: 0,
        });
        Self { each: each.collect() }
    }

    /// The fault that `ask` suffers. Every fault that is there counts the attempts that it concerns, whoever wins them.
    pub(crate) fn pick(&mut self, seed: SeedTree, ask: &Ask, subject: &Subject<'_>) -> Option<Arc<FaultPlan>> {
        let mut winner = None;
        for fault in &mut self.each {
            if !fault.timetable.is_on(ask.arrived) || !concerns(&fault.plan, ask, subject) {
                continue;
            }
            fault.concerned += 1;
            if winner.is_none() && fault.is_its_turn() && fault.strikes(seed, ask) {
                winner = Some(Arc::clone(&fault.plan));
            }
        }
        winner
    }
}

impl Fault {
    fn is_its_turn(&self) -> bool {
        let within = self.plan.first.is_none_or(|first| self.concerned <= first);
        within && self.plan.every.is_none_or(|every| self.concerned.is_multiple_of(every))
    }

    /// Draws whether the fault hits; the draw belongs to provider, fault, prompt and attempt.
    fn strikes(&self, seed: SeedTree, ask: &Ask) -> bool {
        let mut draws = seed.stream(Purpose::Fault, &self.owner, ask.prompt, ask.attempt);
        draws.unit() < self.plan.probability.get()
    }
}

/// Whether the attempt is in the scope, and of a kind on which the effect has a meaning.
fn concerns(fault: &FaultPlan, ask: &Ask, subject: &Subject<'_>) -> bool {
    let any_of = |names: &[String], name: &str| names.is_empty() || names.iter().any(|each| each == name);
    let scope = &fault.scope;
    any_of(&scope.models, subject.model)
        && any_of(&scope.keys, subject.key)
        && scope
            .header
            .as_ref()
            .is_none_or(|header| carries(subject.headers, header))
        && match fault.effect {
            FaultEffect::MissingDone | FaultEffect::DuplicateFrame { .. } => ask.streams,
            FaultEffect::GarbageOutput => subject.wants_schema,
            _ => true,
        }
}

fn carries(headers: &HeaderMap, wanted: &HeaderMatch) -> bool {
    let mut values = headers.get_all(&wanted.name).iter();
    match &wanted.value {
        None => values.next().is_some(),
        Some(value) => values.any(|header| header.as_bytes() == value.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{ask_at, plan_with, status};
    use brownout_scenario::plan::Scope;
    use brownout_scenario::units::{Micros, Share};
    use http::HeaderValue;

    fn window(id: &str, from: u64, until: u64) -> FaultPlan {
        FaultPlan {
            id: id.to_owned(),
            from: Micros(from),
            until: Micros(until),
            ..status(503, None)
        }
    }

    fn faults(faults: &[FaultPlan]) -> Faults {
        let plan = plan_with(|plan| plan.faults = faults.to_vec());
        Faults::new(&plan, SeedTree::new(1))
    }

    fn picked_by(faults: &mut Faults, ask: &Ask, subject: &Subject<'_>) -> Option<String> {
        faults
            .pick(SeedTree::new(1), ask, subject)
            .map(|fault| fault.id.clone())
    }

    fn picked(faults: &mut Faults, prompt: u64, at: u64) -> Option<String> {
        let subject = Subject {
            model: "gpt-4o-mini",
            key: "k",
            headers: &HeaderMap::new(),
            wants_schema: false,
        };
        picked_by(faults, &ask_at(prompt, Micros(at)), &subject)
    }

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let mut faults = faults(&[window("a", 10, 20)]);
        let hits = [9, 10, 19, 20].map(|at| picked(&mut faults, 1, at).is_some());
        assert_eq!(hits, [false, true, true, false]);
    }

    #[test]
    fn the_first_that_applies_wins() {
        let mut faults = faults(&[window("a", 10, 20), window("b", 0, 30)]);
        assert_eq!(picked(&mut faults, 1, 15).as_deref(), Some("a"));
        assert_eq!(picked(&mut faults, 1, 25).as_deref(), Some("b"));
    }

    #[test]
    fn first_three_then_fine() {
        let mut faults = faults(&[FaultPlan {
            first: Some(3),
            ..window("a", 10, 20)
        }]);
        assert_eq!(picked(&mut faults, 0, 5), None, "before the window nothing counts");
        let hits = (0..5).map(|n| picked(&mut faults, n, 12).is_some());
        assert_eq!(hits.collect::<Vec<_>>(), [true, true, true, false, false]);
    }

    #[test]
    fn every_third_and_only_the_first_of_them() {
        let every = FaultPlan {
            every: Some(3),
            ..window("a", 0, 100)
        };
        let mut always = faults(std::slice::from_ref(&every));
        let hits = (0..7).map(|n| picked(&mut always, n, 1).is_some());
        assert_eq!(
            hits.collect::<Vec<_>>(),
            [false, false, true, false, false, true, false]
        );
        let mut once = faults(&[FaultPlan {
            first: Some(3),
            ..every
        }]);
        let hits = (0..7).filter(|n| picked(&mut once, *n, 1).is_some());
        assert_eq!(hits.collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_scope_spares_the_others_and_does_not_count_them() {
        let scoped = |scope| {
            faults(&[FaultPlan {
                scope,
                first: Some(1),
                ..window("a", 0, 100)
            }])
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-tenant", HeaderValue::from_static("noisy"));
        let hit = Subject {
            model: "gpt-4o",
            key: "sk-1",
            headers: &headers,
            wants_schema: false,
        };
        let none = HeaderMap::new();
        let header = |value: Option<&str>| Scope {
            header: Some(HeaderMatch {
                name: "x-tenant".to_owned(),
                value: value.map(str::to_owned),
            }),
            ..Scope::default()
        };
        let mut quiet = HeaderMap::new();
        quiet.insert("x-tenant", HeaderValue::from_static("quiet"));
        for (scope, spared) in [
            (
                Scope {
                    models: vec!["gpt-4o".to_owned()],
                    ..Scope::default()
                },
                Subject { model: "gpt-5", ..hit },
            ),
            (
                Scope {
                    keys: vec!["sk-1".to_owned()],
                    ..Scope::default()
                },
                Subject { key: "sk-2", ..hit },
            ),
            (header(None), Subject { headers: &none, ..hit }),
            (header(Some("noisy")), Subject { headers: &quiet, ..hit }),
        ] {
            let mut faults = scoped(scope);
            let mut struck = |subject| picked_by(&mut faults, &ask_at(1, Micros(1)), subject).is_some();
            assert!(!struck(&spared), "{spared:?}");
            assert!(struck(&hit), "the one that was spared counted");
            assert!(!struck(&hit), "first = 1 struck twice");
        }
    }

    #[test]
    fn what_has_no_meaning_for_a_request_spares_it() {
        let mut faults = faults(&[
            FaultPlan {
                effect: FaultEffect::MissingDone,
                ..window("missing_done", 0, 100)
            },
            FaultPlan {
                effect: FaultEffect::GarbageOutput,
                ..window("garbage_output", 0, 100)
            },
        ]);
        let none = HeaderMap::new();
        let mut struck = |streams, wants_schema| {
            let ask = Ask {
                streams,
                ..ask_at(1, Micros(1))
            };
            let subject = Subject {
                model: "m",
                key: "k",
                headers: &none,
                wants_schema,
            };
            picked_by(&mut faults, &ask, &subject)
        };
        assert_eq!(struck(false, false), None);
        assert_eq!(struck(true, false).as_deref(), Some("missing_done"));
        assert_eq!(struck(false, true).as_deref(), Some("garbage_output"));
    }

    #[test]
    fn chance_falls_on_the_same_prompts_in_any_order() {
        let chance = [FaultPlan {
            probability: Share::try_from(0.3).unwrap(),
            ..window("a", 0, 100)
        }];
        let (mut forth, mut back) = (faults(&chance), faults(&chance));
        let upward: Vec<_> = (0..1_000).map(|n| picked(&mut forth, n, 1)).collect();
        let mut downward: Vec<_> = (0..1_000).rev().map(|n| picked(&mut back, n, 1)).collect();
        downward.reverse();
        assert_eq!(upward, downward);
        let hits = upward.iter().flatten().count();
        assert!((240..360).contains(&hits), "{hits} of 1000 at 0.3");
    }
}
