//! The last step: the model is asked, its answer handed on, what it used noted.

use super::models::{Done, Event};
use super::out::Out;
use super::tally::Tally;
use crate::app::App;
use crate::error::Error;
use crate::resilience::broken::BrokenStream;
use crate::resilience::deadline::Phase;
use crate::upstream::{AnswerStream, AttemptFailure, Call, Piece, StreamEnd};

/// Answers `call` for `session`. Every attempt is paid for from the call's funds.
pub(super) async fn generate(app: &App, call: Call, session: String, id: String, out: Out<'_>) -> Result<Done, Error> {
    let account = app.accounts.open(&session, &call.trace, &call.deadline).await?;
    let mut tally = Tally::begin(app, &call, account, id.clone(), session);
    let answered = match out {
        Out::Whole(_) => whole(app, &call, out).await,
        Out::Stream(_) => pieces(app, &call, out).await,
    };
    let end = answered.inspect_err(|_| tally.abandon())?;
    match end.usage {
        Some(usage) => {
            tally.settle(usage, &end.provider).await;
            out.send(Event::Usage(usage)).await;
        }
        None => tally.abandon(),
    }
    Ok(Done {
        id,
        finish_reason: end.finish_reason,
        model: end.model,
        provider: end.provider,
    })
}

async fn whole(app: &App, call: &Call, out: Out<'_>) -> Result<StreamEnd, Error> {
    let (completion, provider) = app.models.complete(call).await?;
    out.send(Event::Delta(completion.content)).await;
    Ok(StreamEnd {
        finish_reason: completion.finish_reason,
        usage: completion.usage,
        model: completion.model,
        provider: provider.to_owned(),
    })
}

async fn pieces(app: &App, call: &Call, out: Out<'_>) -> Result<StreamEnd, Error> {
    let mut answer = app.models.open(call).await?;
    let model = answer.model().to_owned();
    out.send(Event::Begin { model }).await;
    loop {
        match answer.next().await {
            // A client that reads slowly gets no more time than one that waits.
            Ok(Piece::Delta(text)) => call.deadline.within(Phase::Total, out.send(Event::Delta(text))).await?,
            Ok(Piece::End(end)) => return Ok(end),
            Err(failure) => return Ok(broke_off(app.settings.broken_stream, &answer, failure)?),
        }
    }
}

/// What a stream that broke off after its first piece comes to.
fn broke_off(
    policy: BrokenStream,
    answer: &AnswerStream,
    failure: AttemptFailure,
) -> Result<StreamEnd, AttemptFailure> {
    if !policy.hides(&failure) {
        return Err(failure);
    }
    tracing::warn!(%failure, "a stream broke off and was ended as if it were complete");
    Ok(answer.as_if_complete())
}
