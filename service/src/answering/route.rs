//! The step that decides who is asked, and tells why.

use super::out::{Mode, Out};
use crate::app::App;
use crate::error::Error;
use crate::features::Context;
use crate::routing::{Kind, NoRoom, Route, Wanted};
use crate::settings::Usd;
use crate::telemetry::conventions::header;
use crate::upstream::Prompt;

/// Who is to be asked for `prompt`: by the model it names, by what it is for, by what may still be spent.
pub(super) fn route(
    app: &App,
    context: &Context,
    prompt: &Prompt,
    (named, task, purse): (Option<usize>, Option<&str>, Option<Usd>),
    out: Out<'_>,
) -> Result<Route, Error> {
    let kind = match out.mode() {
        Mode::Whole => Kind::Whole,
        Mode::Stream => Kind::FirstToken,
    };
    let wanted = Wanted {
        named,
        task,
        prompt_bytes: prompt.bytes(),
        messages: prompt.messages.len(),
        max_tokens: prompt.max_tokens,
        request_id: &context.request_id,
    };
    let decided = app.router.decide(wanted, &app.models.outlook(kind), purse);
    let route = decided.map_err(|NoRoom { needed, window }| Error::NoRoom { needed, window })?;
    if let Some(first) = route.order.first() {
        app.metrics
            .routed(&app.settings.providers[*first].name, route.reason.word);
    }
    context.trace.say(header::ROUTE_REASON, route.reason.text.clone());
    Ok(route)
}
