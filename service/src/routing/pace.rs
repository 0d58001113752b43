//! How soon a provider begins to answer, from the attempts that are made anyway: a peak-sensitive moving average.
//!
//! A slower attempt counts at once and in full, a faster one by and by: what is paid for a provider that has become slow
//! is paid by every request, what is lost on one that has become fast only by some. What was last known fades, so that a
//! provider that was slow once is tried again; as soon as one request tries, the others remember, until its answer is
//! here. In whole microseconds, so that the same attempts come to the same numbers everywhere.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::lock;

/// What is waited for. A whole answer shows no first token, so the two are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    averages: Arc<Mutex<[Average; 2]>>,
}

impl Pace {
    pub(crate) fn new(half_life: Duration) -> Self {
        Self {
            half_life,
            averages: Arc::default(),
        }
    }

    /// Somebody tries: what is known is as good as new until the answer is here.
    pub(crate) fn tried(&self, kind: Kind, now: Instant) {
        self.with(kind, |average| average.touched = Some(now));
    }

    /// It took so long.
    pub(crate) fn took(&self, kind: Kind, now: Instant, took: Duration) {
        self.with(kind, |average| average.took(now, took, self.half_life));
    }

    /// Nothing had come after so long, and nobody waits any more.
    pub(crate) fn took_longer(&self, kind: Kind, now: Instant, than: Duration) {
        self.with(kind, |average| {
            if micros(than) > average.value_us {
                average.took(now, than, self.half_life);
            }
        });
    }

    /// What is to be expected now. Nothing, as long as nothing is known: who was never tried is tried.
    pub(crate) fn expected(&self, kind: Kind, now: Instant) -> Duration {
        let average = lock(&self.averages)[kind as usize];
        let age = average
            .touched
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        Duration::from_micros(faded(average.value_us, age, self.half_life))
    }

    fn with(&self, kind: Kind, change: impl FnOnce(&mut Average)) {
        change(&mut lock(&self.averages)[kind as usize]);
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

    #[test]
    fn slower_counts_at_once_and_faster_by_and_by() {
        let (pace, start) = (Pace::new(HALF_LIFE), Instant::now());
        assert_eq!(pace.expected(Kind::FirstToken, start), Duration::ZERO, "nobody tried");
        pace.took(Kind::FirstToken, start, ms(300));
        pace.took(Kind::FirstToken, start + SECOND, ms(900));
        let now = start + SECOND;
        assert_eq!(pace.expected(Kind::FirstToken, now), ms(900));
        assert_eq!(pace.expected(Kind::Whole, now), Duration::ZERO, "another kind of wait");
        let later = now + HALF_LIFE;
        pace.took(Kind::FirstToken, later, ms(300));
        assert_eq!(pace.expected(Kind::FirstToken, later), ms(600), "half of the way");
    }

    #[test]
    fn what_was_slow_is_tried_again_by_one_and_the_others_remember() {
        let (pace, start) = (Pace::new(HALF_LIFE), Instant::now());
        pace.took(Kind::FirstToken, start, ms(2_000));
        let later = start + HALF_LIFE * 3;
        assert_eq!(pace.expected(Kind::FirstToken, later), ms(250));
        pace.tried(Kind::FirstToken, later);
        assert_eq!(pace.expected(Kind::FirstToken, later), ms(2_000));
    }

    #[test]
    fn giving_up_sooner_than_known_says_nothing() {
        let (pace, now) = (Pace::new(HALF_LIFE), Instant::now());
        pace.took(Kind::FirstToken, now, ms(400));
        pace.took_longer(Kind::FirstToken, now + SECOND, ms(5));
        assert_eq!(pace.expected(Kind::FirstToken, now), ms(400));
        pace.took_longer(Kind::FirstToken, now + SECOND, ms(5_000));
        assert_eq!(pace.expected(Kind::FirstToken, now + SECOND), ms(5_000));
    }

    proptest! {
        #[test]
        fn the_average_stays_between_the_least_and_the_most_that_was_seen(
            seen in proptest::collection::vec((1_u64..60_000_000, 0_u64..30_000_000), 1..50),
        ) {
            let (pace, mut now) = (Pace::new(HALF_LIFE), Instant::now());
            for (took, pause) in &seen {
                now += Duration::from_micros(*pause);
                pace.took(Kind::Whole, now, Duration::from_micros(*took));
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
