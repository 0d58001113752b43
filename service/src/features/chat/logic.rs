//! What it takes to answer: a look at the session, the model, a note of what was used. Knows no HTTP.
//!
//! Both functions read the same, top to bottom; every wait in them is bounded by the one deadline they start with.

use garde::Validate;

use super::models::{Ask, ChatEvent, ChatResponse, StreamDone};
use crate::access::Reservation;
use crate::app::App;
use crate::error::Error;
use crate::features::Context;
use crate::resilience::broken::BrokenStream;
use crate::resilience::course::CallFailure;
use crate::resilience::deadline::Deadline;
use crate::resilience::disconnect::Sink;
use crate::storage::UsageRow;
use crate::upstream::{AnswerStream, AttemptFailure, Call, Piece, StreamEnd, Usage};

/// The session of requests that name none.
const NO_SESSION: &str = "default";

/// Answers whole. `id` names the answer: a second one under the same name is not counted again.
pub(crate) async fn answer(
    app: &App,
    context: &Context,
    ask: impl Into<Ask>,
    id: String,
) -> Result<ChatResponse, Error> {
    let deadline = Deadline::start(app.clock, app.settings.deadline);
    let (session, call, mut money) = prepare(app, context, ask.into(), deadline)?;
    let account = app.accounts.open(&session, &context.trace, &deadline).await?;
    money.at_stake();
    let answered = app.models.complete(&call).await;
    let (completion, provider) = answered.inspect_err(|failure| refund(&mut money, failure))?;
    if let Some(usage) = completion.usage {
        money.used(usage);
        account
            .close(&row(&id, session, provider, usage), &context.trace, &deadline)
            .await;
    }
    let response = ChatResponse {
        id,
        content: completion.content,
        finish_reason: completion.finish_reason,
        usage: completion.usage,
        model: completion.model,
        provider: provider.to_owned(),
    };
    // What our own answers promise is held against what the provider said.
    response.validate().map_err(|report| {
        tracing::warn!(provider, %report, "an answer does not fit");
        Error::BadUpstream
    })?;
    Ok(response)
}

/// Answers piece by piece. The last event is `Done` or `Error`.
pub(super) async fn stream(app: &App, context: &Context, ask: Ask, id: String, sink: Sink<ChatEvent>) {
    let last = match pieces(app, context, ask, id, &sink).await {
        Ok(done) => ChatEvent::Done(done),
        Err(error) => ChatEvent::Error(error),
    };
    sink.send(last).await;
}

async fn pieces(
    app: &App,
    context: &Context,
    ask: Ask,
    id: String,
    sink: &Sink<ChatEvent>,
) -> Result<StreamDone, Error> {
    let deadline = Deadline::start(app.clock, app.settings.deadline);
    let (session, call, mut money) = prepare(app, context, ask, deadline)?;
    let account = app.accounts.open(&session, &context.trace, &deadline).await?;
    money.at_stake();
    let opened = app.models.open(&call).await;
    let mut answer = opened.inspect_err(|failure| refund(&mut money, failure))?;
    let model = answer.model().to_owned();
    sink.send(ChatEvent::Begin { model }).await;
    let end = loop {
        match answer.next().await {
            Ok(Piece::Delta(text)) => sink.send(ChatEvent::Delta(text)).await,
            Ok(Piece::End(end)) => break end,
            Err(failure) => break broke_off(app.settings.broken_stream, &answer, failure)?,
        }
    };
    // The attempt ends here, not after the database.
    drop(answer);
    if let Some(usage) = end.usage {
        money.used(usage);
        account
            .close(&row(&id, session, &end.provider, usage), &context.trace, &deadline)
            .await;
        sink.send(ChatEvent::Usage(usage)).await;
    }
    Ok(StreamDone {
        id,
        finish_reason: end.finish_reason,
        model: end.model,
        provider: end.provider,
    })
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

fn prepare(app: &App, context: &Context, ask: Ask, deadline: Deadline) -> Result<(String, Call, Reservation), Error> {
    let Ask { mut prompt, session } = ask;
    let money = app.access.reserve(&context.caller, prompt.bytes(), prompt.max_tokens)?;
    prompt.max_tokens = money.max_tokens().or(prompt.max_tokens);
    let session = session.as_deref().unwrap_or(NO_SESSION);
    let call = Call {
        prompt,
        request_id: context.request_id.clone(),
        trace: context.trace.clone(),
        deadline,
    };
    Ok((context.caller.owned(session), call, money))
}

/// A provider that began no answer bills nothing.
fn refund(money: &mut Reservation, failure: &CallFailure) {
    if !failure.may_be_billed {
        money.unused();
    }
}

fn row(id: &str, session: String, provider: &str, usage: Usage) -> UsageRow {
    UsageRow {
        answer_id: id.to_owned(),
        session,
        provider: provider.to_owned(),
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
    }
}
