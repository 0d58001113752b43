//! Clients that take nothing: a connection whose writes make no progress for too long breaks, and all that is tied to it
//! ends with it.
//!
//! It sits where responses meet the connection, so it sees a client stall as soon as the buffers on the way are full,
//! whoever owns them. A slow client is not a stalled one: every byte that leaves begins the time anew.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A connection with limited patience for its other end.
pub(super) struct Impatient<Io> {
    io: Io,
    /// `None`: it waits for ever.
    limit: Option<Duration>,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<Io> Impatient<Io> {
    pub(super) const fn new(io: Io, limit: Option<Duration>) -> Self {
        Self {
            io,
            limit,
            waiting: None,
        }
    }

    fn judge(&mut self, context: &mut Context<'_>, write: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let Some(limit) = self.limit else { return write };
        if write.is_ready() {
            self.waiting = None;
            return write;
        }
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client took nothing for client_stall",
        )))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Impatient<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Impatient<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write(cx, buf);
        self.judge(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.judge(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const NEARLY: Duration = Duration::from_secs(29);

    /// Writes 100 bytes to a client that reads one of them each `pause`, through a window of ten; when it ended and how.
    async fn write_to(pause: Duration) -> (Duration, io::Result<()>) {
        let (ours, mut theirs) = duplex(10);
        let reading = async {
            loop {
                tokio::time::sleep(pause).await;
                let _ = theirs.read_u8().await;
            }
        };
        let mut ours = Impatient::new(ours, Some(LIMIT));
        let began = Instant::now();
        tokio::select! {
            biased;
            result = ours.write_all(&[7; 100]) => (began.elapsed(), result),
            () = reading => unreachable!("it reads for ever"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up_after_the_limit() {
        let (took, result) = write_to(LIMIT + Duration::from_secs(1)).await;
        assert_eq!(took, LIMIT);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_only_slow_is_not() {
        let (took, result) = write_to(NEARLY).await;
        assert!(result.is_ok());
        assert_eq!(took, NEARLY * 90);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_waits() {
        let (ours, _theirs) = duplex(10);
        let mut ours = Impatient::new(ours, None);
        let hour = tokio::time::timeout(Duration::from_hours(1), ours.write_all(&[7; 100]));
        assert!(hour.await.is_err());
    }
}
