//! The run's clock: the distance from the start of the run, in microseconds.
//!
//! Does not tell the time of day. Follows tokio's clock, so a paused runtime makes it virtual. Tokio's timers tick in
//! whole milliseconds and round up: a sleep ends up to one millisecond late, [`RunClock::now_us`] is exact.

use std::time::Duration;

use tokio::time::Instant;

/// How far into the run it is, on tokio's clock.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    origin: Instant,
}

impl RunClock {
    /// Starts the run now. Call it inside the runtime that will play the run.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Microseconds since the start of the run.
    pub fn now_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64
    }

    /// The instant that lies `us` microseconds into the run.
    pub fn instant(&self, us: u64) -> Instant {
        self.origin + Duration::from_micros(us)
    }

    /// Waits until the run is `us` microseconds old; returns at once when it already is.
    pub async fn sleep_until(&self, us: u64) {
        tokio::time::sleep_until(self.instant(us)).await;
    }
}
