//! The order of the steps from a question to its answer.
//!
//! Outermost first: what costs nothing and refuses soonest comes before what costs something. Every wait in here is
//! bounded by the one deadline that a request has. The reasons for the order are in `docs/adr/0015`.

use std::sync::Arc;

use tracing::Instrument;

use super::cached;
use super::diet;
use super::generate::generate;
use super::log::Log;
use super::models::{Ask, Done};
use super::out::Out;
use super::route::route;
use super::shared::{self, Asker};
use crate::app::App;
use crate::error::Error;
use crate::features::Context;
use crate::upstream::{Begun, Call, Prompt};

/// The session of requests that name none.
const NO_SESSION: &str = "default";

/// Answers `ask`, its pieces going to `out`: with what was said before, or is being said, where that will do.
pub(super) async fn run(
    app: &Arc<App>,
    context: &Context,
    mut ask: Ask,
    id: String,
    out: Out<'_>,
) -> Result<Done, Error> {
    diet::apply(app, context, &mut ask.prompt);
    let Some(question) = cached::question(app, context, &ask) else {
        return Box::pin(put(app, context, ask, id, out)).await;
    };
    let mut meaning = None;
    if let Some(kept) = cached::find(app, &context.trace, &question, &mut meaning).await {
        return Ok(cached::replay(kept, id, out).await);
    }
    let call = |log: Arc<Log>| {
        let (app, context, question) = (Arc::clone(app), context.clone(), (question.clone(), meaning.clone()));
        let (ask, id, mode) = (ask.clone(), id.clone(), out.mode());
        let log_lines = context.trace.log().clone();
        let call = async move {
            let prompt = ask.prompt.clone();
            let done = Box::pin(put(&app, &context, ask, id, Out::Log(&log, mode))).await?;
            let (question, meaning) = question;
            cached::keep(&app, &context.trace, (&question, meaning), &prompt, &log, &done).await;
            Ok(done)
        };
        call.instrument(log_lines)
    };
    let asker = Asker {
        app,
        trace: &context.trace,
        deadline: &context.deadline,
        id: &id,
        bounded: is_bounded(app, context, &ask.prompt),
    };
    shared::answer(asker, &question, out, call).await
}

/// Puts `ask` to a model.
pub(super) async fn put(app: &Arc<App>, context: &Context, ask: Ask, id: String, out: Out<'_>) -> Result<Done, Error> {
    let Ask {
        mut prompt,
        named,
        task,
        session,
    } = ask;
    let place = app.places.enter(&context.trace, &context.deadline).await?;
    let purse = app.limits.purse(&context.caller).await;
    let route = route(app, context, &prompt, (named, task.as_deref(), purse), out)?;
    if is_bounded(app, context, &prompt) {
        prompt.max_tokens = Some(app.router.longest_answer(&route, prompt.bytes()));
    }
    let funds = app
        .limits
        .reserve(&context.caller, &prompt, &route, &context.trace, &context.deadline)
        .await?;
    let _place = app
        .places
        .left_for(place, funds.turn(&context.trace), &context.trace, &context.deadline)
        .await?;
    let session = context.caller.owned(session.as_deref().unwrap_or(NO_SESSION));
    let call = Call {
        prompt,
        route,
        request_id: context.request_id.clone(),
        trace: context.trace.clone(),
        deadline: context.deadline,
        funds,
        begun: Begun::default(),
    };
    // On the heap: the attempts of a call are a large future, and most of the steps above end before it.
    Box::pin(generate(app, call, session, id, out)).await
}

/// Whether the answer to `prompt` needs a bound that the question does not set: what is set aside for it has to have one.
fn is_bounded(app: &App, context: &Context, prompt: &Prompt) -> bool {
    prompt.max_tokens.is_none() && app.limits.counts(&context.caller)
}
