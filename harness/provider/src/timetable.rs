//! When something that comes and goes is there.
//!
//! Pure: the caller brings the time, which never goes backwards. Lengths that are drawn depend on the seed and the
//! owner's name alone, so two timetables of one fault agree to the microsecond.

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{FaultPlan, SlowPeriods, Timetable as Plan};
use brownout_scenario::seed::{Draws, Purpose, SeedTree};
use brownout_scenario::units::{Micros, PromptId};

/// No drawn length is shorter, so that a long pause is a bounded number of steps.
const SHORTEST: Micros = Micros::from_millis(1);

/// When something is there.
#[derive(Debug)]
pub(crate) struct Timetable {
    from: Micros,
    until: Micros,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Throughout,
    Windows(Vec<(Micros, Micros)>),
    OnOff(Box<OnOff>),
}

/// Stretches drawn one after the other.
#[derive(Debug)]
struct OnOff {
    draws: Draws,
    on: Distribution,
    off: Distribution,
    present: bool,
    ends: Micros,
}

impl Timetable {
    /// That of a fault of `provider`.
    pub(crate) fn of_fault(fault: &FaultPlan, seed: SeedTree, provider: &str) -> Self {
        let owner = format!("{provider}/{}", fault.id);
        let kind = match &fault.timetable {
            Plan::Throughout => Kind::Throughout,
            Plan::Windows(windows) => Kind::Windows(windows.clone()),
            Plan::OnOff { on, off } => on_off(seed, Purpose::FaultTimetable, &owner, (on, off), fault.from),
        };
        Self {
            from: fault.from,
            until: fault.until,
            kind,
        }
    }

    /// That of a provider's slow periods.
    pub(crate) fn of_slow_periods(slow: &SlowPeriods, seed: SeedTree, provider: &str) -> Self {
        Self {
            from: Micros::ZERO,
            until: Micros(u64::MAX),
            kind: on_off(
                seed,
                Purpose::SlowPeriod,
                provider,
                (&slow.lasts, &slow.every),
                Micros::ZERO,
            ),
        }
    }

    /// Whether it is there at `now`.
    pub(crate) fn is_on(&mut self, now: Micros) -> bool {
        if !(self.from..self.until).contains(&now) {
            return false;
        }
        match &mut self.kind {
            Kind::Throughout => true,
            Kind::Windows(windows) => windows.iter().any(|(from, until)| (*from..*until).contains(&now)),
            Kind::OnOff(stretches) => stretches.at(now),
        }
    }

    /// The next instant after `now` at which it may come or go; `None` if it stays as it is.
    pub(crate) fn next_change(&mut self, now: Micros) -> Option<Micros> {
        if now < self.from {
            return Some(self.from);
        }
        if now >= self.until {
            return None;
        }
        let inner = match &mut self.kind {
            Kind::Throughout => None,
            Kind::Windows(windows) => windows
                .iter()
                .flat_map(|(from, until)| [*from, *until])
                .find(|edge| *edge > now),
            Kind::OnOff(stretches) => {
                stretches.at(now);
                Some(stretches.ends)
            }
        };
        Some(inner.map_or(self.until, |edge| edge.min(self.until)))
    }
}

fn on_off(
    seed: SeedTree,
    purpose: Purpose,
    owner: &str,
    (on, off): (&Distribution, &Distribution),
    from: Micros,
) -> Kind {
    let mut draws = seed.stream(purpose, owner, PromptId(0), 0);
    let ends = from.plus(Micros(draws.whole(off)).max(SHORTEST));
    Kind::OnOff(Box::new(OnOff {
        draws,
        on: on.clone(),
        off: off.clone(),
        present: false,
        ends,
    }))
}

impl OnOff {
    fn at(&mut self, now: Micros) -> bool {
        while self.ends <= now {
            self.present = !self.present;
            let length = self.draws.whole(if self.present { &self.on } else { &self.off });
            self.ends = self.ends.plus(Micros(length).max(SHORTEST));
        }
        self.present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{lognormal, status};

    fn constant(secs: u64) -> Distribution {
        Distribution::Constant {
            value: secs as f64 * 1e6,
        }
    }

    fn table(timetable: Plan, from: u64, until: u64) -> Timetable {
        let fault = FaultPlan {
            timetable,
            from: Micros::from_secs(from),
            until: Micros::from_secs(until),
            ..status(503, None)
        };
        Timetable::of_fault(&fault, SeedTree::new(1), "primary")
    }

    fn edges(mut table: Timetable) -> Vec<(u64, bool)> {
        let mut now = Micros::ZERO;
        let mut edges = vec![(0, table.is_on(now))];
        while let Some(next) = table.next_change(now) {
            assert!(next > now && edges.len() < 100, "{edges:?}");
            now = next;
            edges.push((now.0 / 1_000_000, table.is_on(now)));
        }
        edges
    }

    #[test]
    fn a_window_includes_its_start_and_excludes_its_end() {
        let mut table = table(Plan::Throughout, 10, 20);
        let on = [9_999_999, 10_000_000, 19_999_999, 20_000_000].map(|at| table.is_on(Micros(at)));
        assert_eq!(on, [false, true, true, false]);
    }

    #[test]
    fn windows_hold_within_the_whole() {
        let windows = [(5, 12), (14, 16)].map(|(a, b)| (Micros::from_secs(a), Micros::from_secs(b)));
        assert_eq!(
            edges(table(Plan::Windows(windows.to_vec()), 10, 20)),
            [
                (0, false),
                (10, true),
                (12, false),
                (14, true),
                (16, false),
                (20, false)
            ]
        );
    }

    #[test]
    fn what_comes_and_goes_begins_with_its_absence() {
        let timetable = Plan::OnOff {
            on: constant(2),
            off: constant(3),
        };
        assert_eq!(
            edges(table(timetable, 10, 19)),
            [
                (0, false),
                (10, false),
                (13, true),
                (15, false),
                (18, true),
                (19, false)
            ]
        );
    }

    #[test]
    fn drawn_stretches_are_the_same_however_often_somebody_looks() {
        let timetable = || Plan::OnOff {
            on: lognormal(2e6, 9e6),
            off: lognormal(3e6, 9e6),
        };
        let (mut often, mut seldom) = (table(timetable(), 0, 300), table(timetable(), 0, 300));
        let mut seen = 0;
        for ms in 0..300_000 {
            let now = Micros::from_millis(ms);
            let on = often.is_on(now);
            seen += u64::from(on);
            if ms % 7_001 == 0 {
                assert_eq!(seldom.is_on(now), on, "{ms} ms");
            }
        }
        assert!((60_000..240_000).contains(&seen), "{seen} ms of 300 s");
    }
}
