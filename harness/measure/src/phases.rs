//! Before, during and after the fault window, the steps of the load, and how long things took to be well again.
//!
//! A request belongs to the phase in which it was due.

use brownout_scenario::observe::Outcome;
use brownout_scenario::plan::Endpoint;
use brownout_scenario::units::Micros;

use crate::join::Joined;
use crate::record::PhaseRecord;
use crate::{counts, latencies, rank};

/// Names of the phases.
pub(crate) const NAMES: [&str; 3] = ["before", "during", "after"];
/// What the names of steps begin with; they are counted from 1.
const STEP: &str = "step-";

/// Whether a phase may have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let number = |step: &str| step.parse().is_ok_and(|step: u32| step > 0);
    NAMES.contains(&name) || name.strip_prefix(STEP).is_some_and(number)
}

/// What to say after a figure of this phase.
pub(crate) fn in_words(name: &str) -> String {
    if NAMES.contains(&name) {
        format!(" {name} the fault")
    } else {
        format!(" in {name}")
    }
}

/// Width of the buckets in which recovery is looked for.
const BUCKET: u64 = 5_000_000;

/// The measured time of a run and the fault window within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// End of the warm-up.
    pub(crate) start: Micros,
    /// End of the run, without the drain.
    pub(crate) end: Micros,
    /// The fault window, cut to the run.
    pub(crate) fault: (Micros, Micros),
}

impl Windows {
    /// The phases that have any length: name, start, end.
    fn phases(&self) -> impl Iterator<Item = (&'static str, Micros, Micros)> {
        let within = |at: Micros| at.clamp(self.start, self.end.max(self.start));
        let (from, until) = (within(self.fault.0), within(self.fault.1));
        let spans = [(self.start, from), (from, until), (until, self.end)];
        NAMES
            .into_iter()
            .zip(spans)
            .map(|(name, (from, until))| (name, from, until))
            .filter(|phase| phase.1 < phase.2)
    }
}

fn due_in<'j, 'a>(subset: &[&'j Joined<'a>], from: Micros, until: Micros) -> Vec<&'j Joined<'a>> {
    subset
        .iter()
        .copied()
        .filter(|joined| (from..until).contains(&joined.request.due))
        .collect()
}

/// A record for every phase that has any length.
pub(crate) fn phases(subset: &[&Joined], windows: Windows, endpoint: Endpoint) -> Vec<PhaseRecord> {
    let record = |(name, from, until): (&str, Micros, Micros)| phase(subset, name.to_owned(), (from, until), endpoint);
    windows.phases().map(record).collect()
}

/// A record for every one of `steps` that has any part between `start` and `end`.
pub(crate) fn steps(
    subset: &[&Joined],
    steps: &[(Micros, Micros)],
    (start, end): (Micros, Micros),
    endpoint: Endpoint,
) -> Vec<PhaseRecord> {
    let within = |(from, until): &(Micros, Micros)| ((*from).max(start), (*until).min(end));
    (1..)
        .zip(steps.iter().map(within))
        .filter(|(_, (from, until))| from < until)
        .map(|(number, window)| phase(subset, format!("{STEP}{number}"), window, endpoint))
        .collect()
}

fn phase(subset: &[&Joined], name: String, (from, until): (Micros, Micros), endpoint: Endpoint) -> PhaseRecord {
    let part = due_in(subset, from, until);
    PhaseRecord {
        name,
        from_s: from.as_secs_f64(),
        until_s: until.as_secs_f64(),
        requests: counts::requests(&part),
        errors: counts::errors(&part),
        latency: latencies::latency(&part),
        ttft: latencies::ttft(&part, endpoint),
        failure_time: latencies::failure_time(&part),
        ..PhaseRecord::default()
    }
}

/// How a stretch of the run went.
struct Health {
    due: u64,
    unserved: u64,
    p95_us: Option<u64>,
}

impl Health {
    fn of(part: &[&Joined], endpoint: Endpoint) -> Self {
        let time = |joined: &&Joined| {
            if endpoint.is_stream() {
                joined.ttft()
            } else {
                joined.latency()
            }
        };
        let mut times: Vec<u64> = part.iter().filter_map(time).map(|time| time.0).collect();
        times.sort_unstable();
        let unserved = |joined: &&&Joined| matches!(joined.request.outcome, Outcome::Failed(_) | Outcome::NotSent);
        Self {
            due: part.len() as u64,
            unserved: part.iter().filter(unserved).count() as u64,
            p95_us: rank::quantile(&times, 950),
        }
    }

    /// No more failures than `before`, and a p95 within 1.25 times of what it was.
    fn is_as_well_as(&self, before: &Self) -> bool {
        let fails_no_more = self.unserved * before.due <= before.unserved * self.due;
        let within = |now: u64, then: u64| now.saturating_mul(4) <= then.saturating_mul(5);
        fails_no_more
            && self
                .p95_us
                .zip(before.p95_us)
                .is_some_and(|(now, then)| within(now, then))
    }
}

/// From the end of the fault window to the first 5 s in which requests fared as well as before it; `None` if there is
/// no before, no after, or no such bucket.
pub(crate) fn recovery(subset: &[&Joined], windows: Windows, endpoint: Endpoint) -> Option<Micros> {
    let (from, until) = windows.fault;
    let before = Health::of(&due_in(subset, windows.start, from), endpoint);
    let starts = (until.0..windows.end.0).step_by(BUCKET as usize).map(Micros);
    let well = |start: &Micros| {
        let bucket = due_in(subset, *start, start.plus(Micros(BUCKET)).min(windows.end));
        Health::of(&bucket, endpoint).is_as_well_as(&before)
    };
    starts.into_iter().find(well).map(|start| start.since(until))
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{FailureClass, RequestObservation};

    use super::*;
    use crate::join::join;
    use crate::testing::request;

    const WINDOWS: Windows = Windows {
        start: Micros::from_secs(5),
        end: Micros::from_secs(40),
        fault: (Micros::from_secs(10), Micros::from_secs(20)),
    };

    /// A request each second; its latency in milliseconds is what `latency` says of its second.
    fn each_second(latency: impl Fn(u64) -> u64) -> Vec<RequestObservation> {
        (5..40)
            .map(|s| request(s, s * 1_000_000, s * 1_000_000 + latency(s) * 1_000, 1))
            .collect()
    }

    fn recovered(requests: &[RequestObservation]) -> Option<u64> {
        let join = join(requests, &[], Endpoint::Chat);
        recovery(&join.requests.iter().collect::<Vec<_>>(), WINDOWS, Endpoint::Chat).map(|at| at.0 / 1_000_000)
    }

    #[test]
    fn a_request_belongs_to_the_phase_it_was_due_in() {
        let requests = each_second(|_| 100);
        let join = join(&requests, &[], Endpoint::Chat);
        let phases = phases(&join.requests.iter().collect::<Vec<_>>(), WINDOWS, Endpoint::Chat);
        let due: Vec<_> = phases
            .iter()
            .map(|phase| (phase.name.as_str(), phase.requests.due))
            .collect();
        assert_eq!(due, [("before", 5), ("during", 10), ("after", 20)]);
    }

    #[test]
    fn a_step_has_the_requests_that_were_due_in_it_after_the_warm_up() {
        let requests = each_second(|_| 100);
        let join = join(&requests, &[], Endpoint::Chat);
        let seconds = |from, until| (Micros::from_secs(from), Micros::from_secs(until));
        let planned = [seconds(0, 3), seconds(3, 10), seconds(10, 40)];
        let subset = join.requests.iter().collect::<Vec<_>>();
        let steps = steps(&subset, &planned, seconds(5, 30), Endpoint::Chat);
        let due: Vec<_> = steps
            .iter()
            .map(|step| (step.name.as_str(), step.requests.due))
            .collect();
        assert_eq!(due, [("step-2", 5), ("step-3", 20)]);
    }

    #[test]
    fn a_window_outside_the_measured_time_leaves_one_phase() {
        let windows = Windows {
            fault: (Micros::from_secs(50), Micros::from_secs(60)),
            ..WINDOWS
        };
        let names: Vec<_> = phases(&[], windows, Endpoint::Chat)
            .into_iter()
            .map(|phase| phase.name)
            .collect();
        assert_eq!(names, ["before"]);
    }

    #[test]
    fn recovery_is_the_first_five_seconds_within_a_quarter_of_the_old_latency() {
        assert_eq!(recovered(&each_second(|_| 100)), Some(0));
        let slow_until = |end| {
            move |s| {
                if (10..end).contains(&s) {
                    900
                } else if s >= end {
                    125
                } else {
                    100
                }
            }
        };
        assert_eq!(recovered(&each_second(slow_until(27))), Some(10));
        assert_eq!(
            recovered(&each_second(|s| if s < 10 { 100 } else { 126 })),
            None,
            "just above"
        );
    }

    #[test]
    fn fast_failures_are_no_recovery() {
        let mut requests = each_second(|_| 100);
        for request in requests
            .iter_mut()
            .filter(|request| request.due >= Micros::from_secs(20))
            .step_by(2)
        {
            request.outcome = Outcome::Failed(FailureClass::Unavailable);
        }
        assert_eq!(recovered(&requests), None);
    }
}
