//! A token bucket: so many requests or tokens in a minute, refilled all the time, with room for a short burst.
//!
//! Pure: it is told the time and answers. In whole numbers, so that nothing is lost to rounding however often it is asked;
//! small enough for a double, so that a Lua script comes to the same ones.

use std::time::Duration;

/// What one request or token takes out of a bucket: as many units as a minute has microseconds, so that a rate of n a
/// minute puts n units in with every microsecond.
const UNIT: i64 = 60_000_000;
/// No bucket owes more than this, however far off an estimate was.
const FLOOR: i64 = -9_000_000_000_000_000;
/// No settlement counts more than this many requests or tokens.
const MOST: u64 = 100_000_000;

/// Parameters: how much is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_minute: u32,
    burst: Duration,
}

impl Rate {
    /// At most this many a minute.
    pub const MOST_PER_MINUTE: u32 = 100_000_000;
    /// With a minute's worth in a bucket, two minutes' worth can come within one.
    pub const LONGEST_BURST: Duration = Duration::from_mins(1);

    /// So many a minute, of which those of `burst` may come at once; at least one.
    pub fn new(per_minute: u32, burst: Duration) -> Self {
        Self {
            per_minute: per_minute.clamp(1, Self::MOST_PER_MINUTE),
            burst: burst.min(Self::LONGEST_BURST),
        }
    }

    /// The most that can be asked for at once.
    pub fn most_at_once(self) -> u64 {
        (self.size() / UNIT) as u64
    }

    pub(super) const fn per_minute(self) -> u32 {
        self.per_minute
    }

    pub(super) const fn burst_us(self) -> u64 {
        self.burst.as_micros() as u64
    }

    fn size(self) -> i64 {
        (i64::from(self.per_minute) * self.burst_us().cast_signed()).max(UNIT)
    }
}

/// A bucket. Below zero it owes: those who wait have their share already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    level: i64,
    at_us: u64,
}

impl Bucket {
    /// A full one.
    pub(super) fn full(rate: Rate, now_us: u64) -> Self {
        Self {
            level: rate.size(),
            at_us: now_us,
        }
    }

    /// The same bucket later.
    pub(super) fn refilled(self, rate: Rate, now_us: u64) -> Self {
        // More than a minute fills any bucket.
        let passed = now_us
            .saturating_sub(self.at_us)
            .min(UNIT.cast_unsigned())
            .cast_signed();
        Self {
            level: (self.level + passed * i64::from(rate.per_minute)).min(rate.size()),
            at_us: self.at_us.max(now_us),
        }
    }

    /// How long it takes until `amount` is in it; `None` if it holds less than that.
    pub(super) fn wait(self, rate: Rate, amount: u64) -> Option<Duration> {
        if amount > rate.most_at_once() {
            return None;
        }
        let missing = (amount.cast_signed() * UNIT - self.level).max(0) as u64;
        Some(Duration::from_micros(missing.div_ceil(u64::from(rate.per_minute))))
    }

    /// Takes `amount` out, which [`Bucket::wait`] has said to fit.
    pub(super) fn take(&mut self, amount: u64) {
        self.level -= amount.cast_signed() * UNIT;
    }

    /// Of the `amount` that was taken out, so much was `used`.
    pub(super) fn settle(&mut self, rate: Rate, amount: u64, used: u64) {
        let back = (amount.cast_signed() - used.min(MOST).cast_signed()) * UNIT;
        self.level = (self.level + back).clamp(FLOOR, rate.size());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn rate(per_minute: u32) -> Rate {
        Rate::new(per_minute, Duration::from_secs(10))
    }

    /// Takes `amount` out now, or says how long to wait.
    fn take(bucket: &mut Bucket, rate: Rate, now_us: u64, amount: u64) -> Result<(), Option<Duration>> {
        *bucket = bucket.refilled(rate, now_us);
        match bucket.wait(rate, amount) {
            Some(Duration::ZERO) => {
                bucket.take(amount);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    #[test]
    fn a_bucket_holds_its_burst_and_refills_at_its_rate() {
        let rate = rate(60);
        let mut bucket = Bucket::full(rate, 0);
        let admitted = (0..100).filter(|_| take(&mut bucket, rate, 0, 1).is_ok()).count();
        assert_eq!(admitted, 10);
        let millis = |millis| Err(Some(Duration::from_millis(millis)));
        assert_eq!(take(&mut bucket, rate, 0, 1), millis(1000));
        assert_eq!(take(&mut bucket, rate, SECOND / 4, 1), millis(750));
        assert_eq!(take(&mut bucket, rate, SECOND, 1), Ok(()));
        assert_eq!(take(&mut bucket, rate, SECOND, 1), millis(1000));
    }

    #[test]
    fn a_slow_rate_still_admits_one_at_a_time() {
        let rate = rate(1);
        let mut bucket = Bucket::full(rate, 0);
        assert_eq!(take(&mut bucket, rate, 0, 1), Ok(()));
        assert_eq!(take(&mut bucket, rate, SECOND, 1), Err(Some(Duration::from_secs(59))));
        assert_eq!(take(&mut bucket, rate, 60 * SECOND, 1), Ok(()));
    }

    #[test]
    fn what_the_whole_bucket_cannot_hold_is_never_told_to_wait() {
        let rate = rate(6_000);
        assert_eq!(rate.most_at_once(), 1_000);
        let bucket = Bucket::full(rate, 0);
        assert_eq!(bucket.wait(rate, 1_000), Some(Duration::ZERO));
        assert_eq!(bucket.wait(rate, 1_001), None);
        assert_eq!(bucket.wait(rate, u64::MAX), None);
    }

    #[test]
    fn what_was_not_used_comes_back_and_what_was_used_beyond_is_owed() {
        let rate = rate(60);
        let mut bucket = Bucket::full(rate, 0);
        bucket.take(10);
        bucket.settle(rate, 10, 4);
        assert_eq!(bucket.wait(rate, 6), Some(Duration::ZERO));
        bucket.take(6);
        bucket.settle(rate, 6, 8);
        assert_eq!(bucket.wait(rate, 1), Some(Duration::from_secs(3)));
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_one_burst_get_through(
            per_minute in 1_u32..10_000,
            steps in proptest::collection::vec((0_u64..5_000_000, 1_u64..20, 0_u64..100), 1..500),
        ) {
            let rate = rate(per_minute);
            let mut bucket = Bucket::full(rate, 0);
            let (mut now, mut used) = (0, 0_u64);
            for (step, amount, percent) in steps {
                now += step;
                if take(&mut bucket, rate, now, amount).is_ok() {
                    let of_it = amount * percent / 100;
                    bucket.settle(rate, amount, of_it);
                    used += of_it;
                }
            }
            let refilled = now * u64::from(per_minute);
            prop_assert!(used * UNIT as u64 <= rate.size() as u64 + refilled, "{used} in {now} us");
        }

        #[test]
        fn who_waits_as_long_as_it_was_told_is_admitted_and_not_a_microsecond_sooner(
            per_minute in 1_u32..1_000_000,
            at in 0_u64..100_000_000,
            amount in 1_u64..1_000,
        ) {
            let rate = rate(per_minute);
            let mut bucket = Bucket::full(rate, 0);
            while take(&mut bucket, rate, 0, amount).is_ok() {}
            if let Err(Some(wait)) = take(&mut bucket, rate, at, amount) {
                let due = at + wait.as_micros() as u64;
                prop_assert!(take(&mut bucket.clone(), rate, due - 1, amount).is_err());
                prop_assert!(take(&mut bucket, rate, due, amount).is_ok());
            }
        }
    }
}
