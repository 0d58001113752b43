//! One exchange while it is recorded: what came when, up to a bound, and the line that it becomes.
//!
//! Does not pass anything on. Dropped before its end, it is stored as broken.

use std::sync::Arc;

use brownout_net::RunClock;
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};

use super::asked::Asked;
use super::file::Writer;
use super::format::{End, Exchange, Piece, Request, Response};
use super::headers;
use super::secrets::Secrets;

/// The most of one answer that is stored, in bytes.
pub(super) const MAX_ANSWER: usize = 64 << 20;

/// The most pieces of one answer that are stored.
const MAX_PIECES: usize = 1 << 20;

/// A request that is waiting for its answer. Dropped before one begins, it is counted as missed.
#[derive(Debug)]
pub(super) struct Question {
    /// Where it will be stored.
    pub(super) writer: Arc<Writer>,
    /// What tells the time.
    pub(super) clock: RunClock,
    /// When it had arrived.
    pub(super) arrived_us: u64,
    /// What it asks for.
    pub(super) asked: Asked,
    /// Its body.
    pub(super) body: Bytes,
    /// What it must not leave on the tape.
    pub(super) secrets: Secrets,
}

/// A question to which no answer has begun yet.
#[derive(Debug)]
pub(super) struct Pending(Option<Question>);

impl Pending {
    /// Waits for the answer to `question`.
    pub(super) fn new(question: Question) -> Self {
        Self(Some(question))
    }

    /// The answer begins now.
    pub(super) fn begin(mut self, status: StatusCode, headers: &HeaderMap) -> Option<Take> {
        self.0.take().map(|question| Take::new(question, status, headers))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(question) = &self.0 {
            question.writer.miss();
        }
    }
}

/// An exchange under way.
#[derive(Debug)]
pub(super) struct Take {
    question: Question,
    status: StatusCode,
    headers: HeaderMap,
    head_at_us: u64,
    bytes: Vec<u8>,
    /// When each piece came, and where in `bytes` it ends.
    pieces: Vec<(u64, usize)>,
    is_too_long: bool,
    is_over: bool,
}

impl Take {
    fn new(mut question: Question, status: StatusCode, headers: &HeaderMap) -> Self {
        question.secrets.learn(headers);
        let head_at_us = question.clock.now_us() - question.arrived_us;
        Self {
            question,
            status,
            headers: headers.clone(),
            head_at_us,
            bytes: Vec::new(),
            pieces: Vec::new(),
            is_too_long: false,
            is_over: false,
        }
    }

    fn now(&self) -> u64 {
        self.question.clock.now_us() - self.question.arrived_us
    }

    /// The length that the headers announced.
    fn length(&self) -> Option<u64> {
        self.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    /// `data` has come.
    pub(super) fn piece(&mut self, data: &[u8]) {
        let fits = self.bytes.len() + data.len() <= MAX_ANSWER && self.pieces.len() < MAX_PIECES;
        self.is_too_long |= !fits;
        if !self.is_too_long {
            self.bytes.extend_from_slice(data);
            self.pieces.push((self.now(), self.bytes.len()));
        }
    }

    /// Whether the end has come.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The answer has ended as it should.
    pub(super) fn complete(&mut self) {
        self.finish(End::Complete, None);
    }

    /// The answer has ended in the middle.
    pub(super) fn break_off(&mut self, why: &str) {
        self.finish(End::Broken, Some(why));
    }

    fn finish(&mut self, end: End, note: Option<&str>) {
        if self.is_over {
            return;
        }
        self.is_over = true;
        let (end, note) = if self.is_too_long {
            (
                End::Broken,
                Some("the answer was longer than a tape stores; the caller got all of it"),
            )
        } else {
            (end, note)
        };
        let exchange = self.exchange(end, note.map(str::to_owned));
        self.question.writer.append(&exchange);
    }

    fn exchange(&self, end: End, note: Option<String>) -> Exchange {
        let secrets = &self.question.secrets;
        let mut cuts: Vec<usize> = self.pieces.iter().map(|(_, cut)| *cut).collect();
        let bytes = secrets.strip_cut(&self.bytes, &mut cuts);
        let mut from = 0;
        let pieces = self.pieces.iter().zip(cuts).filter_map(|((at_us, _), cut)| {
            let data = &bytes[from..cut];
            from = cut;
            (!data.is_empty()).then(|| Piece::new(*at_us, data))
        });
        let pieces = pieces.collect();
        let stored = (self.bytes.len() as u64, bytes.len() as u64);
        Exchange {
            request: Request::new(self.question.asked.clone(), &secrets.strip(&self.question.body)),
            response: Response {
                status: self.status.as_u16(),
                headers: headers::stored(&self.headers, secrets),
                length: self.length().map(|length| length.saturating_sub(stored.0) + stored.1),
                head_at_us: self.head_at_us,
                pieces,
                end,
                ended_at_us: self.now(),
                note,
            },
        }
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        self.break_off("the caller hung up, or the recorder ended");
    }
}
