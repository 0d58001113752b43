//! Money: what a request can cost is set aside before it is made, and settled when it is known what it did cost.
//!
//! Checking first and booking afterwards lets every request that is under way at the same time pass the same check. Here
//! spent and set aside together never exceed the budget, by a single micro-dollar. Pure: it is told the time and answers.

use std::time::Duration;

use crate::settings::Usd;

/// Parameters: so much money, full again at the beginning of every window. Windows begin where the calendar says, so
/// replicas and restarts agree on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    limit: u64,
    window_us: u64,
}

impl Allowance {
    /// So much in every window, which is at least a microsecond.
    pub fn new(limit: Usd, window: Duration) -> Self {
        Self {
            limit: limit.micros(),
            window_us: (window.as_micros() as u64).max(1),
        }
    }

    pub(super) const fn limit(self) -> u64 {
        self.limit
    }

    pub(super) const fn window_us(self) -> u64 {
        self.window_us
    }
}

/// A budget as it stands, in micro-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Budget {
    window: u64,
    spent: u64,
    reserved: u64,
}

impl Budget {
    /// The same budget later. What is set aside stays set aside: it will be spent in the new window.
    pub(super) const fn turned(self, rule: Allowance, now_us: u64) -> Self {
        let window = now_us / rule.window_us;
        if window <= self.window {
            return self;
        }
        Self {
            window,
            spent: 0,
            reserved: self.reserved,
        }
    }

    /// The window it is in, by the calendar.
    pub(super) const fn window(self) -> u64 {
        self.window
    }

    /// What is neither spent nor set aside.
    pub(super) const fn left(self, rule: Allowance) -> u64 {
        rule.limit.saturating_sub(self.spent.saturating_add(self.reserved))
    }

    /// How long it takes until `amount` can be set aside; `None` if the whole budget is less than that.
    pub(super) fn wait(self, rule: Allowance, now_us: u64, amount: u64) -> Option<Duration> {
        if amount > rule.limit {
            return None;
        }
        if self.left(rule) >= amount {
            return Some(Duration::ZERO);
        }
        let full_at = (self.window + 1).saturating_mul(rule.window_us);
        Some(Duration::from_micros(full_at.saturating_sub(now_us).max(1)))
    }

    /// Sets `amount` aside, which [`Budget::wait`] has said to fit.
    pub(super) const fn take(&mut self, amount: u64) {
        self.reserved += amount;
    }

    /// What was set aside cost `actual`. What costs more than was set aside is booked as it is: then the truth is worth more
    /// than the law, and the next request pays for it.
    pub(super) const fn settle(&mut self, amount: u64, actual: u64) {
        self.reserved = self.reserved.saturating_sub(amount);
        self.spent = self.spent.saturating_add(actual);
    }

    /// Nobody ever said what the `amount` cost that was set aside in `window`. It counts as spent there: whoever died with
    /// it may well have spent it.
    pub(super) const fn lapse(&mut self, amount: u64, window: u64) {
        self.settle(amount, if window == self.window { amount } else { 0 });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn allowance(micros: u64) -> Allowance {
        Allowance::new(Usd::from_micros(micros), HOUR)
    }

    /// Sets `amount` aside, or says when it can be.
    fn reserve(budget: &mut Budget, rule: Allowance, now_us: u64, amount: u64) -> Result<(), Option<Duration>> {
        *budget = budget.turned(rule, now_us);
        match budget.wait(rule, now_us, amount) {
            Some(Duration::ZERO) => {
                budget.take(amount);
                Ok(())
            }
            wait => Err(wait),
        }
    }

    #[test]
    fn requests_under_way_count_before_they_are_paid() {
        let (rule, mut budget) = (allowance(100), Budget::default());
        assert!(reserve(&mut budget, rule, 0, 60).is_ok());
        assert!(reserve(&mut budget, rule, 0, 41).is_err());
        assert!(reserve(&mut budget, rule, 0, 40).is_ok());
        budget.settle(60, 10);
        assert!(reserve(&mut budget, rule, 0, 51).is_err());
        budget.settle(40, 0);
        assert!(reserve(&mut budget, rule, 0, 90).is_ok());
    }

    #[test]
    fn a_budget_is_full_again_with_the_next_window_and_says_when() {
        let (rule, mut budget) = (allowance(10), Budget::default());
        assert!(reserve(&mut budget, rule, 1_000_000, 10).is_ok());
        budget.settle(10, 10);
        let refused = reserve(&mut budget, rule, 2_000_000, 1).unwrap_err();
        assert_eq!(refused, Some(HOUR.saturating_sub(Duration::from_secs(2))));
        assert!(reserve(&mut budget, rule, HOUR.as_micros() as u64, 10).is_ok());
    }

    #[test]
    fn what_the_whole_budget_does_not_cover_is_never_told_to_wait() {
        let (rule, mut budget) = (allowance(10), Budget::default());
        assert_eq!(reserve(&mut budget, rule, 0, 11), Err(None));
    }

    #[test]
    fn what_lapses_is_spent_in_its_own_window_and_free_in_the_next() {
        let (rule, mut budget) = (allowance(10), Budget::default());
        assert!(reserve(&mut budget, rule, 0, 6).is_ok());
        budget.lapse(6, 0);
        assert!(reserve(&mut budget, rule, 0, 5).is_err());
        assert!(reserve(&mut budget, rule, 0, 4).is_ok());
        let next = HOUR.as_micros() as u64;
        assert!(reserve(&mut budget, rule, next, 7).is_err(), "still set aside");
        budget.lapse(4, 0);
        assert!(reserve(&mut budget, rule, next, 10).is_ok());
    }

    proptest! {
        #[test]
        fn a_budget_is_never_exceeded_by_one(
            limit in 1_u64..1_000,
            steps in proptest::collection::vec((1_u64..400, 0_u64..=100, any::<bool>()), 1..200),
        ) {
            let (rule, mut budget) = (allowance(limit), Budget::default());
            let (mut under_way, mut spent) = (Vec::new(), 0);
            for (amount, percent, finish) in steps {
                if finish && let Some(aside) = under_way.pop() {
                    let aside: u64 = aside;
                    let actual = aside * percent / 100;
                    budget.settle(aside, actual);
                    spent += actual;
                } else if reserve(&mut budget, rule, 0, amount).is_ok() {
                    under_way.push(amount);
                }
                let reserved: u64 = under_way.iter().sum();
                prop_assert!(spent + reserved <= limit);
                prop_assert_eq!((budget.spent, budget.reserved), (spent, reserved));
                // And it refuses nothing that fits.
                let left = limit - spent - reserved;
                prop_assert_eq!(reserve(&mut budget.clone(), rule, 0, left), Ok(()));
            }
        }
    }
}
