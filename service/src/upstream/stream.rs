//! One attempt at a streamed answer: opened by its first token, then read to its end.
//!
//! Until the first token is here nothing has been shown to anybody, so another attempt can take over. After it one can
//! only where it says the same; that is [`crate::resilience::rescue`]'s. A stream is complete when it said why the model stopped and then that it is
//! done; one that just ends is truncated, however cleanly its connection closed.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::{Stream, StreamExt};
use http_body_util::{BodyDataStream, Limited};

use super::attempt::{Form, LONGEST_BODY, accepted, request};
use super::call::Call;
use super::openai::{self, Chunk, Usage};
use super::provider::Provider;
use super::witness::Witness;
use super::{AttemptFailure, Upstream, UpstreamBody, UpstreamError};
use crate::resilience::deadline::{Deadline, Phase};
use crate::resilience::filtered::ContentFilter;

/// How long to wait for the end of the body after the stream said that it is done.
const TRAILER_TIME: Duration = Duration::from_millis(100);

type Chunks = Pin<Box<dyn Stream<Item = Result<Frame, AttemptFailure>> + Send>>;

/// A frame of the stream.
enum Frame {
    Chunk(Chunk),
    Done,
}

/// An open stream. Dropping it hangs up on the provider.
pub(crate) struct AnswerStream {
    chunks: Chunks,
    first: Option<String>,
    deadline: Deadline,
    witness: Witness,
    filter: ContentFilter,
    provider: String,
    model: String,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    /// It said that it is done.
    over: bool,
    /// It goes on from where the client's part of the answer ends.
    is_rest: bool,
}

/// How a complete stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamEnd {
    pub(crate) finish_reason: String,
    pub(crate) usage: Option<Usage>,
    pub(crate) model: String,
    pub(crate) provider: String,
    /// Whether it said why it stopped, and that it is done.
    pub(crate) complete: bool,
}

/// What comes next in a stream.
pub(crate) enum Piece {
    /// A piece of text.
    Delta(String),
    /// The complete end.
    End(StreamEnd),
}

impl AnswerStream {
    /// The model that answers.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Whether it goes on from where the client's part of the answer ends.
    pub(crate) fn is_rest(&self) -> bool {
        self.is_rest
    }

    /// What is known of a stream that broke off, for those who would rather not know: it stopped, as far as they care.
    pub(crate) fn as_if_complete(&self) -> StreamEnd {
        let reason = self.finish_reason.clone().unwrap_or_else(|| "stop".to_owned());
        StreamEnd {
            complete: false,
            ..self.ended(reason)
        }
    }

    /// Asks for a stream and waits for its first token.
    pub(super) async fn open(
        upstream: &dyn Upstream,
        provider: &Provider,
        call: &Call,
        mut witness: Witness,
        filter: ContentFilter,
        form: Form,
    ) -> Result<Self, AttemptFailure> {
        let request = request(provider, call, &witness, form);
        let opening = async {
            let mut chunks = chunks(accepted(upstream.send(request).await?).await?);
            let mut opening = Opening::default();
            while opening.first.is_none() && !opening.over {
                opening.take(chunks.next().await)?;
            }
            Ok((chunks, opening))
        };
        let opened = call.deadline.within(Phase::FirstToken, opening).await;
        match opened.map_err(AttemptFailure::from).flatten() {
            Err(failure) => {
                witness.failed(&failure);
                Err(failure)
            }
            Ok((chunks, opening)) => {
                if let Some(first) = &opening.first {
                    witness.piece(first);
                }
                let silent = opening.over;
                let mut stream = Self {
                    chunks,
                    first: opening.first,
                    deadline: call.deadline,
                    witness,
                    filter,
                    provider: provider.name.clone(),
                    model: opening.model.unwrap_or_else(|| provider.model.clone()),
                    finish_reason: opening.finish_reason,
                    usage: opening.usage,
                    over: opening.over,
                    is_rest: form == Form::Rest,
                };
                if silent && let Some(failure) = stream.filtered() {
                    return Err(failure);
                }
                Ok(stream)
            }
        }
    }

    /// The failure that a filtered end is, for those who want to know.
    fn filtered(&mut self) -> Option<AttemptFailure> {
        let finish_reason = self.finish_reason.clone()?;
        if !self.filter.catches(&finish_reason) {
            return None;
        }
        let end = self.ended(finish_reason);
        self.witness.filtered(&end);
        Some(AttemptFailure::Filtered { usage: end.usage })
    }

    /// The next piece of text, or the end.
    pub(crate) async fn next(&mut self) -> Result<Piece, AttemptFailure> {
        if let Some(first) = self.first.take() {
            return Ok(Piece::Delta(first));
        }
        let next = self.read().await;
        match &next {
            Ok(Piece::Delta(text)) => self.witness.piece(text),
            Ok(Piece::End(end)) => self.witness.answered(end),
            Err(AttemptFailure::Filtered { .. }) => {}
            Err(failure) => self.witness.failed(failure),
        }
        next
    }

    async fn read(&mut self) -> Result<Piece, AttemptFailure> {
        while !self.over {
            let frame = self.deadline.within(Phase::Idle, self.chunks.next()).await?;
            match frame.transpose()? {
                Some(Frame::Chunk(chunk)) => {
                    if chunk.is_error {
                        return Err(AttemptFailure::ErrorEvent);
                    }
                    self.finish_reason = chunk.finish_reason.or(self.finish_reason.take());
                    self.usage = chunk.usage.or(self.usage);
                    if !chunk.text.is_empty() {
                        return Ok(Piece::Delta(chunk.text));
                    }
                }
                Some(Frame::Done) => self.over = true,
                None => return Err(AttemptFailure::Truncated),
            }
        }
        // Let the body end by itself: hanging up on its last bytes would look like a client that left.
        let _ = tokio::time::timeout(TRAILER_TIME, self.chunks.next()).await;
        self.end()
    }

    fn end(&mut self) -> Result<Piece, AttemptFailure> {
        if let Some(failure) = self.filtered() {
            return Err(failure);
        }
        let finish_reason = self.finish_reason.take().ok_or(AttemptFailure::Truncated)?;
        Ok(Piece::End(self.ended(finish_reason)))
    }

    fn ended(&self, finish_reason: String) -> StreamEnd {
        StreamEnd {
            finish_reason,
            usage: self.usage,
            model: self.model.clone(),
            provider: self.provider.clone(),
            complete: true,
        }
    }
}

/// What is known before the first token.
#[derive(Default)]
struct Opening {
    first: Option<String>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
    model: Option<String>,
    over: bool,
}

impl Opening {
    fn take(&mut self, frame: Option<Result<Frame, AttemptFailure>>) -> Result<(), AttemptFailure> {
        match frame.transpose()? {
            Some(Frame::Chunk(chunk)) if chunk.is_error => return Err(AttemptFailure::ErrorEvent),
            Some(Frame::Chunk(chunk)) => {
                self.first = Some(chunk.text).filter(|text| !text.is_empty());
                self.finish_reason = chunk.finish_reason.or(self.finish_reason.take());
                self.usage = chunk.usage.or(self.usage);
                self.model = chunk.model.or(self.model.take());
            }
            // An empty answer is an answer if it says why it is empty.
            Some(Frame::Done) if self.finish_reason.is_some() => self.over = true,
            Some(Frame::Done) | None => return Err(AttemptFailure::Truncated),
        }
        Ok(())
    }
}

/// The frames of a body.
fn chunks(body: UpstreamBody) -> Chunks {
    let bytes = BodyDataStream::new(Limited::new(body, LONGEST_BODY));
    // Empty pieces carry nothing, and HTTP/2 peers count them against a connection.
    let bytes = bytes.filter(|piece| std::future::ready(!piece.as_ref().is_ok_and(Bytes::is_empty)));
    Box::pin(bytes.eventsource().map(|event| {
        match event {
            Ok(event) if event.data == openai::DONE => Ok(Frame::Done),
            Ok(event) => openai::read_chunk(&event.data)
                .map(Frame::Chunk)
                .ok_or(AttemptFailure::Malformed),
            Err(EventStreamError::Transport(error)) if error.is::<UpstreamError>() => Err(AttemptFailure::Broken),
            Err(_) => Err(AttemptFailure::Malformed),
        }
    }))
}
