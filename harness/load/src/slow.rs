//! A connection that is read slowly, so that the other side feels it.
//!
//! The pace is a synchronous core that is told the time; the connection waits where it says so. All bytes of an answer
//! count, its head included.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use brownout_net::Stream;
use brownout_scenario::plan::SlowRead;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The receive window of a slow reader, in bytes: what its kernel takes for it in advance.
pub(crate) const WINDOW: usize = 4_096;

/// Reads a second, where there are at least so many bytes to be read in one.
const READS_PER_SECOND: u64 = 4;

/// What may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Allowance {
    /// So many bytes.
    Now(u64),
    /// Nothing before this instant.
    At(Instant),
    /// Nothing any more.
    Never,
}

/// How much may be read when.
///
/// A rate hands out portions on a fixed grid of instants, so that a late reader catches up; the grid begins anew after
/// a pause in which nothing came, so that silence is not saved up.
#[derive(Debug)]
struct Pace {
    reads: SlowRead,
    /// When the current portion was handed out.
    since: Option<Instant>,
    /// What was read: of the current portion, or at all.
    taken: u64,
}

impl Pace {
    const fn new(reads: SlowRead) -> Self {
        Self {
            reads,
            since: None,
            taken: 0,
        }
    }

    fn allowance(&mut self, now: Instant) -> Allowance {
        match self.reads {
            SlowRead::Stops { after_bytes } => match after_bytes.saturating_sub(self.taken) {
                0 => Allowance::Never,
                left => Allowance::Now(left),
            },
            SlowRead::Rate { bytes_per_second } => {
                let portion = (bytes_per_second / READS_PER_SECOND).max(1);
                let every = Duration::from_micros(portion.saturating_mul(1_000_000) / bytes_per_second.max(1));
                self.turn(now, every);
                match (portion.saturating_sub(self.taken), self.since) {
                    (0, Some(since)) => Allowance::At(since + every),
                    (left, _) => Allowance::Now(left),
                }
            }
        }
    }

    /// Hands out the next portion if it is time.
    fn turn(&mut self, now: Instant, every: Duration) {
        let Some(since) = self.since else { return };
        if now < since + every {
            return;
        }
        self.taken = 0;
        self.since = (now < since + every * 2).then(|| since + every);
    }

    fn took(&mut self, now: Instant, bytes: u64) {
        self.since.get_or_insert(now);
        self.taken += bytes;
    }
}

/// A connection with a pace.
#[derive(Debug)]
pub(crate) struct Slow {
    stream: Stream,
    pace: Option<Pace>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Slow {
    /// `stream`, read as `reads` says; as fast as it comes without it.
    pub(crate) fn new(stream: Stream, reads: Option<SlowRead>) -> Self {
        Self {
            stream,
            pace: reads.map(Pace::new),
            alarm: None,
        }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if alarm.deadline() != at {
            alarm.as_mut().reset(at);
        }
        alarm.as_mut().poll(cx)
    }
}

impl AsyncRead for Slow {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let now = Instant::now();
            let Some(pace) = &mut this.pace else {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            };
            match pace.allowance(now) {
                Allowance::Never => return Poll::Pending,
                Allowance::At(at) => ready!(this.poll_alarm(cx, at)),
                Allowance::Now(bytes) => {
                    let mut space = [0; WINDOW];
                    let room = usize::try_from(bytes)
                        .unwrap_or(WINDOW)
                        .min(WINDOW)
                        .min(buf.remaining());
                    let mut part = ReadBuf::new(&mut space[..room]);
                    ready!(Pin::new(&mut this.stream).poll_read(cx, &mut part))?;
                    pace.took(now, part.filled().len() as u64);
                    buf.put_slice(part.filled());
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Slow {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_kept_exactly_while_there_is_something_to_read() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowRead::Rate { bytes_per_second: 100 });
        let (mut now, mut read) = (start, 0);
        while now < start + SECOND * 10 {
            match pace.allowance(now) {
                Allowance::Now(bytes) => {
                    pace.took(now, bytes);
                    read += bytes;
                }
                // A little late each time, which the grid forgives.
                Allowance::At(at) => now = at + Duration::from_millis(3),
                Allowance::Never => panic!("it never stops"),
            }
        }
        assert_eq!(read, 1_000);
    }

    #[test]
    fn silence_is_not_saved_up() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowRead::Rate { bytes_per_second: 100 });
        pace.took(start, 25);
        let later = start + SECOND * 60;
        assert_eq!(pace.allowance(later), Allowance::Now(25));
        pace.took(later, 25);
        assert_eq!(pace.allowance(later), Allowance::At(later + SECOND / 4));
    }

    #[test]
    fn who_reads_less_than_a_byte_in_a_portion_reads_single_bytes() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowRead::Rate { bytes_per_second: 1 });
        assert_eq!(pace.allowance(start), Allowance::Now(1));
        pace.took(start, 1);
        assert_eq!(pace.allowance(start), Allowance::At(start + SECOND));
    }

    #[test]
    fn who_stops_has_read_exactly_so_much() {
        let start = Instant::now();
        let mut pace = Pace::new(SlowRead::Stops { after_bytes: 30 });
        pace.took(start, 20);
        assert_eq!(pace.allowance(start), Allowance::Now(10));
        pace.took(start, 10);
        assert_eq!(pace.allowance(start + SECOND * 3600), Allowance::Never);
    }
}
