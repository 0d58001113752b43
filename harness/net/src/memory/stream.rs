//! A connection in memory: two pipes, seen from one side.
//!
//! Does not decide what happens to bytes: the pipe does, this waits where the pipe says so.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep};

use super::host::HeldEnd;
use super::lock;
use super::pipe::{End, Pipe, Step};

/// One side of a connection. Dropping it is a FIN, unless it was reset.
#[derive(Debug)]
pub(crate) struct MemoryStream {
    inward: Half,
    outward: Half,
}

impl MemoryStream {
    /// Both sides of a new connection with this one-way latency.
    pub(super) fn pair(latency: Duration) -> (Self, Self) {
        let (up, down) = (Half::new(latency), Half::new(latency));
        let near = Self {
            inward: down.same_pipe(),
            outward: up.same_pipe(),
        };
        let far = Self {
            inward: up,
            outward: down,
        };
        (near, far)
    }

    /// Lets the other side send no more than `window` bytes ahead of what is read here.
    pub(crate) fn narrow(&self, window: usize) {
        lock(&self.inward.pipe).narrow(window);
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = self.inward.poll(cx, |pipe, now, waker| pipe.read(now, buf, waker));
        moved.map_ok(drop)
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.outward.poll(cx, |pipe, now, waker| pipe.write(now, data, waker))
    }

    /// This side, for the host that it belongs to.
    pub(super) fn held(&self) -> HeldEnd {
        HeldEnd {
            inward: Arc::downgrade(&self.inward.pipe),
            outward: Arc::downgrade(&self.outward.pipe),
        }
    }

    /// Nothing more will be written; reading goes on.
    pub(crate) fn shutdown(&mut self) {
        lock(&self.outward.pipe).finish(Instant::now(), End::Fin);
    }

    /// Ends both directions at once; the drop that follows changes nothing any more.
    pub(crate) fn reset(&mut self) {
        self.end(End::Reset);
    }

    fn end(&mut self, end: End) {
        let now = Instant::now();
        lock(&self.outward.pipe).finish(now, end);
        lock(&self.inward.pipe).leave(now, end);
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.end(End::Fin);
    }
}

/// A pipe, and the alarm of the side that uses it.
#[derive(Debug)]
struct Half {
    pipe: Arc<Mutex<Pipe>>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Half {
    fn new(latency: Duration) -> Self {
        Self {
            pipe: Arc::new(Mutex::new(Pipe::new(latency))),
            alarm: None,
        }
    }

    fn same_pipe(&self) -> Self {
        Self {
            pipe: Arc::clone(&self.pipe),
            alarm: None,
        }
    }

    /// Repeats `step` until it is over, waiting as it says.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut step: impl FnMut(&mut Pipe, Instant, &Waker) -> Step,
    ) -> Poll<io::Result<usize>> {
        loop {
            let outcome = step(&mut lock(&self.pipe), Instant::now(), cx.waker());
            match outcome {
                Step::Done(result) => return Poll::Ready(result),
                Step::Wait(None) => return Poll::Pending,
                Step::Wait(Some(at)) => ready!(self.poll_alarm(cx, at)),
            }
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
