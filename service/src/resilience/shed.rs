//! Load shedding: so many calls at work, so many that wait for one of their places, and an early no for everybody else.
//!
//! A service that takes on more than it can do answers nobody in time. Whoever comes too late in the line to be served
//! before its own deadline is told so at once, and when to come back. Does not know what a call does with its place.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::deadline::Deadline;
use crate::error::Error;
use crate::sync::lock;
use crate::telemetry::conventions::span;
use crate::telemetry::{Counted, Metrics, Trace};

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShedSettings {
    /// Calls at work in this instance; absent: as many as come, and nobody waits.
    pub concurrent: Option<u32>,
    /// Calls that may wait for a place.
    pub queue: u32,
    /// How long one may wait.
    pub wait: Duration,
}

/// Whoever is told to come back sooner than this comes back to the same line.
const SOONEST: Duration = Duration::from_millis(100);

/// Policy: who has a place, who waits, in the order in which they came, and how long a place is kept. Pure.
#[derive(Debug)]
struct Line {
    places: u32,
    queue: usize,
    at_work: u32,
    waiting: VecDeque<u64>,
    tickets: u64,
    /// How long a place is kept, as a moving average: an eighth of every new one. 0 before the first.
    kept_us: u64,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It has a place.
    Place,
    /// It waits, under this number.
    Waits(u64),
    /// It is refused, and may come back after this.
    Refused(Reason, Duration),
}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// No more may wait.
    Full,
    /// It would be served too late.
    TooLate,
    /// It waited as long as it may.
    Waited,
}

impl Reason {
    const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::TooLate => "too_late",
            Self::Waited => "waited",
        }
    }
}

impl Line {
    fn new(places: u32, queue: u32) -> Self {
        Self {
            places,
            queue: queue as usize,
            at_work: 0,
            waiting: VecDeque::new(),
            tickets: 0,
            kept_us: 0,
        }
    }

    /// A call comes that may wait for `patience` and has `left` until its deadline; the place that was kept longest so far
    /// was for `oldest`.
    fn come(&mut self, patience: Duration, left: Option<Duration>, oldest: Duration) -> Admission {
        if self.at_work < self.places {
            self.at_work += 1;
            return Admission::Place;
        }
        let wait = self.wait(oldest);
        if self.waiting.len() >= self.queue {
            return Admission::Refused(Reason::Full, wait);
        }
        let kept = Duration::from_micros(self.kept_us(oldest));
        if wait > patience || left.is_some_and(|left| wait + kept > left) {
            return Admission::Refused(Reason::TooLate, wait);
        }
        self.tickets += 1;
        self.waiting.push_back(self.tickets);
        Admission::Waits(self.tickets)
    }

    /// How long whoever comes now is likely to wait.
    fn wait(&self, oldest: Duration) -> Duration {
        let turns = self.waiting.len() as u64 + 1;
        Duration::from_micros(self.kept_us(oldest).saturating_mul(turns) / u64::from(self.places))
    }

    /// How long a place is kept. While none has been given back, one takes at least as long as the oldest has taken so far.
    const fn kept_us(&self, oldest: Duration) -> u64 {
        match self.kept_us {
            0 => oldest.as_micros() as u64,
            known => known,
        }
    }

    /// A place is given back that was kept for so long, or for no work at all. Returns who has it now.
    fn done(&mut self, kept: Option<Duration>) -> Option<u64> {
        if let Some(kept) = kept {
            let kept_us = kept.as_micros() as u64;
            self.kept_us = match self.kept_us {
                0 => kept_us,
                known => known - known / 8 + kept_us / 8,
            };
        }
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.at_work -= 1;
        }
        next
    }

    /// Whoever waits under `ticket` leaves. False if it was given a place in that moment.
    fn leave(&mut self, ticket: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != ticket);
        self.waiting.len() < before
    }
}

/// Mechanism: the places of one instance.
pub(crate) struct Places {
    settings: ShedSettings,
    state: Option<Arc<Mutex<State>>>,
    metrics: Metrics,
}

struct State {
    line: Line,
    /// Whom to tell that its turn has come.
    calls: BTreeMap<u64, oneshot::Sender<()>>,
    /// Since when places are kept, in the order in which they were taken.
    since: BTreeMap<u64, Instant>,
    taken: u64,
}

impl State {
    /// For how long the place that was taken first is kept.
    fn oldest(&self) -> Duration {
        self.since
            .first_key_value()
            .map_or(Duration::ZERO, |(_, at)| at.elapsed())
    }

    /// A place is taken, under this number.
    fn take(&mut self) -> u64 {
        self.taken += 1;
        self.since.insert(self.taken, Instant::now());
        self.taken
    }

    fn done(&mut self, kept: Option<Duration>) {
        if let Some(next) = self.line.done(kept)
            && let Some(call) = self.calls.remove(&next)
        {
            // Who has left has said so: see `Waiting`.
            let _ = call.send(());
        }
    }
}

impl Places {
    pub(crate) fn new(settings: ShedSettings, metrics: Metrics) -> Self {
        let state = |places| {
            metrics.places.set(i64::from(places));
            Arc::new(Mutex::new(State {
                line: Line::new(places, settings.queue),
                calls: BTreeMap::new(),
                since: BTreeMap::new(),
                taken: 0,
            }))
        };
        Self {
            state: settings.concurrent.map(state),
            settings,
            metrics,
        }
    }

    /// A place among the calls at work, now or after a wait, or an early no.
    pub(crate) async fn enter(&self, trace: &Trace, deadline: &Deadline) -> Result<Place, Error> {
        let Some(state) = &self.state else {
            return Ok(Place(None));
        };
        let left = deadline.remaining();
        let (tell, turn) = oneshot::channel();
        let admission = {
            let mut state = lock(state);
            let oldest = state.oldest();
            let admission = state.line.come(self.settings.wait, left, oldest);
            if let Admission::Waits(ticket) = admission {
                state.calls.insert(ticket, tell);
            }
            admission
        };
        match admission {
            Admission::Place => {}
            Admission::Refused(reason, after) => return Err(self.refused(reason, after)),
            Admission::Waits(ticket) => {
                let waiting = Waiting {
                    state,
                    ticket: Some(ticket),
                };
                let span = (
                    trace.span(span::WAIT_PLACE),
                    Counted::begin(&self.metrics.places_waiting),
                );
                let patience = deadline.left(self.settings.wait);
                let come = tokio::time::timeout(patience, turn).await;
                drop(span);
                if !matches!(come, Ok(Ok(()))) {
                    drop(waiting);
                    let state = lock(state);
                    let after = state.line.wait(state.oldest());
                    drop(state);
                    return Err(self.refused(Reason::Waited, after));
                }
                waiting.over();
            }
        }
        let number = lock(state).take();
        Ok(Place(Some(Taken {
            state: Arc::clone(state),
            number,
            trace: trace.clone(),
            _in_use: Counted::begin(&self.metrics.places_in_use),
        })))
    }

    /// Gives `place` up while `wait` lasts, where there is one, and takes another then: who waits is not at work.
    pub(crate) async fn left_for(
        &self,
        place: Place,
        wait: Option<impl Future<Output = ()>>,
        trace: &Trace,
        deadline: &Deadline,
    ) -> Result<Place, Error> {
        let Some(wait) = wait else { return Ok(place) };
        drop(place);
        wait.await;
        self.enter(trace, deadline).await
    }

    fn refused(&self, reason: Reason, retry_after: Duration) -> Error {
        self.metrics.shed(reason.name());
        let retry_after = retry_after.max(SOONEST);
        Error::Shed { retry_after }
    }
}

/// A call in the line. When it leaves, its turn goes to the next.
struct Waiting<'a> {
    state: &'a Mutex<State>,
    ticket: Option<u64>,
}

impl Waiting<'_> {
    /// Its turn has come.
    fn over(mut self) {
        self.ticket = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = lock(self.state);
        state.calls.remove(&ticket);
        if !state.line.leave(ticket) {
            state.done(None);
        }
    }
}

/// A place among the calls at work. Given back when it is dropped.
#[must_use = "a place is kept until it is dropped"]
pub(crate) struct Place(#[expect(dead_code, reason = "kept for its end")] Option<Taken>);

struct Taken {
    state: Arc<Mutex<State>>,
    number: u64,
    trace: Trace,
    _in_use: Counted,
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        let since = state.since.remove(&self.number);
        // What was refused before a provider was asked says nothing about how long an answer takes.
        let worked = since.filter(|_| self.trace.was_asked());
        state.done(worked.map(|since| since.elapsed()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn those_who_wait_are_served_in_the_order_in_which_they_came() {
        let mut line = Line::new(1, 3);
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Place);
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Waits(1));
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Waits(2));
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Waits(3));
        assert_eq!(
            line.come(LONG, None, Duration::ZERO),
            Admission::Refused(Reason::Full, Duration::ZERO)
        );
        assert!(line.leave(2));
        assert_eq!(line.done(Some(millis(80))), Some(1));
        assert_eq!(line.done(None), Some(3));
        assert!(!line.leave(3), "its turn has come");
        assert_eq!(line.done(None), None);
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Place);
    }

    #[test]
    fn who_could_not_be_served_before_its_deadline_is_told_so_at_once() {
        let mut line = Line::new(2, 100);
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Place);
        assert_eq!(line.done(Some(millis(1000))), None);
        assert_eq!(
            (
                line.come(LONG, None, Duration::ZERO),
                line.come(LONG, None, Duration::ZERO)
            ),
            (Admission::Place, Admission::Place)
        );
        // Half a second until one of two places is free, and a second at work.
        assert_eq!(
            line.come(LONG, Some(millis(1499)), Duration::ZERO),
            Admission::Refused(Reason::TooLate, millis(500))
        );
        assert_eq!(line.come(LONG, Some(millis(1500)), Duration::ZERO), Admission::Waits(1));
        assert_eq!(
            line.come(millis(999), None, Duration::ZERO),
            Admission::Refused(Reason::TooLate, millis(1000))
        );
        assert_eq!(line.come(millis(1000), None, Duration::ZERO), Admission::Waits(2));
    }

    #[test]
    fn while_no_place_has_been_given_back_the_oldest_says_how_long_one_is_kept() {
        let mut line = Line::new(1, 0);
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Place);
        let refused = |wait| Admission::Refused(Reason::Full, millis(wait));
        assert_eq!(line.come(LONG, None, millis(7000)), refused(7000));
        assert_eq!(line.done(Some(millis(9000))), None);
        assert_eq!(line.come(LONG, None, Duration::ZERO), Admission::Place);
        assert_eq!(line.come(LONG, None, millis(20)), refused(9000));
    }

    proptest! {
        #[test]
        fn there_are_never_more_at_work_than_places_and_no_place_is_free_while_somebody_waits(
            places in 1_u32..5,
            queue in 0_u32..5,
            steps in proptest::collection::vec((0_u8..3, 0_usize..8), 1..200),
        ) {
            let mut line = Line::new(places, queue);
            let (mut at_work, mut waiting) = (0_u32, Vec::new());
            for (step, which) in steps {
                match step {
                    0 => match line.come(LONG, None, Duration::ZERO) {
                        Admission::Place => at_work += 1,
                        Admission::Waits(ticket) => waiting.push(ticket),
                        Admission::Refused(..) => prop_assert_eq!(waiting.len(), queue as usize),
                    },
                    1 if at_work > 0 => match line.done(None) {
                        Some(next) => prop_assert_eq!(next, waiting.remove(0)),
                        None => at_work -= 1,
                    },
                    2 if which < waiting.len() => prop_assert!(line.leave(waiting.remove(which))),
                    _ => {}
                }
                prop_assert_eq!(line.at_work, at_work);
                prop_assert!(at_work <= places);
                prop_assert!(waiting.is_empty() || at_work == places);
            }
        }
    }
}
