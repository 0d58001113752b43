//! Response bodies: whole, or paced token by token, to whatever end the script has for them.
//!
//! A paced body sleeps until absolute due times, so rounding never adds up. Timers tick in milliseconds and round up;
//! tokens that fall due within a tick leave in one write, each in a frame of its own. Before a cut everything written is
//! given the time to leave: a connection that is reset takes unsent bytes with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use brownout_net::AbortHandle;
use brownout_scenario::units::Micros;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::{Instant, Sleep};

use super::outbox::{Leaving, Outbox, Piece};
use super::{Broken, Open};
use crate::desk::Content;
use crate::dialect::Frames;
use crate::engine::frames;
use crate::script::{Ending, Quirk};

/// Tokens in one write at most, for callers that read so slowly that a backlog of due tokens builds up.
const MAX_TOKENS_PER_WRITE: u64 = 256;

/// From the last write to the cut, as long as nothing is held up on its way.
const FLUSH_TIME: Duration = Duration::from_millis(5);

/// How long a reader may hold up the cut by not reading.
const PATIENCE: Duration = Duration::from_secs(30);

/// A response body.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// All at once.
    Whole(Full<Bytes>),
    /// As the script has it.
    Paced(Box<Paced>),
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

    /// The body of an answer whose head is due now.
    pub(super) fn of(open: Open, content: Content, abort: AbortHandle) -> Self {
        let course = &open.admitted.course;
        let trickle = match course.quirk {
            Some(Quirk::Trickle { bytes, every }) => Some((bytes, every)),
            _ => None,
        };
        let at_once = matches!(
            course.ending,
            Ending::Complete | Ending::NoTerminator | Ending::CleanEof
        );
        match content {
            Content::Whole(bytes) if at_once && trickle.is_none() => {
                open.complete();
                Self::Whole(Full::new(bytes))
            }
            content => Self::Paced(Box::new(Paced::new(open, content, trickle, abort))),
        }
    }
}

/// The body of one answer as it goes.
#[derive(Debug)]
pub(super) struct Paced {
    source: Source,
    open: Open,
    outbox: Outbox,
    stage: Stage,
    /// Bytes that are still to come, where that is known.
    size: Option<u64>,
    abort: AbortHandle,
    sleep: Pin<Box<Sleep>>,
}

#[derive(Debug)]
enum Source {
    /// All of it, or the half of it that leaves before a cut.
    Whole(Bytes),
    /// Frames, of which so many tokens have been put into the outbox.
    Frames(Box<dyn Frames>, u64),
}

/// How far a body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is more to put into the outbox.
    Filling,
    /// All of it is in the outbox.
    Emptying,
    /// All has left since then, and the cut comes when it has had the time.
    Cutting(Instant),
    /// It has ended in good order.
    Over,
    /// It will never end.
    Silent,
}

impl Paced {
    fn new(open: Open, content: Content, trickle: Option<(u64, Micros)>, abort: AbortHandle) -> Self {
        let (source, size) = match content {
            Content::Whole(bytes) => {
                let size = bytes.len() as u64;
                let cut = matches!(open.admitted.course.ending, Ending::Fin | Ending::Reset);
                let leaves = if cut { bytes.slice(..bytes.len() / 2) } else { bytes };
                (Source::Whole(leaves), Some(size))
            }
            Content::Stream(frames) => (Source::Frames(frames, 0), None),
        };
        Self {
            source,
            open,
            outbox: Outbox::new(trickle),
            stage: Stage::Filling,
            size,
            abort,
            sleep: Box::pin(tokio::time::sleep_until(Instant::now())),
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            match self.stage {
                Stage::Over => return Poll::Ready(None),
                Stage::Silent => return Poll::Pending,
                Stage::Cutting(since) => {
                    ready!(self.sleep.as_mut().poll(cx));
                    // A slow reader gets the time to fetch what was written for it.
                    let now = Instant::now();
                    if self.abort.is_blocked() && now < since + PATIENCE {
                        self.sleep.as_mut().reset(now + FLUSH_TIME);
                        continue;
                    }
                    if self.open.admitted.course.ending == Ending::Reset {
                        self.abort.reset_on_drop();
                    }
                    return Poll::Ready(Some(Err(Broken::Cut)));
                }
                Stage::Filling | Stage::Emptying => {}
            }
            match self.outbox.take(self.open.desk.now()) {
                Leaving::Now(bytes, meaning) => {
                    self.leave(meaning);
                    if let Some(size) = &mut self.size {
                        *size = size.saturating_sub(bytes.len() as u64);
                    }
                    // An empty chunk would read as the end of a chunked body.
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Leaving::At(due) => ready!(self.poll_until(due, cx)),
                Leaving::Empty => ready!(self.poll_fill(cx)),
            }
        }
    }

    /// Something has left; after the last of it comes the end.
    fn leave(&mut self, meaning: Option<(u64, bool)>) {
        let Some((tokens, last)) = meaning else { return };
        let ending = self.open.admitted.course.ending;
        if !last {
            self.open.flushed(tokens);
        } else if ending == Ending::Silence {
            self.open.flushed(tokens);
            self.stage = Stage::Silent;
        } else {
            self.open.complete();
            if matches!(ending, Ending::Fin | Ending::Reset) {
                let now = Instant::now();
                self.stage = Stage::Cutting(now);
                self.sleep.as_mut().reset(now + FLUSH_TIME);
            } else {
                self.stage = Stage::Over;
            }
        }
    }

    fn poll_until(&mut self, due: Micros, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.open.desk.clock().instant(due.0);
        if self.sleep.deadline() != due {
            self.sleep.as_mut().reset(due);
        }
        self.sleep.as_mut().poll(cx)
    }

    /// Puts everything that is due into the outbox, as soon as there is something.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let course = &self.open.admitted.course;
        let visible = course.schedule.visible();
        let (due, written) = match &self.source {
            Source::Whole(bytes) => {
                let piece = Piece {
                    bytes: bytes.clone(),
                    tokens: 0,
                    last: true,
                };
                self.outbox.put(piece);
                self.stage = Stage::Emptying;
                return Poll::Ready(());
            }
            Source::Frames(_, written) => {
                let next = course.schedule.due(*written);
                let now = self.open.desk.now();
                if now < next {
                    return self.poll_until(next, cx);
                }
                (
                    course.schedule.due_by(now).min(written + MAX_TOKENS_PER_WRITE),
                    *written,
                )
            }
        };
        let mut text = String::new();
        let last = due == visible;
        if let Source::Frames(source, put) = &mut self.source {
            frames::write(source.as_ref(), course, (written, due), &mut text);
            *put = due;
            if last {
                frames::write_end(source.as_ref(), course, &self.open.admitted.model, &mut text);
                self.stage = Stage::Emptying;
            }
        }
        self.outbox.put(Piece {
            bytes: text.into(),
            tokens: if self.open.admitted.leaves_at_once { 0 } else { due },
            last,
        });
        Poll::Ready(())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Paced(paced) => paced.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Paced(paced) => paced.stage == Stage::Over,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Paced(paced) => paced.size.map_or_else(SizeHint::default, SizeHint::with_exact),
        }
    }
}
