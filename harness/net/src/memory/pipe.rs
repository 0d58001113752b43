//! One direction of a connection: bytes under way, a receive window, and how either side ended it.
//!
//! A synchronous core that is told the time. Does not wait: it says for what to wait, and keeps the wakers.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::ReadBuf;
use tokio::time::Instant;

/// Bytes that may be under way or unread before the writer has to wait.
pub(super) const WINDOW: usize = 64 * 1_024;

/// What a read or a write came to.
#[derive(Debug)]
pub(super) enum Step {
    /// It is over: this many bytes moved (a read of zero is the end), or it failed.
    Done(io::Result<usize>),
    /// Nothing moves before this instant, or before the other side does something.
    Wait(Option<Instant>),
}

/// How a side ended.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Orderly: what was written still arrives.
    Fin,
    /// Abruptly.
    Reset,
}

#[derive(Debug)]
struct Segment {
    arrives: Instant,
    bytes: BytesMut,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Pipe {
    latency: Duration,
    /// Bytes that may be under way or unread.
    window: usize,
    segments: VecDeque<Segment>,
    /// Bytes that count against the window.
    held: usize,
    /// The writer's end, and when the reader learns of it.
    finished: Option<(Instant, End)>,
    /// The reader's leaving, and when the writer learns of it.
    left: Option<(Instant, End)>,
    /// The reader's host is no more: whoever still reads here is told at once.
    reader_lost: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    pub(super) fn new(latency: Duration) -> Self {
        Self {
            latency,
            window: WINDOW,
            segments: VecDeque::new(),
            held: 0,
            finished: None,
            left: None,
            reader_lost: false,
            reader: None,
            writer: None,
        }
    }

    /// Admits no more than `window` bytes under way or unread from now on.
    pub(super) fn narrow(&mut self, window: usize) {
        self.window = window.max(1);
    }

    /// Takes what has arrived, up to the room in `buf`.
    pub(super) fn read(&mut self, now: Instant, buf: &mut ReadBuf<'_>, waker: &Waker) -> Step {
        if self.reader_lost {
            return Step::Done(Err(reset()));
        }
        let mut taken = 0;
        while let Some(segment) = self.segments.front_mut()
            && segment.arrives <= now
            && buf.remaining() > 0
        {
            let part = segment.bytes.len().min(buf.remaining());
            buf.put_slice(&segment.bytes[..part]);
            segment.bytes.advance(part);
            taken += part;
            if segment.bytes.is_empty() {
                self.segments.pop_front();
            }
        }
        if taken > 0 || buf.remaining() == 0 {
            self.held -= taken;
            wake(&mut self.writer);
            return Step::Done(Ok(taken));
        }
        let next = match (self.segments.front(), self.finished) {
            (Some(segment), _) => Some(segment.arrives),
            (None, Some((at, End::Fin))) if at <= now => return Step::Done(Ok(0)),
            (None, Some((at, End::Reset))) if at <= now => return Step::Done(Err(reset())),
            (None, finished) => finished.map(|(at, _)| at),
        };
        self.reader = Some(waker.clone());
        Step::Wait(next)
    }

    /// Sends as much of `data` as the window admits.
    pub(super) fn write(&mut self, now: Instant, data: &[u8], waker: &Waker) -> Step {
        match (self.finished, self.left) {
            (_, Some((at, End::Reset))) if at <= now => return Step::Done(Err(reset())),
            (_, Some((at, End::Fin))) if at <= now => return Step::Done(Err(broken())),
            (Some(_), _) => return Step::Done(Err(broken())),
            _ => {}
        }
        let part = data.len().min(self.window.saturating_sub(self.held));
        if part == 0 && !data.is_empty() {
            self.writer = Some(waker.clone());
            return Step::Wait(self.left.map(|(at, _)| at));
        }
        self.held += part;
        if self.left.is_none() && part > 0 {
            self.send(now + self.latency, &data[..part]);
        }
        Step::Done(Ok(part))
    }

    fn send(&mut self, arrives: Instant, data: &[u8]) {
        if self.segments.is_empty() {
            wake(&mut self.reader); // else it waits for the first segment already
        }
        match self.segments.back_mut() {
            Some(last) if last.arrives == arrives => last.bytes.extend_from_slice(data),
            _ => self.segments.push_back(Segment {
                arrives,
                bytes: BytesMut::from(data),
            }),
        }
    }

    /// The writer is done. The first end counts, as a reader that has met the end looks no further.
    pub(super) fn finish(&mut self, now: Instant, end: End) {
        if self.finished.is_none() {
            self.finished = Some((now + self.latency, end));
            wake(&mut self.reader);
        }
    }

    /// The writer's host is no more: what has not arrived never will, and the reader hears of it unless it has met the end
    /// before.
    pub(super) fn lose_writer(&mut self, now: Instant) {
        self.segments.retain(|segment| segment.arrives <= now);
        self.held = self.segments.iter().map(|segment| segment.bytes.len()).sum();
        let ended = self.finished.is_some_and(|(at, _)| at <= now);
        if !ended {
            self.finished = Some((now + self.latency, End::Reset));
        }
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    /// The reader's host is no more.
    pub(super) fn lose_reader(&mut self, now: Instant) {
        self.reader_lost = true;
        self.leave(now, End::Reset);
        wake(&mut self.reader);
    }

    /// The reader is gone: what is under way is lost, and the writer will hear of it.
    pub(super) fn leave(&mut self, now: Instant, end: End) {
        if self.left.is_none() {
            self.left = Some((now + self.latency, end));
            self.segments.clear();
            wake(&mut self.writer);
        }
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
