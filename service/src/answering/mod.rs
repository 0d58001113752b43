//! Answering: what happens to a question between the route it came by and the provider that answers it.
//!
//! - `models`: what goes in and what comes out. `out`: where the pieces of an answer go.
//! - `stack`: the order of the steps, and nothing but the order. Each step that can be switched off has a file of its own.
//! - `diet`: what of a long conversation the model gets to read. `route`: who is asked.
//! - `cached`: an answer that was given before is given again. `shared`: equal questions at the same time share one call:
//!   `flight`, with all readers of its `log`.
//! - `warm`: what the service asks itself when it starts.
//! - `generate`: the last step: the model is asked. `held`: answers that go out when they are complete. `spliced`: those
//!   that go out as they come.
//! - `tally`: what it used, noted.
//!
//! Knows no HTTP. What happens between the attempts of one call is [`crate::resilience`]'s.

mod cached;
mod diet;
mod flight;
mod generate;
mod held;
mod log;
mod models;
mod out;
mod route;
mod shared;
mod spliced;
mod stack;
mod tally;
mod warm;

use std::sync::Arc;

use crate::app::App;
use crate::error::Error;
use crate::features::Context;
use crate::resilience::disconnect::Sink;

pub(crate) use self::diet::DietSettings;
pub(crate) use self::flight::Flights;
pub(crate) use self::models::{Answer, Ask, Event};
use self::out::{Collected, Out};
pub(crate) use self::warm::warm;

/// Answers whole. `id` names the answer: a second one under the same name is not counted again.
pub(crate) async fn answer(
    app: &Arc<App>,
    context: &Context,
    ask: impl Into<Ask>,
    id: String,
) -> Result<Answer, Error> {
    let collected = Collected::default();
    let done = stack::run(app, context, ask.into(), id, Out::Whole(&collected)).await?;
    Ok(collected.answer(done))
}

/// Answers piece by piece. The last event is `Done` or `Error`.
pub(crate) async fn stream(app: &Arc<App>, context: &Context, ask: Ask, id: String, sink: Sink<Event>) {
    let last = match stack::run(app, context, ask, id, Out::Stream(&sink)).await {
        Ok(done) => Event::Done(done),
        Err(error) => Event::Error(error),
    };
    sink.send(last).await;
}
