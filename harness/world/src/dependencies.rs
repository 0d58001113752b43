//! What goes wrong between one host and what it depends on, as the host's stores are told it.
//!
//! A lookup by the run's clock. Does not fail anything itself: whoever mounts a target puts it between the target and its
//! stores.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use brownout_net::RunClock;
use brownout_scenario::plan::{Dependency, DependencyEffect, DependencyFaultPlan};
use brownout_scenario::units::Micros;

/// The run's clock, for those who are there before the run begins; empty until then.
pub(crate) type Beginning = Arc<OnceLock<RunClock>>;

/// The faults of one host's dependencies.
#[derive(Debug, Clone, Default)]
pub struct DependencyFaults {
    faults: Arc<[DependencyFaultPlan]>,
    beginning: Beginning,
    severed: Arc<AtomicBool>,
}

/// How a dependency fails at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// How.
    pub effect: DependencyEffect,
    /// From that moment to the end of the fault.
    pub remaining: Duration,
}

impl DependencyFaults {
    /// Those of `faults` that `host` suffers.
    pub(crate) fn of(host: &str, faults: &[DependencyFaultPlan], beginning: Beginning) -> Self {
        let concerns = |fault: &&DependencyFaultPlan| fault.hosts.is_empty() || fault.hosts.iter().any(|h| h == host);
        Self {
            faults: faults.iter().filter(concerns).cloned().collect(),
            beginning,
            severed: Arc::default(),
        }
    }

    /// The process is dead: what it leaves behind in memory, and what is still dropped there, reaches nobody any more.
    pub(crate) fn sever(&self) {
        self.severed.store(true, Ordering::Relaxed);
    }

    /// Whether the process that these are the faults of is dead.
    pub fn is_severed(&self) -> bool {
        self.severed.load(Ordering::Relaxed)
    }

    /// Whether the host never has any.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// How `dependency` fails `at` an instant of the run, if it does: the first fault of the plan wins.
    pub fn at(&self, dependency: Dependency, at: Micros) -> Option<Trouble> {
        let there =
            |fault: &&DependencyFaultPlan| fault.dependency == dependency && fault.from <= at && at < fault.until;
        self.faults.iter().find(there).map(|fault| Trouble {
            effect: fault.effect,
            remaining: fault.until.since(at).into(),
        })
    }

    /// The instants at which anything changes, ascending.
    pub(crate) fn changes(&self) -> BTreeSet<Micros> {
        self.faults.iter().flat_map(|fault| [fault.from, fault.until]).collect()
    }

    /// The run's clock, once the run has begun.
    pub(crate) fn clock(&self) -> Option<RunClock> {
        self.beginning.get().copied()
    }

    /// How `dependency` fails now, if it does. Nothing fails before the run begins.
    pub fn now(&self, dependency: Dependency) -> Option<Trouble> {
        self.at(dependency, Micros(self.beginning.get()?.now_us()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(effect: DependencyEffect, from: u64, until: u64, hosts: &[&str]) -> DependencyFaultPlan {
        DependencyFaultPlan {
            dependency: Dependency::Database,
            effect,
            from: Micros(from),
            until: Micros(until),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        }
    }

    #[test]
    fn a_fault_is_there_from_its_first_instant_to_before_its_last_for_those_it_names() {
        let plan = [
            fault(DependencyEffect::Down, 10, 20, &["service-1"]),
            fault(DependencyEffect::Hang, 15, 30, &[]),
        ];
        let effects = |host: &str| {
            let faults = DependencyFaults::of(host, &plan, Beginning::default());
            [9, 10, 15, 19, 20, 29, 30].map(|at| {
                faults
                    .at(Dependency::Database, Micros(at))
                    .map(|trouble| (trouble.effect, trouble.remaining.as_micros()))
            })
        };
        let (down, hang) = (DependencyEffect::Down, DependencyEffect::Hang);
        let second = [
            None,
            Some((down, 10)),
            Some((down, 5)),
            Some((down, 1)),
            Some((hang, 10)),
            Some((hang, 1)),
            None,
        ];
        assert_eq!(effects("service-1"), second);
        let others = [
            None,
            None,
            Some((hang, 15)),
            Some((hang, 11)),
            Some((hang, 10)),
            Some((hang, 1)),
            None,
        ];
        assert_eq!(effects("service-0"), others);
        let faults = DependencyFaults::of("service-0", &plan, Beginning::default());
        assert_eq!(faults.at(Dependency::Queue, Micros(20)), None);
        assert_eq!(faults.now(Dependency::Database), None, "the run has not begun");
    }
}
