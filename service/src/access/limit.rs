//! A token bucket: so many requests in a minute, refilled all the time, with room for a short burst.
//!
//! Pure: it is told the time and answers. In whole numbers, so that nothing is lost to rounding however often it is asked.

use std::time::Duration;

/// What one request takes out of a bucket: as many units as a minute has microseconds, so that a rate of n requests a
/// minute puts n units in with every microsecond.
const REQUEST: u64 = 60_000_000;
/// How much of its rate a bucket can hold. With a minute's worth a key could take two minutes' worth within one.
const BURST: Duration = Duration::from_secs(10);

/// A bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    per_minute: u64,
    level: u64,
    at_us: u64,
}

impl Bucket {
    /// A full bucket.
    pub(super) fn full(per_minute: u32, now_us: u64) -> Self {
        let per_minute = u64::from(per_minute);
        Self {
            per_minute,
            level: Self::size(per_minute),
            at_us: now_us,
        }
    }

    /// Takes a request out, or says how long it takes until there is one.
    pub(super) fn take(&mut self, now_us: u64) -> Result<(), Duration> {
        let passed = now_us.saturating_sub(self.at_us);
        self.at_us = self.at_us.max(now_us);
        let refilled = self.level.saturating_add(passed.saturating_mul(self.per_minute));
        self.level = refilled.min(Self::size(self.per_minute));
        match self.level.checked_sub(REQUEST) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => Err(Duration::from_micros((REQUEST - self.level).div_ceil(self.per_minute))),
        }
    }

    /// At least one request fits, however low the rate.
    fn size(per_minute: u64) -> u64 {
        (per_minute * BURST.as_micros() as u64).max(REQUEST)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_bucket_holds_ten_seconds_and_refills_at_its_rate() {
        let mut bucket = Bucket::full(60, 0);
        let admitted = (0..100).filter(|_| bucket.take(0).is_ok()).count();
        assert_eq!(admitted, 10);
        assert_eq!(bucket.take(0), Err(Duration::from_secs(1)));
        assert_eq!(bucket.take(SECOND / 4), Err(Duration::from_millis(750)));
        assert_eq!(bucket.take(SECOND), Ok(()));
        assert!(bucket.take(SECOND).is_err());
    }

    #[test]
    fn a_slow_rate_still_admits_one_at_a_time() {
        let mut bucket = Bucket::full(1, 0);
        assert_eq!(bucket.take(0), Ok(()));
        assert_eq!(bucket.take(SECOND), Err(Duration::from_secs(59)));
        assert_eq!(bucket.take(60 * SECOND), Ok(()));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst_get_through(
            per_minute in 1_u32..10_000,
            steps in proptest::collection::vec(0_u64..5_000_000, 1..500),
        ) {
            let mut bucket = Bucket::full(per_minute, 0);
            let (mut now, mut admitted) = (0, 0_u64);
            for step in steps {
                now += step;
                admitted += u64::from(bucket.take(now).is_ok());
            }
            let rate = u64::from(per_minute);
            let burst = (rate / 6 + 1).max(1);
            prop_assert!(admitted <= burst + now * rate / REQUEST + 1, "{admitted} in {now} us");
        }

        #[test]
        fn who_waits_as_long_as_it_was_told_is_admitted(per_minute in 1_u32..1_000_000, at in 0_u64..100_000_000) {
            let mut bucket = Bucket::full(per_minute, 0);
            while bucket.take(0).is_ok() {}
            if let Err(wait) = bucket.take(at) {
                prop_assert!(bucket.take(at + wait.as_micros() as u64).is_ok());
            }
        }
    }
}
