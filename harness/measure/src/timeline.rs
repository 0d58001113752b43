//! The run, second by second, by due time.
//!
//! The drain has no seconds of its own: nothing falls due in it.

use brownout_scenario::observe::Outcome;
use brownout_scenario::units::Micros;

use crate::join::Joined;
use crate::rank;
use crate::record::TimelinePoint;

const SECOND: u64 = 1_000_000;

/// A point for every second that has a part between `from` and `until`.
pub(crate) fn timeline(subset: &[&Joined], from: Micros, until: Micros) -> Vec<TimelinePoint> {
    let (first, end) = (from.0 / SECOND, until.0.div_ceil(SECOND));
    let mut points: Vec<_> = (first..end)
        .map(|second| TimelinePoint {
            second,
            ..TimelinePoint::default()
        })
        .collect();
    let mut latencies: Vec<Vec<u64>> = vec![Vec::new(); points.len()];
    let position = |at: Micros| (at.0 / SECOND).checked_sub(first).map(|second| second as usize);
    for joined in subset {
        let arrivals = joined.rows.iter().filter_map(|row| position(row.arrived));
        for arrived in arrivals.filter(|arrived| *arrived < points.len()).collect::<Vec<_>>() {
            points[arrived].attempts += 1;
        }
        let Some(second) = position(joined.request.due).filter(|second| *second < points.len()) else {
            continue;
        };
        let point = &mut points[second];
        point.due += 1;
        match joined.request.outcome {
            Outcome::Answered => point.answered += 1,
            Outcome::Aborted => point.aborted += 1,
            Outcome::Failed(_) => point.failed += 1,
            Outcome::NotSent => {}
        }
        latencies[second].extend(joined.latency().map(|latency| latency.0));
    }
    for (point, latencies) in points.iter_mut().zip(&mut latencies) {
        latencies.sort_unstable();
        point.p50_us = rank::quantile(latencies, 500).unwrap_or(0);
        point.max_us = latencies.last().copied().unwrap_or(0);
    }
    points
}

#[cfg(test)]
mod tests {
    use brownout_scenario::plan::Endpoint;

    use super::*;
    use crate::join::join;
    use crate::testing::{request, row};

    #[test]
    fn each_second_counts_what_fell_due_in_it() {
        let due = [5_000_000, 5_999_999, 7_000_000];
        let requests: Vec<_> = (1..)
            .zip(due)
            .map(|(id, due)| request(id, due, due + 10 * id, 1))
            .collect();
        let ledger = [row(1, 6_500_000, 6_600_000, 1), row(3, 9_000_000, 9_100_000, 1)];
        let join = join(&requests, &ledger, Endpoint::Chat);
        let points = timeline(
            &join.requests.iter().collect::<Vec<_>>(),
            Micros(5_000_000),
            Micros(7_500_000),
        );
        let seen: Vec<_> = points
            .iter()
            .map(|p| (p.second, p.due, p.p50_us, p.max_us, p.attempts))
            .collect();
        assert_eq!(seen, [(5, 2, 10, 20, 0), (6, 0, 0, 0, 1), (7, 1, 30, 30, 0)]);
    }
}
