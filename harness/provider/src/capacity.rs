//! How much a provider works on at once: slots, and a queue in front of them.
//!
//! Pure: the caller brings the time. The wait is settled when a request arrives, from the ends that are known then. If
//! somebody ahead leaves early, those who come later gain by it; those who wait already keep their turn's time.

use std::collections::BTreeSet;

use brownout_scenario::plan::Capacity as Plan;
use brownout_scenario::units::Micros;

/// The end of an attempt that will not end by itself.
pub(crate) const NEVER: Micros = Micros(u64::MAX);

/// Slots and queue of one provider.
#[derive(Debug)]
pub(crate) struct Capacity {
    plan: Plan,
    /// Ends of all attempts that work or wait, each with a number of its own.
    ends: BTreeSet<(Micros, u64)>,
}

impl Capacity {
    /// Nobody there.
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            ends: BTreeSet::new(),
        }
    }

    /// When a request that arrives now gets its slot; `None` when the queue is full, or stuck.
    pub(crate) fn turn(&mut self, now: Micros) -> Option<Micros> {
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            self.ends.pop_first();
        }
        let there = self.ends.len();
        let slots = self.plan.slots as usize;
        let Some(waiting) = there.checked_sub(slots) else {
            return Some(now);
        };
        if waiting >= self.plan.queue as usize {
            return None;
        }
        // Behind an attempt that may never end there is no turn to wait for.
        let turn = self.ends.iter().nth(waiting).map(|(end, _)| *end);
        turn.filter(|turn| *turn < NEVER)
    }

    /// Attempt `ticket` will be there until `end`.
    pub(crate) fn hold(&mut self, ticket: u64, end: Micros) {
        self.ends.insert((end, ticket));
    }

    /// It leaves at another time than expected.
    pub(crate) fn revise(&mut self, ticket: u64, expected: Micros, end: Micros) {
        if self.ends.remove(&(expected, ticket)) {
            self.ends.insert((end, ticket));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn capacity(slots: u32, queue: u32) -> Capacity {
        Capacity::new(Plan { slots, queue })
    }

    #[test]
    fn who_finds_no_slot_waits_for_the_first_that_is_freed() {
        let mut capacity = capacity(2, 2);
        for (ticket, end) in [(1, 50), (2, 30)] {
            assert_eq!(capacity.turn(Micros(0)), Some(Micros(0)));
            capacity.hold(ticket, Micros(end));
        }
        assert_eq!(capacity.turn(Micros(1)), Some(Micros(30)));
        capacity.hold(3, Micros(60));
        assert_eq!(capacity.turn(Micros(1)), Some(Micros(50)), "the second in the queue");
        capacity.hold(4, Micros(90));
        assert_eq!(capacity.turn(Micros(1)), None, "the queue is full");
        assert_eq!(capacity.turn(Micros(30)), Some(Micros(60)), "one has moved up");
    }

    #[test]
    fn who_leaves_early_makes_room() {
        let mut capacity = capacity(1, 0);
        capacity.turn(Micros(0)).unwrap();
        capacity.hold(1, Micros(100));
        assert_eq!(capacity.turn(Micros(10)), None);
        capacity.revise(1, Micros(100), Micros(20));
        assert_eq!(capacity.turn(Micros(20)), Some(Micros(20)));
    }

    #[test]
    fn nobody_waits_behind_an_attempt_that_never_ends() {
        let mut capacity = capacity(2, 5);
        capacity.hold(1, NEVER);
        capacity.hold(2, Micros(50));
        assert_eq!(capacity.turn(Micros(1)), Some(Micros(50)));
        capacity.hold(3, Micros(90));
        assert_eq!(capacity.turn(Micros(1)), Some(Micros(90)));
        capacity.hold(4, NEVER);
        assert_eq!(capacity.turn(Micros(1)), None, "both slots will be stuck");
        capacity.revise(1, NEVER, Micros(2));
        assert_eq!(capacity.turn(Micros(2)), Some(Micros(90)), "one is free again");
    }

    proptest! {
        #[test]
        fn never_more_at_work_than_slots(work in prop::collection::vec((0u64..20, 1u64..80), 1..200), slots in 1u32..6, queue in 0u32..8) {
            let mut capacity = capacity(slots, queue);
            let (mut now, mut served) = (0, Vec::new());
            for (ticket, (gap, lasts)) in work.into_iter().enumerate() {
                now += gap;
                if let Some(start) = capacity.turn(Micros(now)) {
                    capacity.hold(ticket as u64, Micros(start.0 + lasts));
                    served.push((start.0, start.0 + lasts));
                }
            }
            for at in 0..now + 100 {
                let working = served.iter().filter(|(start, end)| (*start..*end).contains(&at)).count();
                prop_assert!(working <= slots as usize, "{working} at {at}");
            }
        }
    }
}
