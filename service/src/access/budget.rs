//! Money: what a request can cost is set aside before it is made, and settled when it is known what it did cost.
//!
//! Checking first and booking afterwards lets every request that is under way at the same time pass the same check. Here
//! spent and set aside together never exceed the budget, by a single micro-dollar. Pure: it is told the time and answers.

use std::time::Duration;

use crate::settings::Usd;

/// A budget that is full again at the beginning of every window. Windows begin where the calendar says, so replicas and
/// restarts agree on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Budget {
    limit: u64,
    window_us: u64,
    window: u64,
    spent: u64,
    reserved: u64,
}

/// Money that was set aside. Given back to [`Budget::settle`] exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "what is not settled stays set aside"]
pub(super) struct SetAside(Usd);

impl SetAside {
    /// How much it is.
    pub(super) const fn amount(&self) -> Usd {
        self.0
    }
}

/// There is not enough left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exhausted {
    /// How long until the budget is full again.
    pub(super) full_in: Duration,
}

impl Budget {
    /// A full budget.
    pub(super) const fn new(limit: Usd, window: Duration) -> Self {
        Self {
            limit: limit.micros(),
            window_us: window.as_micros() as u64,
            window: 0,
            spent: 0,
            reserved: 0,
        }
    }

    /// Sets money aside, or refuses.
    pub(super) fn reserve(&mut self, now_us: u64, amount: Usd) -> Result<SetAside, Exhausted> {
        self.turn(now_us);
        let taken = self.spent.saturating_add(self.reserved);
        if self.limit.saturating_sub(taken) < amount.micros() {
            let full_at = (self.window + 1).saturating_mul(self.window_us);
            return Err(Exhausted {
                full_in: Duration::from_micros(full_at - now_us),
            });
        }
        self.reserved += amount.micros();
        Ok(SetAside(amount))
    }

    /// What was set aside cost `actual`. What costs more than was set aside is booked as it is: then the truth is worth more
    /// than the law, and the next request pays for it.
    pub(super) fn settle(&mut self, now_us: u64, aside: &SetAside, actual: Usd) {
        self.turn(now_us);
        self.reserved = self.reserved.saturating_sub(aside.0.micros());
        self.spent = self.spent.saturating_add(actual.micros());
    }

    /// Begins a new window when it is time. What is set aside stays set aside: it will be spent in the new one.
    const fn turn(&mut self, now_us: u64) {
        let window = now_us / self.window_us;
        if window > self.window {
            self.window = window;
            self.spent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    const fn usd(micros: u64) -> Usd {
        Usd::from_micros(micros)
    }

    #[test]
    fn requests_under_way_count_before_they_are_paid() {
        let mut budget = Budget::new(usd(100), DAY);
        let first = budget.reserve(0, usd(60)).unwrap();
        assert!(budget.reserve(0, usd(41)).is_err());
        let second = budget.reserve(0, usd(40)).unwrap();
        budget.settle(0, &first, usd(10));
        assert!(budget.reserve(0, usd(51)).is_err());
        budget.settle(0, &second, usd(0));
        assert!(budget.reserve(0, usd(90)).is_ok());
    }

    #[test]
    fn a_budget_is_full_again_with_the_next_window_and_says_when() {
        let hour = Duration::from_hours(1);
        let mut budget = Budget::new(usd(10), hour);
        let aside = budget.reserve(1_000_000, usd(10)).unwrap();
        budget.settle(1_000_000, &aside, usd(10));
        let refused = budget.reserve(2_000_000, usd(1)).unwrap_err();
        assert_eq!(refused.full_in, hour.saturating_sub(Duration::from_secs(2)));
        assert!(budget.reserve(hour.as_micros() as u64, usd(10)).is_ok());
    }

    proptest! {
        #[test]
        fn a_budget_is_never_exceeded_by_one(
            limit in 1_u64..1_000,
            steps in proptest::collection::vec((1_u64..400, 0_u64..=100, any::<bool>()), 1..200),
        ) {
            let mut budget = Budget::new(usd(limit), DAY);
            let (mut under_way, mut spent) = (Vec::new(), 0);
            for (amount, percent, finish) in steps {
                if finish && let Some(aside) = under_way.pop() {
                    let aside: SetAside = aside;
                    let actual = aside.amount().micros() * percent / 100;
                    budget.settle(0, &aside, usd(actual));
                    spent += actual;
                } else if let Ok(aside) = budget.reserve(0, usd(amount)) {
                    under_way.push(aside);
                }
                let reserved: u64 = under_way.iter().map(|aside| aside.amount().micros()).sum();
                prop_assert!(spent + reserved <= limit);
                prop_assert_eq!((budget.spent, budget.reserved), (spent, reserved));
                // And it refuses nothing that fits.
                let left = limit - spent - reserved;
                prop_assert_eq!(budget.clone().reserve(0, usd(left)).is_ok(), true);
            }
        }
    }
}
