//! The body that a recorder's caller gets: the upstream's, copied to the tape as it passes.
//!
//! Does not hold anything back. Dropping it, as hyper does when the caller leaves, ends the request upstream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::take::Take;

/// The upstream broke off: the caller must not take what it has for all.
#[derive(Debug, thiserror::Error)]
#[error("the upstream broke its answer off")]
pub(super) struct BrokeOff;

/// A body on its way to the caller.
#[derive(Debug)]
pub(super) struct Tap {
    body: reqwest::Body,
    take: Take,
    is_broken: bool,
}

impl Tap {
    /// Copies `body` to `take`; `is_empty` says that by its status or method the answer has none.
    pub(super) fn new(body: reqwest::Body, mut take: Take, is_empty: bool) -> Self {
        if is_empty || body.is_end_stream() {
            take.complete();
        }
        Self {
            body,
            take,
            is_broken: false,
        }
    }
}

impl Body for Tap {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        loop {
            if self.is_broken {
                return Poll::Ready(Some(Err(BrokeOff)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    match frame.data_ref() {
                        Some(data) if data.is_empty() => continue,
                        Some(data) => self.take.piece(data),
                        None => {}
                    }
                    if self.body.is_end_stream() {
                        self.take.complete();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                None => {
                    self.take.complete();
                    return Poll::Ready(None);
                }
                Some(Err(_)) => {
                    self.take.break_off("the upstream broke off");
                    self.is_broken = true;
                    // An error drops what hyper has not written yet. It writes when it is told to wait.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.take.is_over() && !self.is_broken
    }
}
