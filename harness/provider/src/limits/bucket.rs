//! One bucket: so many units a minute, refilled continuously, in whole numbers only.
//!
//! The level is kept in parts of a unit, 60 million to the unit, because that is what one unit per minute adds in a
//! microsecond. So no refill is ever rounded.

use brownout_scenario::units::{Micros, Share};

use super::{Gauge, LimitKind, Refused};

/// Parts of a unit: microseconds to the minute.
const PARTS: u128 = 60_000_000;

/// A bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_minute: u64,
    capacity: u128,
    level: u128,
    at: Micros,
}

impl Bucket {
    /// A full bucket that holds the share `burst` of a minute's allowance, but at least one unit.
    pub(crate) fn full(per_minute: u64, burst: Share, now: Micros) -> Self {
        let per_minute = per_minute.max(1);
        let units = ((per_minute as f64 * burst.get()) as u64).clamp(1, per_minute);
        let capacity = u128::from(units) * PARTS;
        Self {
            per_minute,
            capacity,
            level: capacity,
            at: now,
        }
    }

    /// Lets time pass. A time before the last one changes nothing.
    pub(crate) fn refill(&mut self, now: Micros) {
        let gained = u128::from(now.since(self.at).0) * u128::from(self.per_minute);
        self.level = (self.level + gained).min(self.capacity);
        self.at = self.at.max(now);
    }

    /// Why `cost` units can't be taken now; `None` if they can.
    pub(crate) fn refusal(&self, kind: LimitKind, cost: u64) -> Option<Refused> {
        let parts = u128::from(cost) * PARTS;
        if parts <= self.level {
            return None;
        }
        let fits = parts <= self.capacity;
        let limit = if fits {
            self.per_minute
        } else {
            (self.capacity / PARTS) as u64
        };
        Some(Refused {
            kind,
            limit,
            used: limit.saturating_sub(self.remaining()),
            requested: cost,
            wait: fits.then(|| self.until(parts)),
        })
    }

    /// Takes `cost` units, which must be there.
    pub(crate) fn take(&mut self, cost: u64) {
        let parts = u128::from(cost) * PARTS;
        debug_assert!(parts <= self.level, "taken without asking");
        self.level = self.level.saturating_sub(parts);
    }

    /// Puts units back; what the bucket can't hold is lost.
    pub(crate) fn put_back(&mut self, units: u64) {
        self.level = (self.level + u128::from(units) * PARTS).min(self.capacity);
    }

    /// Where it stands.
    pub(crate) fn gauge(&self) -> Gauge {
        Gauge {
            limit: self.per_minute,
            remaining: self.remaining(),
            reset: self.until(self.capacity),
        }
    }

    fn remaining(&self) -> u64 {
        (self.level / PARTS) as u64
    }

    /// From now until the level is `parts`, if nobody takes from it.
    fn until(&self, parts: u128) -> Micros {
        let missing = parts.saturating_sub(self.level);
        Micros(missing.div_ceil(u128::from(self.per_minute)) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn burst_is_a_share_of_the_minute_and_at_least_one_unit() {
        let holds = |per_minute, burst: f64| {
            let bucket = Bucket::full(per_minute, Share::try_from(burst).unwrap(), Micros::ZERO);
            bucket.gauge().remaining
        };
        assert_eq!(holds(600, 1.0), 600);
        assert_eq!(holds(600, 0.1), 60);
        assert_eq!(holds(3, 0.1), 1);
    }

    #[test]
    fn what_is_larger_than_the_bucket_can_never_fit() {
        let bucket = Bucket::full(100, Share::try_from(0.5).unwrap(), Micros::ZERO);
        assert_eq!(bucket.refusal(LimitKind::Tokens, 50), None);
        let refused = bucket.refusal(LimitKind::Tokens, 51).unwrap();
        assert_eq!((refused.wait, refused.limit), (None, 50));
    }

    proptest! {
        #[test]
        fn refilling_in_many_steps_equals_refilling_in_one(
            per_minute in 1u64..1_000_000,
            steps in prop::collection::vec(0u64..1_000_000, 1..50),
        ) {
            let mut stepped = Bucket::full(per_minute, Share::ALL, Micros::ZERO);
            let mut whole = Bucket::full(per_minute, Share::ALL, Micros::ZERO);
            stepped.take(per_minute);
            whole.take(per_minute);
            let mut now = 0;
            for step in steps {
                now += step;
                stepped.refill(Micros(now));
            }
            whole.refill(Micros(now));
            prop_assert_eq!(stepped.level, whole.level);
            prop_assert_eq!(whole.level, (u128::from(now) * u128::from(per_minute)).min(whole.capacity));
        }
    }
}
