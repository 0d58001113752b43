//! Which stretches of a run are told apart: the time in which something goes wrong, and the steps of the load.
//!
//! Works on the plan alone, so that it is known before the run which phases there will be.

use super::{Arrivals, EventKind, EventPlan, LoadPlan, Variant};
use crate::units::Micros;

impl Variant {
    /// The hull of all that goes wrong, where anything does: what phases and charts mean by "the fault".
    ///
    /// These are the faults of providers and dependencies, what happens to the service's processes, and a spike of the load.
    pub fn fault_window(&self) -> Option<(Micros, Micros)> {
        let providers = self.providers.iter().flat_map(|p| &p.faults);
        let dependencies = &self.dependency_faults;
        let windows = providers
            .map(|fault| (fault.from, fault.until))
            .chain(dependencies.iter().map(|fault| (fault.from, fault.until)))
            .chain(self.events.iter().map(|event| self.event_window(event)))
            .chain(self.load.spike());
        windows.reduce(|hull, window| (hull.0.min(window.0), hull.1.max(window.1)))
    }

    /// From the event to the moment the last process that it ended may be back. One that never comes back is an instant.
    fn event_window(&self, event: &EventPlan) -> (Micros, Micros) {
        let start = self.orchestrator.as_ref().map_or(0.0, |o| o.start_time.quantile(0.5));
        let start = Micros(libm::round(start) as u64);
        let lasts = match &event.what {
            EventKind::RollingRestart { pause } => {
                Micros(pause.plus(start).0.saturating_mul(u64::from(self.service.replicas)))
            }
            EventKind::Terminate { restart_after, .. } | EventKind::Kill { restart_after, .. } => {
                restart_after.map_or(Micros::ZERO, |after| after.plus(start))
            }
            EventKind::Flush => Micros::ZERO,
        };
        (event.at, event.at.plus(lasts))
    }
}

impl LoadPlan {
    /// The steps of the load in a run that ends at `end`, each from its start to its end; none unless it goes in steps.
    pub fn steps(&self, end: Micros) -> Vec<(Micros, Micros)> {
        let Arrivals::Steps { steps } = &self.arrivals else {
            return Vec::new();
        };
        let mut from = Micros::ZERO;
        let mut windows: Vec<_> = steps
            .iter()
            .map(|(lasts, _)| {
                let window = (from, from.plus(*lasts));
                from = window.1;
                window
            })
            .collect();
        if let Some(last) = windows.last_mut() {
            last.1 = last.1.max(end);
        }
        windows
    }

    fn spike(&self) -> Option<(Micros, Micros)> {
        match self.arrivals {
            Arrivals::Spike { from, until, .. } => Some((from, until)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;
    use crate::plan::{Dependency, DependencyEffect, DependencyFaultPlan};

    fn variant(arrivals: &str) -> Variant {
        let text = format!(
            "question = \"?\"\nduration = \"100s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
             [load]\narrivals = {arrivals}\n[[variant]]\nname = \"v\"\nservice = {{ replicas = 3 }}\n"
        );
        Scenario::parse("x.toml", &text).unwrap().plan.variants.remove(0)
    }

    fn event(at: u64, what: EventKind) -> EventPlan {
        EventPlan {
            at: Micros::from_secs(at),
            what,
        }
    }

    #[test]
    fn the_fault_is_everything_from_the_first_thing_that_goes_wrong_to_the_last() {
        let mut variant = variant("{ kind = \"constant\", rate = \"1/s\" }");
        assert_eq!(variant.fault_window(), None);
        let pause = Micros::from_secs(4);
        variant.events = vec![event(20, EventKind::RollingRestart { pause })];
        assert_eq!(
            variant.fault_window(),
            Some((Micros::from_secs(20), Micros::from_secs(32)))
        );
        variant.dependency_faults = vec![DependencyFaultPlan {
            dependency: Dependency::Database,
            effect: DependencyEffect::Down,
            from: Micros::from_secs(10),
            until: Micros::from_secs(15),
            hosts: Vec::new(),
        }];
        assert_eq!(
            variant.fault_window(),
            Some((Micros::from_secs(10), Micros::from_secs(32)))
        );
        let host = "worker-0".to_owned();
        let restart_after = Some(Micros::from_secs(5));
        variant.events.push(event(40, EventKind::Kill { host, restart_after }));
        assert_eq!(
            variant.fault_window(),
            Some((Micros::from_secs(10), Micros::from_secs(45)))
        );
    }

    #[test]
    fn a_spike_of_the_load_is_something_that_goes_wrong() {
        let spike = variant("{ kind = \"spike\", rate = \"1/s\", peak = \"9/s\", from = \"30s\", until = \"40s\" }");
        assert_eq!(
            spike.fault_window(),
            Some((Micros::from_secs(30), Micros::from_secs(40)))
        );
    }

    #[test]
    fn the_last_step_goes_on_to_the_end() {
        let load = variant(
            "{ kind = \"steps\", steps = [{ rate = \"1/s\", lasts = \"20s\" }, { rate = \"2/s\", lasts = \"30s\" }] }",
        )
        .load;
        let seconds = |from, until| (Micros::from_secs(from), Micros::from_secs(until));
        assert_eq!(load.steps(Micros::from_secs(100)), [seconds(0, 20), seconds(20, 100)]);
    }
}
