//! An answer of which nothing goes out before it is complete and fits the form that was asked for.
//!
//! Until then any attempt can be replaced: one that broke off by the next, and once one that does not fit by one that was
//! told so. All of them are attempts of one call, with one deadline.

use super::out::{Mode, Out};
use crate::app::App;
use crate::error::Error;
use crate::resilience::course::{CallFailure, Course};
use crate::structured::{self, Misfit, Shape, Structured};
use crate::upstream::{AttemptFailure, Call, Piece, StreamEnd};

/// What the model says when it stopped because it may not say more.
const AT_ITS_LIMIT: &str = "length";
/// What a provider says of an answer that it withholds. There is nothing to check.
const WITHHELD: &str = "content_filter";

/// A complete answer.
pub(super) struct Held {
    pub(super) text: String,
    pub(super) end: StreamEnd,
}

/// The whole answer to `call`, of the form of `shape`.
pub(super) async fn whole(app: &App, call: &Call, shape: &Shape, out: Out<'_>) -> Result<Held, Error> {
    let mut course = app.models.course(call);
    let answer = attempts(app, call, &mut course, out).await?;
    let Err(misfit) = check(shape, &answer) else {
        if !shape.is_free() {
            app.metrics.checked("valid");
        }
        return Ok(answer);
    };
    if !may_repair(app, &answer, &course) {
        return Err(unfit(app, &answer, &misfit));
    }
    course.one_more();
    let again = call.with_prompt(structured::again(&call.prompt, &misfit));
    let answer = attempts(app, &again, &mut course, out).await?;
    if let Err(misfit) = check(shape, &answer) {
        return Err(unfit(app, &answer, &misfit));
    }
    app.metrics.checked("repaired");
    Ok(answer)
}

fn check(shape: &Shape, answer: &Held) -> Result<(), Misfit> {
    if answer.end.finish_reason == WITHHELD {
        return Ok(());
    }
    shape.check(&answer.text)
}

/// Policy: whether asking once more is of use. An answer that was cut off at its limit would be again.
fn may_repair(app: &App, answer: &Held, course: &Course<'_>) -> bool {
    app.settings.structured == Structured::Repair
        && answer.end.finish_reason != AT_ITS_LIMIT
        && course.may_have_one_more()
}

fn unfit(app: &App, answer: &Held, misfit: &Misfit) -> Error {
    app.metrics.checked("invalid");
    if answer.end.finish_reason == AT_ITS_LIMIT {
        return Error::OutputCutOff;
    }
    tracing::warn!(
        provider = answer.end.provider,
        wrong = misfit.0.join("; "),
        "an answer does not fit its form"
    );
    Error::InvalidOutput
}

/// The attempts that it takes to a complete answer. Who reads along is asked for as a stream is, which shows sooner that
/// a provider has fallen silent.
async fn attempts(app: &App, call: &Call, course: &mut Course<'_>, out: Out<'_>) -> Result<Held, CallFailure> {
    if out.mode() == Mode::Whole {
        let (completion, provider) = app.models.complete(call, course).await?;
        return Ok(Held {
            text: completion.content,
            end: StreamEnd {
                finish_reason: completion.finish_reason,
                usage: completion.usage,
                model: completion.model,
                provider: provider.to_owned(),
                complete: true,
            },
        });
    }
    loop {
        match stream(app, call, course).await? {
            Ok(held) => return Ok(held),
            Err(failure) => app.models.next(call, course, failure).await?,
        }
    }
}

/// One stream, read to its end.
async fn stream(app: &App, call: &Call, course: &mut Course<'_>) -> Result<Result<Held, AttemptFailure>, CallFailure> {
    let mut answer = app.models.open(call, course).await?;
    let mut text = String::new();
    loop {
        match answer.next().await {
            Ok(Piece::Delta(piece)) => text.push_str(&piece),
            Ok(Piece::End(end)) => return Ok(Ok(Held { text, end })),
            Err(failure) => return Ok(Err(failure)),
        }
    }
}
