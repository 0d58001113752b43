//! The service's one clock: tokio's monotonic time, tied to the calendar once, at the start.
//!
//! It never reads the system clock again, so a clock step can't make a lease expire early, and under tokio's paused
//! clock the whole service follows virtual time.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// Where all times and durations of the service come from.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    origin_unix_us: u64,
    real: bool,
}

impl Clock {
    /// The clock of a real deployment.
    pub fn real() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the calendar; from here on time is tokio's"
        )]
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            origin: Instant::now(),
            origin_unix_us: since_epoch.as_micros() as u64,
            real: true,
        }
    }

    /// A virtual clock that reads `unix_us` microseconds since the Unix epoch now. Make one per run and hand out copies.
    pub fn starting_at(unix_us: u64) -> Self {
        Self {
            origin: Instant::now(),
            origin_unix_us: unix_us,
            real: false,
        }
    }

    /// Whether foreign threads may take part: only in real time.
    pub const fn is_real(&self) -> bool {
        self.real
    }

    /// The moment, for distances and deadlines.
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// The moment as microseconds since the Unix epoch, for records that outlive the process.
    pub fn now_unix_us(&self) -> u64 {
        self.origin_unix_us + self.origin.elapsed().as_micros() as u64
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    /// Waits for `work`, but no longer than `limit`.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(limit, work).await
    }
}
