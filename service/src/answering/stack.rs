//! The order of the steps from a question to its answer.
//!
//! Outermost first: what costs nothing and refuses soonest comes before what costs something. Every wait in here is
//! bounded by the one deadline that a request has. The reasons for the order are in `docs/adr/0015`.

use std::sync::Arc;

use super::diet;
use super::generate::generate;
use super::models::{Ask, Done};
use super::out::Out;
use super::route::route;
use crate::app::App;
use crate::error::Error;
use crate::features::Context;
use crate::upstream::{Begun, Call};

/// The session of requests that name none.
const NO_SESSION: &str = "default";

/// Answers `ask`, its pieces going to `out`.
pub(super) async fn run(app: &Arc<App>, context: &Context, ask: Ask, id: String, out: Out<'_>) -> Result<Done, Error> {
    let Ask {
        mut prompt,
        named,
        task,
        session,
    } = ask;
    diet::apply(app, context, &mut prompt);
    let _place = app.places.enter(&context.trace, &context.deadline).await?;
    let purse = app.limits.purse(&context.caller).await;
    let route = route(app, context, &prompt, (named, task.as_deref(), purse), out)?;
    let funds = app
        .limits
        .reserve(&context.caller, &prompt, &route, &context.trace, &context.deadline)
        .await?;
    prompt.max_tokens = funds.max_tokens().or(prompt.max_tokens);
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
    generate(app, call, session, id, out).await
}
