//! How long a process that keeps ending stays down: at once, then 10 s, doubling, at most 5 min, as Kubernetes does it.
//!
//! A synchronous core. Does not restart anything.

use std::time::Duration;

use tokio::time::Instant;

/// Before the second restart.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// After so long without a restart all is forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_mins(10);

/// The restarts of one process.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    restarts: u32,
    last: Option<Instant>,
}

impl Backoff {
    /// When to start the process that has ended `now`.
    pub(super) fn restart_at(&mut self, now: Instant) -> Instant {
        if self.last.is_some_and(|last| now > last + FORGIVEN_AFTER) {
            self.restarts = 0;
        }
        let pause = match self.restarts.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_PAUSE
                .saturating_mul(2_u32.saturating_pow(doublings))
                .min(LONGEST_PAUSE),
        };
        self.restarts = self.restarts.saturating_add(1);
        self.last = Some(now + pause);
        now + pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_are_forgotten_after_ten_well_ones() {
        let (mut backoff, mut now, mut pauses) = (Backoff::default(), Instant::now(), Vec::new());
        for _ in 0..8 {
            let at = backoff.restart_at(now);
            pauses.push((at - now).as_secs());
            now = at;
        }
        assert_eq!(pauses, [0, 10, 20, 40, 80, 160, 300, 300]);
        let soon = now + FORGIVEN_AFTER;
        assert_eq!(backoff.restart_at(soon) - soon, LONGEST_PAUSE);
        let late = soon + LONGEST_PAUSE + FORGIVEN_AFTER + Duration::from_secs(1);
        assert_eq!(backoff.restart_at(late), late);
    }
}
