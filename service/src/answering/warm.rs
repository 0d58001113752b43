//! What the service asks itself when it starts, so that everybody has the answers: one question at a time.
//!
//! Nobody's conversation goes into these questions, so their answers are the only ones that every tenant may read.

use std::sync::Arc;

use tracing::Instrument;

use super::cached;
use super::log::Log;
use super::models::Ask;
use super::out::{Mode, Out};
use super::stack;
use crate::access::Caller;
use crate::app::App;
use crate::cache::{Asked, Freshness, Question};
use crate::error::Error;
use crate::features::{Context, Kept};
use crate::resilience::deadline::Deadline;
use crate::upstream::{Message, Prompt, Role};

/// The name of the span of such a question.
const NAME: &str = "warm";

/// Asks what `cache.warm` says, until all is answered or the instance ends.
pub(crate) async fn warm(app: Arc<App>) {
    for (n, text) in app.settings.cache.warm.iter().enumerate() {
        let request_id = format!("{NAME}-{n}");
        let (trace, _root) = app.tracer.begin(None, &request_id, NAME);
        let context = Context {
            caller: Caller::nobody(),
            trace: trace.clone(),
            deadline: Deadline::start(app.clock, app.settings.deadline),
            freshness: Freshness::default(),
            kept: Kept::default(),
            request_id,
        };
        let asked = ask(&app, &context, text).instrument(trace.log().clone());
        let answered = tokio::select! {
            biased;
            () = app.shutdown.cancelled() => return,
            answered = asked => answered,
        };
        if let Err(error) = answered {
            tracing::warn!(%error, question = n, "a question of cache.warm has no answer yet: it will be asked for as others are");
        }
    }
}

async fn ask(app: &Arc<App>, context: &Context, text: &str) -> Result<(), Error> {
    let message = Message {
        role: Role::User,
        content: text.to_owned(),
    };
    let ask = Ask {
        prompt: Prompt {
            messages: vec![message],
            ..Prompt::default()
        },
        named: None,
        task: None,
        session: None,
    };
    let asked = Asked {
        origin: app.caches.origin,
        tenant: None,
        model: None,
        task: None,
        prompt: &ask.prompt,
    };
    let Some(question) = Question::of(asked, context.freshness, None) else {
        return Ok(());
    };
    let prompt = ask.prompt.clone();
    let (log, _) = Log::with_reader();
    let (id, out) = (context.request_id.clone(), Out::Log(&log, Mode::Whole));
    let done = stack::put(app, context, ask, id, out).await?;
    match cached::kept(&prompt, &log, &done) {
        Some(kept) => app.caches.keep_for_all(&question, kept).await,
        None => app.caches.unfit(),
    }
    Ok(())
}
