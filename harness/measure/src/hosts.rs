//! The target's processes: how many came and went, how many replicas were ready, and for how long they were paid.
//!
//! Works on what was noted of them, in the order of time. A process is ready from the moment it listens until it is told
//! to end or ends; whether the load balancer sends it anything is counted apart.

use std::collections::{BTreeMap, BTreeSet};

use brownout_scenario::observe::{HostChange, HostRow, Probe, ProbeRow};
use brownout_scenario::units::Micros;

use crate::histogram::Histogram;
use crate::record::{HostRecord, ProbeRecord, ProbeRecords, ReplicaPoint};

const SECOND: u64 = 1_000_000;
/// What the names of processes begin with that serve no requests.
const WORKER: &str = "worker-";

/// What is known of all processes, ready to be asked about stretches of the run.
#[derive(Debug)]
pub(crate) struct Hosts<'a> {
    rows: &'a [HostRow],
    /// Positions of the rows that say that a process took another's place.
    restarts: BTreeSet<usize>,
    ready: Levels,
    /// Of every replica.
    lives: Lives,
}

impl<'a> Hosts<'a> {
    /// `rows` are in the order of time.
    pub(crate) fn of(rows: &'a [HostRow]) -> Self {
        let mut known = BTreeSet::new();
        let is_restart = |(at, row): (usize, &'a HostRow)| {
            let again = row.change == HostChange::Started && !known.insert(row.host.as_str());
            again.then_some(at)
        };
        let (ready, lives) = follow(rows);
        Self {
            rows,
            restarts: rows.iter().enumerate().filter_map(is_restart).collect(),
            ready,
            lives,
        }
    }

    /// What happened from `from` on and before `until`.
    pub(crate) fn between(&self, from: Micros, until: Micros) -> HostRecord {
        if self.rows.is_empty() {
            return HostRecord::default();
        }
        let inside = |row: &&HostRow| (from..until).contains(&row.at);
        let count = |change| {
            self.rows
                .iter()
                .filter(inside)
                .filter(|row| row.change == change)
                .count() as u64
        };
        let (least_ready, most_ready) = self.ready_between(from, until);
        let paid = self.lives.iter().fold(Micros::ZERO, |sum, (start, end)| {
            sum.plus((*end).min(until).since((*start).max(from)))
        });
        HostRecord {
            started: count(HostChange::Started),
            restarts: self.restarts_between(from, until),
            terminated: count(HostChange::Terminated),
            killed: count(HostChange::Killed),
            failed_liveness: count(HostChange::FailedLiveness),
            ejected: count(HostChange::Ejected),
            admitted: count(HostChange::Admitted),
            most_ready,
            least_ready,
            replica_seconds: paid.as_secs_f64(),
        }
    }

    /// The whole run: counts from its first moment on, levels and the bill over the measured time. What ends in the drain
    /// or after it ends with the run.
    pub(crate) fn whole(&self, start: Micros, end: Micros) -> HostRecord {
        let levels = self.between(start, end);
        HostRecord {
            most_ready: levels.most_ready,
            least_ready: levels.least_ready,
            replica_seconds: levels.replica_seconds,
            ..self.between(Micros::ZERO, end)
        }
    }

    /// A point for every second that has a part between `from` and `until`; none if nothing was noted.
    pub(crate) fn timeline(&self, from: Micros, until: Micros) -> Vec<ReplicaPoint> {
        if self.rows.is_empty() {
            return Vec::new();
        }
        let point = |second: u64| {
            let (start, end) = (Micros(second * SECOND), Micros((second + 1) * SECOND));
            let (least_ready, most_ready) = self.ready_between(start.max(from), end.min(until));
            let ended = |row: &&HostRow| {
                (start..end).contains(&row.at)
                    && matches!(
                        row.change,
                        HostChange::Killed | HostChange::Terminated | HostChange::FailedLiveness
                    )
            };
            ReplicaPoint {
                second,
                least_ready,
                most_ready,
                restarts: self.restarts_between(start, end),
                ended: self.rows.iter().filter(ended).count() as u64,
            }
        };
        (from.0 / SECOND..until.0.div_ceil(SECOND)).map(point).collect()
    }

    fn restarts_between(&self, from: Micros, until: Micros) -> u64 {
        let inside = |at: &&usize| self.rows.get(**at).is_some_and(|row| (from..until).contains(&row.at));
        self.restarts.iter().filter(inside).count() as u64
    }

    /// The fewest and the most replicas that were ready at once.
    fn ready_between(&self, from: Micros, until: Micros) -> (u64, u64) {
        let before = self.ready.partition_point(|(at, _)| *at <= from);
        let first = before.checked_sub(1).map_or(0, |at| self.ready[at].1);
        let later = self.ready[before..].iter().take_while(|(at, _)| *at < until);
        later.fold((first, first), |(least, most), (_, ready)| {
            (least.min(*ready), most.max(*ready))
        })
    }
}

/// A process from its start to its end. Its replacement has the same name, and may be there before it is gone.
#[derive(Debug)]
struct Life {
    start: Micros,
    ready: bool,
    ending: bool,
}

/// The replicas that are there, by name and from the oldest to the newest of a name.
#[derive(Debug, Default)]
struct Present<'a>(BTreeMap<&'a str, Vec<Life>>);

impl<'a> Present<'a> {
    /// Takes note of `row`; returns the start of a replica that is gone now.
    fn note(&mut self, row: &'a HostRow) -> Option<Micros> {
        let lives = self.0.entry(&row.host).or_default();
        match row.change {
            HostChange::Started => lives.push(Life {
                start: row.at,
                ready: false,
                ending: false,
            }),
            HostChange::Ready => {
                if let Some(newest) = lives.last_mut() {
                    newest.ready = true;
                }
            }
            HostChange::Terminated | HostChange::FailedLiveness | HostChange::Killed => {
                if let Some(oldest) = lives.iter_mut().find(|life| !life.ending) {
                    (oldest.ready, oldest.ending) = (false, true);
                }
            }
            HostChange::Ended => {
                let gone = lives.iter().position(|life| life.ending).unwrap_or(0);
                return (gone < lives.len()).then(|| lives.remove(gone).start);
            }
            HostChange::Ejected | HostChange::Admitted => {}
        }
        None
    }

    fn ready(&self) -> u64 {
        self.0.values().flatten().filter(|life| life.ready).count() as u64
    }
}

/// How many replicas were ready from each instant on, ascending.
type Levels = Vec<(Micros, u64)>;
/// Starts and ends.
type Lives = Vec<(Micros, Micros)>;

/// What became of the replicas. What changes in one instant is seen as one change, and a replica without an end is there
/// for ever.
fn follow(rows: &[HostRow]) -> (Levels, Lives) {
    let mut present = Present::default();
    let (mut levels, mut lives) = (Levels::new(), Lives::new());
    for row in rows.iter().filter(|row| is_replica(row)) {
        lives.extend(present.note(row).map(|start| (start, row.at)));
        let level = present.ready();
        match levels.last_mut() {
            Some(last) if last.0 == row.at => last.1 = level,
            _ => levels.push((row.at, level)),
        }
    }
    let for_ever = |life: Life| (life.start, Micros(u64::MAX));
    lives.extend(present.0.into_values().flatten().map(for_ever));
    (levels, lives)
}

fn is_replica(row: &HostRow) -> bool {
    !row.host.starts_with(WORKER)
}

/// Questions asked from `from` on and before `until`, by who asked.
pub(crate) fn probes(rows: &[ProbeRow], from: Micros, until: Micros) -> ProbeRecords {
    let of = |probe: Probe| {
        let asked = || {
            let inside = move |row: &&ProbeRow| row.probe == probe && (from..until).contains(&row.at);
            rows.iter().filter(inside)
        };
        let well = |row: &&ProbeRow| row.status.is_some_and(|status| (200..300).contains(&status));
        let took: Histogram = asked().map(|row| row.took.0).collect();
        ProbeRecord {
            failed: asked().filter(|row| !well(row)).count() as u64,
            took: took.distribution(),
        }
    };
    ProbeRecords {
        liveness: of(Probe::Liveness),
        readiness: of(Probe::Readiness),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(second: u64, host: &str, change: HostChange) -> HostRow {
        HostRow {
            at: Micros::from_secs(second),
            host: host.to_owned(),
            change,
        }
    }

    /// Two replicas and a worker; the first replica fails its probe at 20 s and is back at 26 s.
    fn restarted() -> Vec<HostRow> {
        use HostChange::{Admitted, Ejected, Ended, FailedLiveness, Ready, Started};
        vec![
            row(0, "service-0", Started),
            row(0, "service-0", Ready),
            row(0, "service-1", Started),
            row(0, "service-1", Ready),
            row(0, "worker-0", Started),
            row(0, "worker-0", Ready),
            row(15, "service-0", Ejected),
            row(20, "service-0", FailedLiveness),
            row(22, "service-0", Ended),
            row(22, "service-0", Started),
            row(26, "service-0", Ready),
            row(28, "service-0", Admitted),
        ]
    }

    #[test]
    fn a_restart_is_counted_once_and_missed_while_it_lasts() {
        let rows = restarted();
        let hosts = Hosts::of(&rows).whole(Micros::from_secs(5), Micros::from_secs(40));
        let counts = (
            hosts.started,
            hosts.restarts,
            hosts.failed_liveness,
            hosts.ejected,
            hosts.admitted,
        );
        assert_eq!(counts, (4, 1, 1, 1, 1));
        assert_eq!((hosts.least_ready, hosts.most_ready), (1, 2));
        // Two replicas for 35 s: one that starts is paid too.
        assert!((hosts.replica_seconds - 70.0).abs() < 1e-9, "{hosts:?}");
    }

    #[test]
    fn a_stretch_of_the_run_has_its_own_levels() {
        let rows = restarted();
        let hosts = Hosts::of(&rows);
        let seconds = |from, until| hosts.between(Micros::from_secs(from), Micros::from_secs(until));
        assert_eq!((seconds(5, 20).least_ready, seconds(5, 20).restarts), (2, 0));
        assert_eq!((seconds(21, 26).most_ready, seconds(21, 26).restarts), (1, 1));
        let points = hosts.timeline(Micros::from_secs(18), Micros::from_secs(30));
        let down: Vec<u64> = points.iter().filter(|p| p.least_ready == 1).map(|p| p.second).collect();
        assert_eq!(
            down,
            [20, 21, 22, 23, 24, 25],
            "at 26 s it is ready from the first moment on"
        );
        assert_eq!(
            points
                .iter()
                .map(|p| (p.restarts, p.ended))
                .fold((0, 0), |s, p| (s.0 + p.0, s.1 + p.1)),
            (1, 1)
        );
    }

    #[test]
    fn a_replica_that_replaces_another_before_that_is_gone_is_paid_beside_it() {
        use HostChange::{Ended, Ready, Started, Terminated};
        let rows = [
            row(0, "service-0", Started),
            row(0, "service-0", Ready),
            row(10, "service-0", Terminated),
            row(10, "service-0", Started),
            row(12, "service-0", Ready),
            row(15, "service-0", Ended),
        ];
        let hosts = Hosts::of(&rows);
        let whole = hosts.between(Micros::ZERO, Micros::from_secs(20));
        assert_eq!((whole.replica_seconds, whole.least_ready), (25.0, 0));
        let later = hosts.between(Micros::from_secs(13), Micros::from_secs(20));
        assert_eq!(
            later.least_ready, 1,
            "the end of the old one does not take the new one away"
        );
    }

    #[test]
    fn nothing_noted_is_nothing_known() {
        let hosts = Hosts::of(&[]);
        assert_eq!(hosts.whole(Micros::ZERO, Micros::from_secs(9)), HostRecord::default());
        assert!(hosts.timeline(Micros::ZERO, Micros::from_secs(9)).is_empty());
    }

    #[test]
    fn a_probe_fails_without_an_answer_or_with_a_bad_one() {
        let probe = |at, took, status| ProbeRow {
            at: Micros::from_secs(at),
            took: Micros::from_millis(took),
            host: "service-0".to_owned(),
            probe: Probe::Liveness,
            status,
        };
        let rows = [
            probe(1, 900, Some(200)),
            probe(5, 2, Some(200)),
            probe(6, 3, Some(503)),
            probe(7, 1_000, None),
        ];
        let probes = probes(&rows, Micros::from_secs(5), Micros::from_secs(10));
        assert_eq!((probes.liveness.took.count, probes.liveness.failed), (3, 2));
        assert!((probes.liveness.took.max_ms - 1_000.0).abs() < 1.0);
        assert_eq!(probes.readiness, ProbeRecord::default());
    }
}
