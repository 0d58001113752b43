//! The last step: the model is asked, its answer handed on, what it used noted.
//!
//! What goes out piece by piece is [`super::spliced`]'s; what goes out when all of it is there and fits is
//! [`super::held`]'s. Every attempt is paid for from the call's funds.

use super::held::{self, Held};
use super::models::{Done, Event};
use super::out::{Mode, Out};
use super::spliced;
use super::tally::Tally;
use crate::app::App;
use crate::error::Error;
use crate::resilience::rescue::Rescue;
use crate::structured::{Shape, Structured};
use crate::upstream::{Call, StreamEnd};

/// Answers `call` for `session`.
pub(super) async fn generate(app: &App, call: Call, session: String, id: String, out: Out<'_>) -> Result<Done, Error> {
    let shape = shape(app, &call)?;
    let account = app.accounts.open(&session, &call.trace, &call.deadline).await?;
    let mut tally = Tally::begin(app, &call, account, id.clone(), session);
    let answered = answer(app, &call, &shape, out).await;
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
        lasting: end.complete && first_choice(app, &call, &end.provider),
        finish_reason: end.finish_reason,
        model: end.model,
        provider: end.provider,
    })
}

/// Whether `provider` has the model that is to answer, rather than one that stands in for it while it fails or is too dear.
fn first_choice(app: &App, call: &Call, provider: &str) -> bool {
    let providers = &app.settings.providers;
    let answered = providers.iter().find(|one| one.name == provider);
    providers
        .get(call.route.preferred)
        .zip(answered)
        .is_some_and(|(preferred, answered)| preferred.model == answered.model)
}

/// The form that the answer is held against.
fn shape(app: &App, call: &Call) -> Result<Shape, Error> {
    if app.settings.structured == Structured::Pass {
        return Ok(Shape::Text);
    }
    let format = call.prompt.options.response_format.as_ref();
    Shape::of(format).map_err(|bad| Error::invalid("#/response_format/json_schema/schema", bad.to_string()))
}

async fn answer(app: &App, call: &Call, shape: &Shape, out: Out<'_>) -> Result<StreamEnd, Error> {
    let holds_back = app.settings.rescue == Rescue::HoldBack || !shape.is_free();
    if out.mode() == Mode::Stream && !holds_back {
        return Box::pin(spliced::pieces(app, call, out)).await;
    }
    let Held { text, end } = Box::pin(held::whole(app, call, shape, out)).await?;
    let model = end.model.clone();
    out.send(Event::Begin { model }).await;
    out.send(Event::Delta(text)).await;
    Ok(end)
}
