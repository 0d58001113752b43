//! What happened lately: attempts and failures within a sliding window, counted in slices.
//!
//! As exact as a slice is long (a tenth of the window), and of a fixed size however many attempts there are.

use std::time::Duration;

use tokio::time::Instant;

/// Slices of a window.
const SLICES: usize = 10;

/// Counts of one slice.
#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    /// Which slice of all time it is.
    number: u128,
    attempts: u32,
    failed: u32,
}

/// A window that slides along in slices.
#[derive(Debug, Clone)]
pub(super) struct Window {
    slice: Duration,
    /// Where time begins: the first attempt.
    origin: Option<Instant>,
    slices: [Slice; SLICES],
}

impl Window {
    /// An empty window that looks back `length`.
    pub(super) fn over(length: Duration) -> Self {
        Self {
            slice: (length / SLICES as u32).max(Duration::from_nanos(1)),
            origin: None,
            slices: [Slice::default(); SLICES],
        }
    }

    /// An attempt ended.
    pub(super) fn saw(&mut self, now: Instant, failed: bool) {
        let origin = *self.origin.get_or_insert(now);
        let number = self.number(origin, now);
        let slice = &mut self.slices[(number % SLICES as u128) as usize];
        if slice.number != number {
            *slice = Slice {
                number,
                ..Slice::default()
            };
        }
        slice.attempts = slice.attempts.saturating_add(1);
        slice.failed = slice.failed.saturating_add(u32::from(failed));
    }

    /// Attempts within the window, and how many of them failed.
    pub(super) fn counts(&self, now: Instant) -> (u32, u32) {
        let Some(origin) = self.origin else { return (0, 0) };
        let newest = self.number(origin, now);
        let within = |slice: &&Slice| slice.number + SLICES as u128 > newest;
        self.slices
            .iter()
            .filter(within)
            .fold((0, 0), |(attempts, failed), slice| {
                (attempts + slice.attempts, failed + slice.failed)
            })
    }

    fn number(&self, origin: Instant, now: Instant) -> u128 {
        now.duration_since(origin).as_nanos() / self.slice.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut window = Window::over(Duration::from_secs(10));
        window.saw(at(0), true);
        window.saw(at(5), false);
        assert_eq!(window.counts(at(9)), (2, 1));
        assert_eq!(window.counts(at(10)), (1, 0));
        assert_eq!(window.counts(at(14)), (1, 0));
        assert_eq!(window.counts(at(15)), (0, 0));
        window.saw(at(1000), true);
        assert_eq!(window.counts(at(1000)), (1, 1));
    }
}
