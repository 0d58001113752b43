//! How many replicas there should be: the requests in flight divided by what one is meant to carry.
//!
//! A synchronous core. Does not start or end anything, and does not count requests.

use std::collections::VecDeque;

use brownout_scenario::plan::ScalePlan;
use tokio::time::Instant;

/// Follows the load of one variant.
#[derive(Debug)]
pub(super) struct Scaler {
    plan: ScalePlan,
    /// What was wanted lately, and when: ascending in time, descending in number.
    wanted: VecDeque<(Instant, u32)>,
}

impl Scaler {
    pub(super) fn new(plan: ScalePlan) -> Self {
        Self {
            plan,
            wanted: VecDeque::new(),
        }
    }

    /// How many replicas there should be from `now` on. More as soon as they are wanted; fewer once they were not wanted for
    /// the whole of the plan's `idle`.
    pub(super) fn replicas(&mut self, now: Instant, in_flight: u64) -> u32 {
        let wanted = in_flight.div_ceil(u64::from(self.plan.target_in_flight.max(1)));
        let wanted = u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .clamp(self.plan.min, self.plan.max);
        let idle: std::time::Duration = self.plan.idle.into();
        while self.wanted.front().is_some_and(|(at, _)| *at + idle <= now) {
            self.wanted.pop_front();
        }
        while self.wanted.back().is_some_and(|(_, less)| *less <= wanted) {
            self.wanted.pop_back();
        }
        self.wanted.push_back((now, wanted));
        self.wanted.front().map_or(wanted, |(_, most)| *most)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use brownout_scenario::units::Micros;

    use super::*;

    /// What is wanted second by second, with ten requests to a replica and four idle seconds.
    fn replicas(in_flight: &[u64]) -> Vec<u32> {
        let mut scaler = Scaler::new(ScalePlan {
            min: 0,
            max: 5,
            target_in_flight: 10,
            most_in_flight: None,
            every: Micros::from_secs(1),
            idle: Micros::from_secs(4),
        });
        let start = Instant::now();
        let mut second = 0;
        let mut look = |load: &u64| {
            second += 1;
            scaler.replicas(start + Duration::from_secs(second), *load)
        };
        in_flight.iter().map(&mut look).collect()
    }

    #[test]
    fn replicas_come_at_once_and_go_after_idle_seconds() {
        assert_eq!(replicas(&[0, 1, 10, 11, 50, 9_999]), [0, 1, 1, 2, 5, 5]);
        assert_eq!(replicas(&[31, 0, 0, 0, 0, 0]), [4, 4, 4, 4, 0, 0]);
        assert_eq!(replicas(&[31, 11, 0, 0, 0, 0]), [4, 4, 4, 4, 2, 0]);
        assert_eq!(replicas(&[31, 0, 0, 31, 0, 0, 0, 0]), [4, 4, 4, 4, 4, 4, 4, 0]);
    }
}
