//! The caches: an answer that was given before, given again; and a new one kept, if it is whole.

use super::log::Log;
use super::models::{Ask, Done, Event};
use super::out::Out;
use crate::app::App;
use crate::cache::{Asked, Kept, Meaning, Question};
use crate::features::Context;
use crate::telemetry::Trace;
use crate::telemetry::conventions::{header, span};
use crate::upstream::Prompt;

/// What is asked, where it is compared with what others ask.
pub(super) fn question(app: &App, context: &Context, ask: &Ask) -> Option<Question> {
    let settings = &app.settings.cache;
    if !settings.compares() {
        return None;
    }
    let named = ask.named.and_then(|at| app.settings.providers.get(at));
    let asked = Asked {
        origin: app.caches.origin,
        tenant: Some(&context.caller.tenant),
        model: named.map(|provider| provider.model.as_str()),
        task: ask.task.as_deref(),
        prompt: &ask.prompt,
    };
    Question::of(asked, context.freshness, settings.max_temperature)
}

/// An answer to `question` that was given before. `meaning` is what it means, once that had to be found out.
pub(super) async fn find(app: &App, trace: &Trace, question: &Question, meaning: &mut Option<Meaning>) -> Option<Kept> {
    if question.freshness.fresh {
        return None;
    }
    let _wait = trace.span(span::WAIT_CACHE);
    let hit = app.caches.find(question, meaning).await?;
    trace.say(header::CACHE, hit.from.to_owned());
    Some(hit.kept)
}

/// Gives an answer again, with what it used when it was made.
pub(super) async fn replay(kept: Kept, id: String, out: Out<'_>) -> Done {
    let model = kept.model.clone();
    out.send(Event::Begin { model }).await;
    out.send(Event::Delta(kept.content)).await;
    if let Some(usage) = kept.usage {
        out.send(Event::Usage(usage)).await;
    }
    Done {
        id,
        finish_reason: kept.finish_reason,
        model: kept.model,
        provider: kept.provider,
        lasting: true,
    }
}

/// Keeps what was said in `log`, unless it is no answer for anybody else.
pub(super) async fn keep(
    app: &App,
    trace: &Trace,
    (question, meaning): (&Question, Option<Meaning>),
    prompt: &Prompt,
    log: &Log,
    done: &Done,
) {
    if question.freshness.forget {
        return;
    }
    let Some(kept) = kept(prompt, log, done) else {
        return app.caches.unfit();
    };
    let _wait = trace.span(span::WAIT_CACHE);
    app.caches.keep(question, meaning, kept).await;
}

/// What was said in `log`, if it may be kept.
pub(super) fn kept(prompt: &Prompt, log: &Log, done: &Done) -> Option<Kept> {
    let (content, usage) = log.text().filter(|_| done.lasting)?;
    let kept = Kept {
        content,
        finish_reason: done.finish_reason.clone(),
        model: done.model.clone(),
        provider: done.provider.clone(),
        usage,
    };
    kept.answers(prompt).then_some(kept)
}
