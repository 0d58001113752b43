//! How soon a provider begins to answer, from the attempts that are made anyway: a peak-sensitive moving average.
//!
//! A slower attempt counts at once and in full, a faster one by and by: what is paid for a provider that has become slow
//! is paid by every request, what is lost on one that has become fast only by some. What was last known fades, so that a
//! provider that was slow once is tried again; as soon as one request tries, the others remember, until its answer is
//! here. Who waits for long now says so before the answer does. In whole microseconds, so that the same attempts come to the same numbers everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::lock;

/// What is waited for. A whole answer shows no first token, so the two are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// All of an answer.
    Whole,
    /// The first token of a stream.
    FirstToken,
}

/// The pace of one provider. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    half_life: Duration,
    known: Arc<Mutex<Known>>,
}

/// What is known of a provider.
#[derive(Debug, Default)]
struct Known {
    averages: [Average; 2],
    /// Those who wait, in the order in which they came.
    waiting: BTreeMap<(Kind, u64), Instant>,
    tries: u64,
}

impl Pace {
    pub(crate) fn new(half_life: Duration) -> Self {
        Self {
            half_life,
            known: Arc::default(),
        }
    }

    /// Somebody tries: what is known is as good as new until the answer is here.
    pub(crate) fn tries(&self, kind: Kind, now: Instant) -> Try {
        let mut known = lock(&self.known);
        known.averages[kind as usize].touched = Some(now);
        known.tries += 1;
        let number = known.tries;
        known.waiting.insert((kind, number), now);
        Try {
            pace: self.clone(),
            kind,
            number,
            began: now,
        }
    }

    /// What is to be expected now: no less than what somebody has waited for already. Nothing, as long as nothing is known:
    /// who was never tried is tried.
    pub(crate) fn expected(&self, kind: Kind, now: Instant) -> Duration {
        let known = lock(&self.known);
        let average = known.averages[kind as usize];
        let oldest = known
            .waiting
            .range((kind, 0)..)
            .next()
            .filter(|((of, _), _)| *of == kind);
        let waited = oldest.map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(*since));
        drop(known);
        let age = average
            .touched
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        Duration::from_micros(faded(average.value_us, age, self.half_life)).max(waited)
    }
}

/// Somebody who waits for a provider to begin. Whoever drops it unsaid has seen nothing.
#[derive(Debug)]
pub(crate) struct Try {
    pace: Pace,
    kind: Kind,
    number: u64,
    began: Instant,
}

impl Try {
    /// It has begun.
    pub(crate) fn took(self, now: Instant) {
        let half_life = self.pace.half_life;
        let took = now.saturating_duration_since(self.began);
        lock(&self.pace.known).averages[self.kind as usize].took(now, took, half_life);
    }

    /// It had not begun by now, and nobody waits any more.
    pub(crate) fn gave_up(self, now: Instant) {
        let half_life = self.pace.half_life;
        let waited = now.saturating_duration_since(self.began);
        let average = &mut lock(&self.pace.known).averages[self.kind as usize];
        if micros(waited) > average.value_us {
            average.took(now, waited, half_life);
        }
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        lock(&self.pace.known).waiting.remove(&(self.kind, self.number));
    }
}

/// What is known of one kind of wait.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    value_us: u64,
    /// When it was last added to.
    added: Option<Instant>,
    /// When it was last added to or tried.
    touched: Option<Instant>,
}

impl Average {
    fn took(&mut self, now: Instant, took: Duration, half_life: Duration) {
        let took_us = micros(took);
        let since = self.added.map(|at| now.saturating_duration_since(at));
        self.value_us = match since {
            // The older what is known, the more the news counts.
            Some(age) if took_us < self.value_us => took_us + faded(self.value_us - took_us, age, half_life),
            _ => took_us,
        };
        self.added = Some(now);
        self.touched = Some(now);
    }
}

/// What is left of `value` after `age`: half of it after every half-life, evenly in between.
fn faded(value: u64, age: Duration, half_life: Duration) -> u64 {
    let (age, half_life) = (micros(age), micros(half_life).max(1));
    let halvings = age / half_life;
    if halvings >= 64 {
        return 0;
    }
    let (value, rest) = (u128::from(value >> halvings), u128::from(age % half_life));
    let lost = value * rest / (2 * u128::from(half_life));
    (value - lost) as u64
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HALF_LIFE: Duration = Duration::from_secs(10);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Somebody tries at `at` and it takes so long.
    fn take(pace: &Pace, kind: Kind, ends: Instant, took: Duration) {
        pace.tries(kind, ends - took).took(ends);
    }

    fn start() -> Instant {
        Instant::now() + Duration::from_mins(10)
    }

    #[test]
    fn slower_counts_at_once_and_faster_by_and_by() {
        let (pace, start) = (Pace::new(HALF_LIFE), start());
        assert_eq!(pace.expected(Kind::FirstToken, start), Duration::ZERO, "nobody tried");
        take(&pace, Kind::FirstToken, start, ms(300));
        take(&pace, Kind::FirstToken, start + SECOND, ms(900));
        let now = start + SECOND;
        assert_eq!(pace.expected(Kind::FirstToken, now), ms(900));
        assert_eq!(pace.expected(Kind::Whole, now), Duration::ZERO, "another kind of wait");
        let later = now + HALF_LIFE;
        take(&pace, Kind::FirstToken, later, ms(300));
        assert_eq!(pace.expected(Kind::FirstToken, later), ms(600), "half of the way");
    }

    #[test]
    fn what_was_slow_is_tried_again_by_one_and_the_others_remember() {
        let (pace, start) = (Pace::new(HALF_LIFE), start());
        take(&pace, Kind::FirstToken, start, ms(2_000));
        let later = start + HALF_LIFE * 3;
        assert_eq!(pace.expected(Kind::FirstToken, later), ms(250));
        let _tries = pace.tries(Kind::FirstToken, later);
        assert_eq!(pace.expected(Kind::FirstToken, later), ms(2_000));
    }

    #[test]
    fn who_waits_for_long_is_known_before_the_answer_comes() {
        let (pace, start) = (Pace::new(HALF_LIFE), start());
        take(&pace, Kind::FirstToken, start, ms(300));
        let slow = pace.tries(Kind::FirstToken, start);
        let _whole = pace.tries(Kind::Whole, start);
        assert_eq!(
            pace.expected(Kind::FirstToken, start + ms(200)),
            ms(297),
            "no longer than usual"
        );
        assert_eq!(pace.expected(Kind::FirstToken, start + ms(700)), ms(700));
        drop(slow);
        assert!(
            pace.expected(Kind::FirstToken, start + ms(700)) < ms(300),
            "it left, and says nothing"
        );
    }

    #[test]
    fn giving_up_sooner_than_known_says_nothing() {
        let (pace, start) = (Pace::new(HALF_LIFE), start());
        take(&pace, Kind::FirstToken, start, ms(400));
        pace.tries(Kind::FirstToken, start).gave_up(start + ms(5));
        assert_eq!(pace.expected(Kind::FirstToken, start), ms(400));
        pace.tries(Kind::FirstToken, start).gave_up(start + ms(5_000));
        assert_eq!(pace.expected(Kind::FirstToken, start + ms(5_000)), ms(5_000));
    }

    proptest! {
        #[test]
        fn the_average_stays_between_the_least_and_the_most_that_was_seen(
            seen in proptest::collection::vec((1_u64..60_000_000, 0_u64..30_000_000), 1..50),
        ) {
            let (pace, mut now) = (Pace::new(HALF_LIFE), start());
            for (took, pause) in &seen {
                now += Duration::from_micros(*pause);
                take(&pace, Kind::Whole, now, Duration::from_micros(*took));
                let expected = pace.expected(Kind::Whole, now).as_micros() as u64;
                let least = seen.iter().map(|seen| seen.0).min().unwrap();
                let most = seen.iter().map(|seen| seen.0).max().unwrap();
                prop_assert!((least..=most).contains(&expected), "{expected}");
                prop_assert!(expected >= *took, "a peak is never hidden");
            }
        }

        #[test]
        fn what_fades_never_grows(value in any::<u64>(), a in 0_u64..1 << 40, b in 0_u64..1 << 40) {
            let left = |age| faded(value, Duration::from_micros(age), HALF_LIFE);
            prop_assert!(left(a.max(b)) <= left(a.min(b)));
            prop_assert_eq!(left(0), value);
        }
    }
}
