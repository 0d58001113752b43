//! The body that a player's caller gets: the pieces of a recorded answer, each when it is due.
//!
//! Deadlines are absolute, so delays don't add up; tokio's timers round them up to whole milliseconds.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use brownout_net::RunClock;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::format::{Answer, End};
use super::running::Work;

/// The recorded answer broke off here.
#[derive(Debug, thiserror::Error)]
#[error("the recorded answer broke off here")]
pub(super) struct BrokeOff;

/// A recorded answer on its way to a caller.
#[derive(Debug)]
pub(super) struct Paced {
    answer: Arc<Answer>,
    arrived_us: u64,
    clock: RunClock,
    next: usize,
    is_cutting: bool,
    sleep: Pin<Box<Sleep>>,
    /// Held as long as the answer is under way.
    _work: Work,
}

impl Paced {
    /// `answer` to a request that arrived at `arrived_us`.
    pub(super) fn new(answer: Arc<Answer>, arrived_us: u64, clock: RunClock, work: Work) -> Self {
        Self {
            answer,
            arrived_us,
            clock,
            next: 0,
            is_cutting: false,
            sleep: Box::pin(tokio::time::sleep_until(clock.instant(arrived_us))),
            _work: work,
        }
    }

    fn poll_until(&mut self, cx: &mut Context<'_>, at_us: u64) -> Poll<()> {
        let due = self.clock.instant(self.arrived_us.saturating_add(at_us));
        if self.sleep.deadline() != due {
            self.sleep.as_mut().reset(due);
        }
        self.sleep.as_mut().poll(cx)
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let this = self.get_mut();
        if let Some((at_us, bytes)) = this.answer.pieces.get(this.next).cloned() {
            ready!(this.poll_until(cx, at_us));
            this.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        let ended_at_us = this.answer.ended_at_us;
        ready!(this.poll_until(cx, ended_at_us));
        match this.answer.end {
            End::Complete => Poll::Ready(None),
            End::Broken if this.is_cutting => Poll::Ready(Some(Err(BrokeOff))),
            End::Broken => {
                this.is_cutting = true;
                // An error drops what hyper has not written yet. It writes when it is told to wait.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// A body whose length was announced ends with its last piece, any other with its terminator.
    fn is_end_stream(&self) -> bool {
        self.next == self.answer.pieces.len()
            && self.answer.end == End::Complete
            && self.answer.headers.contains_key(CONTENT_LENGTH)
    }
}
