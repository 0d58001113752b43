//! What one request for embeddings takes: money, a place in a call for each input, and all the vectors in order.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::batch::{Embedded, Failed, Input};
use crate::app::App;
use crate::error::Error;
use crate::features::Context;
use crate::routing::Route;
use crate::telemetry::conventions::{attribute, embedding_name, span, value};
use crate::upstream::{Begun, Call, Message, Prompt, Role, Usage};

/// The vectors of `texts`, in their order, from the model of `provider`.
pub(super) async fn embed(
    app: &Arc<App>,
    context: &Context,
    provider: usize,
    dimensions: Option<u32>,
    texts: Vec<String>,
) -> Result<Vec<Embedded>, Error> {
    let place = app.places.enter(&context.trace, &context.deadline).await?;
    let call = funded(app, context, provider, &texts).await?;
    let _place = app
        .places
        .left_for(
            place,
            call.funds.turn(&context.trace),
            &context.trace,
            &context.deadline,
        )
        .await?;
    let settings = &app.settings.providers[provider];
    let prices = settings.prompt_price.zip(settings.completion_price);
    let mut charge = call.funds.attempt(&call, prices).await?;
    charge.begin();
    let replies = gathered(app, context, provider, dimensions, texts).await;
    if replies.iter().any(Result::is_ok) {
        context.trace.asks();
    }
    match bill(&replies) {
        Bill::Nothing => charge.unused(),
        Bill::Of(usage) => charge.used(usage),
        Bill::Unknown => {}
    }
    let embedded: Result<Vec<Embedded>, Failed> = replies.into_iter().collect();
    embedded.map_err(|failed| failed.error)
}

/// What somebody bills for a request.
#[derive(Debug, PartialEq, Eq)]
enum Bill {
    /// No provider began to work on any of its inputs.
    Nothing,
    /// What was reported, and nothing else.
    Of(Usage),
    /// What was reported, perhaps, and more.
    Unknown,
}

/// What came of the other inputs is billed too when one of them fails.
fn bill(replies: &[Result<Embedded, Failed>]) -> Bill {
    let may_be_more = |reply: &Result<Embedded, Failed>| match reply {
        Ok(embedded) => embedded.more_may_be_billed,
        Err(failed) => failed.may_be_billed,
    };
    if replies.iter().any(may_be_more) {
        return Bill::Unknown;
    }
    let embedded = || replies.iter().flatten();
    if embedded().next().is_none() {
        return Bill::Nothing;
    }
    Bill::Of(Usage {
        prompt_tokens: embedded().map(|each| each.prompt_tokens).sum(),
        completion_tokens: 0,
    })
}

/// A call for which is set aside what the inputs can cost, of money and of tokens.
async fn funded(app: &App, context: &Context, provider: usize, texts: &[String]) -> Result<Call, Error> {
    let said = |text: &String| Message {
        role: Role::User,
        content: text.clone(),
    };
    let prompt = Prompt {
        messages: texts.iter().map(said).collect(),
        max_tokens: Some(0),
        ..Prompt::default()
    };
    let settings = &app.settings.providers[provider];
    let route = Route::only(provider, &settings.name);
    let funds = app
        .limits
        .reserve(&context.caller, &prompt, &route, &context.trace, &context.deadline)
        .await?;
    Ok(Call {
        prompt,
        route,
        request_id: context.request_id.clone(),
        trace: context.trace.clone(),
        deadline: context.deadline,
        funds,
        begun: Begun::default(),
    })
}

/// Puts every input on its way, and waits for what becomes of all of them.
async fn gathered(
    app: &Arc<App>,
    context: &Context,
    provider: usize,
    dimensions: Option<u32>,
    texts: Vec<String>,
) -> Vec<Result<Embedded, Failed>> {
    let mut waits = Vec::with_capacity(texts.len());
    for text in texts {
        let ((begun, begins), (reply, replies)) = (oneshot::channel(), oneshot::channel());
        let input = Input {
            text,
            request_id: context.request_id.clone(),
            trace: context.trace.clone(),
            begun,
            reply,
        };
        app.batcher.submit(app, (provider, dimensions), input);
        waits.push((begins, replies));
    }
    let waiting = context.trace.span(span::WAIT_BATCH);
    let (begins, replies): (Vec<_>, Vec<_>) = waits.into_iter().unzip();
    for begins in begins {
        // An input that is dropped unsent is told so below.
        let _ = begins.await;
    }
    drop(waiting);
    let model = &app.settings.providers[provider].model;
    let mut called = context.trace.client_span(embedding_name(model));
    called.set(attribute::OPERATION, value::EMBEDDINGS);
    called.set(attribute::PROVIDER_KEY, app.settings.providers[provider].name.clone());
    called.set(attribute::REQUEST_MODEL, model.clone());
    let mut came = Vec::with_capacity(replies.len());
    for reply in replies {
        let shutting_down = Failed {
            error: Error::ShuttingDown,
            may_be_billed: true,
        };
        came.push(reply.await.unwrap_or(Err(shutting_down)));
    }
    if came.iter().any(Result::is_err) {
        called.fail();
    }
    came
}
