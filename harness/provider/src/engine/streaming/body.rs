//! Response bodies: whole, or paced token by token.
//!
//! A paced body sleeps until absolute due times, so rounding never adds up. Timers tick in milliseconds and round up;
//! tokens that fall due within a tick leave in one write, each in a frame of its own.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use brownout_scenario::units::Micros;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::Sleep;

use super::Open;
use crate::desk::Content;
use crate::dialect::openai::Frames;

/// Tokens in one write at most, for callers that read so slowly that a backlog of due tokens builds up.
const MAX_TOKENS_PER_WRITE: u64 = 256;

/// A response body.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// All at once.
    Whole(Full<Bytes>),
    /// Token by token.
    Stream(Box<TokenStream>),
}

impl AnswerBody {
    /// A body that is over at once.
    pub(super) fn whole(content: Content) -> Self {
        match content {
            Content::Whole(bytes) => Self::Whole(Full::new(bytes)),
            // Nobody is paced without having been admitted.
            Content::Stream(_) => Self::Whole(Full::default()),
        }
    }
}

/// The paced frames of one answer.
#[derive(Debug)]
pub(super) struct TokenStream {
    open: Open,
    frames: Frames,
    flushed: u64,
    sleep: Pin<Box<Sleep>>,
}

impl TokenStream {
    pub(super) fn new(open: Open, frames: Frames) -> Self {
        let first = open.desk.clock().instant(open.admitted.schedule.first().0);
        Self {
            open,
            frames,
            flushed: 0,
            sleep: Box::pin(tokio::time::sleep_until(first)),
        }
    }

    fn is_over(&self) -> bool {
        self.flushed == self.open.admitted.schedule.tokens()
    }

    /// Everything that is due and has not been written, as soon as there is something.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        let due = loop {
            let due = self.open.admitted.schedule.due_by(self.open.desk.now());
            if due > self.flushed {
                break due.min(self.flushed + MAX_TOKENS_PER_WRITE);
            }
            let Micros(next) = self.open.admitted.schedule.due(self.flushed);
            let next = self.open.desk.clock().instant(next);
            if self.sleep.deadline() != next {
                self.sleep.as_mut().reset(next);
            }
            ready!(self.sleep.as_mut().poll(cx));
        };
        let mut text = String::new();
        self.frames.write(self.flushed, due, &mut text);
        self.flushed = due;
        if self.is_over() {
            self.open.complete();
        } else {
            self.open.flushed(due);
        }
        Poll::Ready(text.into())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Stream(stream) if stream.is_over() => Poll::Ready(None),
            Self::Stream(stream) => stream.poll_write(cx).map(|bytes| Some(Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream(stream) => stream.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}
