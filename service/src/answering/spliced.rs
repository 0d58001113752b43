//! An answer that goes out as it comes; where it breaks off, another attempt goes on from there if the settings say so.
//!
//! What of the other attempt may go out is decided by [`crate::resilience::rescue`], whether there may be one by
//! [`crate::resilience::course`].

use super::models::Event;
use super::out::Out;
use crate::app::App;
use crate::error::Error;
use crate::resilience::course::Course;
use crate::resilience::deadline::Phase;
use crate::resilience::rescue::{Diverged, Rescue, Splice};
use crate::upstream::{AnswerStream, AttemptFailure, Begun, Call, Piece, StreamEnd, estimate};

/// The answer to `call`, piece by piece.
pub(super) async fn pieces(app: &App, call: &Call, out: Out<'_>) -> Result<StreamEnd, Error> {
    let mut course = app.models.course(call);
    let answer = app.models.open(call, &mut course).await?;
    let mut story = Story {
        app,
        out,
        model: answer.model().to_owned(),
        splice: (app.settings.rescue == Rescue::Splice).then(Splice::default),
        sent: 0,
    };
    let model = story.model.clone();
    out.send(Event::Begin { model }).await;
    story.tell(call, &mut course, answer).await
}

/// An answer as it is told.
struct Story<'a> {
    app: &'a App,
    out: Out<'a>,
    /// Whose words these are.
    model: String,
    /// There if what breaks off may be continued.
    splice: Option<Splice>,
    /// Tokens that have gone out, at least.
    sent: u32,
}

/// Why an attempt is no use any more.
enum Break {
    Failed(AttemptFailure),
    Diverged,
}

impl From<AttemptFailure> for Break {
    fn from(failure: AttemptFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Diverged> for Break {
    fn from(Diverged: Diverged) -> Self {
        Self::Diverged
    }
}

impl Story<'_> {
    /// To its end, or to what the client is told in place of one: that of the first attempt, whose words it has.
    async fn tell(
        &mut self,
        call: &Call,
        course: &mut Course<'_>,
        mut answer: AnswerStream,
    ) -> Result<StreamEnd, Error> {
        let first = match self.read(call, &mut answer).await {
            Ok(end) => return Ok(end),
            Err(Break::Failed(failure)) => failure,
            Err(Break::Diverged) => AttemptFailure::Malformed,
        };
        let as_if_complete = answer.as_if_complete();
        if self.splice.is_some() {
            match Box::pin(self.rescued(call, course, answer, first)).await {
                Some(end) => {
                    self.app.metrics.rescued("spliced");
                    return Ok(end);
                }
                None => self.app.metrics.rescued("in_vain"),
            }
        }
        if !self.app.settings.broken_stream.hides(&first) {
            return Err(first.into());
        }
        tracing::warn!(failure = %first, "a stream broke off and was ended as if it were complete");
        Ok(as_if_complete)
    }

    /// Other attempts take over, one after the other, as long as the course has one.
    async fn rescued(
        &mut self,
        call: &Call,
        course: &mut Course<'_>,
        answer: AnswerStream,
        mut failure: AttemptFailure,
    ) -> Option<StreamEnd> {
        // Hang up first: who has fallen silent may still be working.
        drop(answer);
        loop {
            self.app.models.next(call, course, failure).await.ok()?;
            let rest = call.going_on(self.begun());
            let mut answer = self.app.models.open(&rest, course).await.ok()?;
            self.taken_over(answer.model().to_owned(), answer.is_rest()).await;
            match self.read(call, &mut answer).await {
                Ok(end) => return Some(end),
                Err(Break::Failed(next)) => failure = next,
                Err(Break::Diverged) => return None,
            }
        }
    }

    /// What the client has, for models that can go on from it.
    fn begun(&self) -> Begun {
        let given = self.splice.as_ref().and_then(Splice::given);
        given.map_or_else(Begun::default, |text| Begun {
            text: text.to_owned(),
            tokens: self.sent,
        })
    }

    /// From here on these are `model`'s words.
    async fn taken_over(&mut self, model: String, is_rest: bool) {
        if let Some(splice) = &mut self.splice {
            splice.taken_over(is_rest);
        }
        if self.model != model {
            self.model.clone_from(&model);
            self.out.send(Event::Begin { model }).await;
        }
    }

    /// Reads an attempt to its end, and hands on what of it is new.
    async fn read(&mut self, call: &Call, answer: &mut AnswerStream) -> Result<StreamEnd, Break> {
        loop {
            match answer.next().await? {
                Piece::Delta(text) => {
                    let new = match &mut self.splice {
                        Some(splice) => splice.take(text)?,
                        None => text,
                    };
                    self.hand_on(call, new).await?;
                }
                Piece::End(end) => {
                    let held = self.splice.as_mut().map(Splice::end).transpose()?;
                    self.hand_on(call, held.unwrap_or_default()).await?;
                    return Ok(end);
                }
            }
        }
    }

    /// A client that reads slowly gets no more time than one that waits.
    async fn hand_on(&mut self, call: &Call, text: String) -> Result<(), AttemptFailure> {
        if text.is_empty() {
            return Ok(());
        }
        let tokens = estimate::least_in_piece(text.len());
        self.sent = self.sent.saturating_add(u32::try_from(tokens).unwrap_or(u32::MAX));
        let sent = self.out.send(Event::Delta(text));
        Ok(call.deadline.within(Phase::Total, sent).await?)
    }
}
