//! The last step: the model is asked, its answer handed on, what it used noted and paid for.

use super::models::{Done, Event};
use super::out::Out;
use crate::access::Reservation;
use crate::app::App;
use crate::error::Error;
use crate::resilience::broken::BrokenStream;
use crate::resilience::course::CallFailure;
use crate::resilience::deadline::Phase;
use crate::storage::UsageRow;
use crate::upstream::{AnswerStream, AttemptFailure, Call, Piece, StreamEnd};

/// Answers `call` for `session`, paid for from `money`.
pub(super) async fn generate(
    app: &App,
    call: Call,
    session: String,
    mut money: Reservation,
    id: String,
    out: Out<'_>,
) -> Result<Done, Error> {
    let account = app.accounts.open(&session, &call.trace, &call.deadline).await?;
    money.at_stake();
    let answered = match out {
        Out::Whole(_) => whole(app, &call, &mut money, out).await,
        Out::Stream(_) => pieces(app, &call, &mut money, out).await,
    };
    let end = answered?;
    if let Some(usage) = end.usage {
        money.used(usage);
        let row = UsageRow {
            answer_id: id.clone(),
            session,
            provider: end.provider.clone(),
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
        };
        account.close(&row, &call.trace, &call.deadline).await;
        out.send(Event::Usage(usage)).await;
    }
    Ok(Done {
        id,
        finish_reason: end.finish_reason,
        model: end.model,
        provider: end.provider,
    })
}

async fn whole(app: &App, call: &Call, money: &mut Reservation, out: Out<'_>) -> Result<StreamEnd, Error> {
    let answered = app.models.complete(call).await;
    let (completion, provider) = answered.inspect_err(|failure| refund(money, failure))?;
    out.send(Event::Delta(completion.content)).await;
    Ok(StreamEnd {
        finish_reason: completion.finish_reason,
        usage: completion.usage,
        model: completion.model,
        provider: provider.to_owned(),
    })
}

async fn pieces(app: &App, call: &Call, money: &mut Reservation, out: Out<'_>) -> Result<StreamEnd, Error> {
    let opened = app.models.open(call).await;
    let mut answer = opened.inspect_err(|failure| refund(money, failure))?;
    let model = answer.model().to_owned();
    out.send(Event::Begin { model }).await;
    loop {
        match answer.next().await {
            // A client that reads slowly gets no more time than one that waits.
            Ok(Piece::Delta(text)) => call.deadline.within(Phase::Total, out.send(Event::Delta(text))).await?,
            Ok(Piece::End(end)) => return Ok(end),
            Err(failure) => {
                settle(money, &failure);
                return Ok(broke_off(app.settings.broken_stream, &answer, failure)?);
            }
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

/// A provider that began no answer bills nothing.
fn refund(money: &mut Reservation, failure: &CallFailure) {
    if !failure.may_be_billed {
        money.unused();
    }
    settle(money, &failure.last);
}

/// An answer that was filtered says all the same what it used.
fn settle(money: &mut Reservation, failure: &AttemptFailure) {
    if let AttemptFailure::Filtered { usage: Some(usage) } = failure {
        money.used(*usage);
    }
}
