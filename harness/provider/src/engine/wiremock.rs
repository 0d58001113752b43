//! The wiremock engine: a script behind `wiremock`'s own traits, for real sockets and whole bodies.
//!
//! It can't pace: a stream asked of it arrives all at once, when its last token is due. It can't see a caller leave:
//! every answer counts as handed over. It can't break a connection: [`Script::new`] refuses what asks for that.

mod rotation;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use ::wiremock::{Match, Request, Respond, ResponseTemplate};
use brownout_net::RunClock;
use brownout_scenario::plan::{Dialect, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use brownout_scenario::{Providers, ScenarioError};
use bytes::Bytes;

use super::beyond_wiremock;
use crate::desk::{Content, Desk, Reply};
use crate::dialect::{self, Call, Route, Wire};
use crate::ledger::{Ledger, Retention};
use crate::script::{Course, Ending};

pub(crate) use rotation::{ROTATE_EVERY, start};

/// Matches what one endpoint of a provider serves; see [`crate::openai::chat`] and its like.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    dialect: Dialect,
    models: bool,
}

impl Endpoint {
    /// Where the model answers.
    pub(crate) const fn chat(dialect: Dialect) -> Self {
        Self { dialect, models: false }
    }

    /// Where the models are listed.
    pub(crate) const fn models(dialect: Dialect) -> Self {
        Self { dialect, models: true }
    }
}

impl Match for Endpoint {
    fn matches(&self, request: &Request) -> bool {
        match dialect::wire(self.dialect).route(&request.method, request.url.path()) {
            Route::Chat => !self.models,
            Route::Models | Route::Model(_) => self.models,
            _ => false,
        }
    }
}

/// Answers as a provider would: status, headers, body and delay. Clones share ledger, limits and counts.
#[derive(Debug, Clone)]
pub struct Script {
    desk: Arc<Desk>,
    wire: &'static dyn Wire,
}

/// A script that is more than wiremock can play.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "wiremock cannot play the fault `{fault}`, which breaks the connection or the pace of a body: start a Provider on the streaming engine"
)]
pub struct NotWhole {
    fault: String,
}

impl NotWhole {
    /// Refuses a plan that is more than wiremock can play.
    pub(crate) fn check(plan: &ProviderPlan) -> Result<(), Self> {
        match beyond_wiremock(plan) {
            None => Ok(()),
            Some(fault) => Err(Self {
                fault: fault.id.clone(),
            }),
        }
    }
}

/// Why a text is no script for wiremock.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no provider file.
    #[error(transparent)]
    Invalid(#[from] Box<ScenarioError>),
    /// It has no provider, or several.
    #[error("the text describes {0} providers: write exactly one [[provider]]")]
    NotOne(usize),
    /// It asks for too much.
    #[error(transparent)]
    NotWhole(#[from] NotWhole),
}

impl Script {
    /// A script that plays `plan` on `clock`, every draw from `seed`.
    pub fn new(plan: ProviderPlan, seed: SeedTree, clock: RunClock) -> Result<Self, NotWhole> {
        Self::keeping(plan, seed, clock, Retention::All, None)
    }

    /// The same, for a ledger that forgets. Rows of it that are final go to `sink`, if there is one.
    pub(crate) fn keeping(
        plan: ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        retention: Retention,
        sink: Option<Box<dyn Write + Send>>,
    ) -> Result<Self, NotWhole> {
        NotWhole::check(&plan)?;
        Ok(Self::of(Arc::new(Desk::keeping(plan, seed, clock, retention, sink))))
    }

    /// A script that plays the one `[[provider]]` of a provider file (see `docs/scenarios.md`), from now on.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let Providers {
            seed, mut providers, ..
        } = Providers::parse("script.toml", text)?;
        match providers.pop() {
            Some(plan) if providers.is_empty() => Ok(Self::new(plan, SeedTree::new(seed), RunClock::start())?),
            last => Err(ScriptError::NotOne(providers.len() + usize::from(last.is_some()))),
        }
    }

    pub(crate) fn of(desk: Arc<Desk>) -> Self {
        let wire = dialect::wire(desk.script().dialect);
        Self { desk, wire }
    }

    /// What the provider saw and billed.
    pub fn ledger(&self) -> Ledger {
        self.desk.ledger().clone()
    }

    pub(crate) fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }

    /// The chat endpoint of its dialect.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::chat(self.desk.script().dialect)
    }
}

impl Respond for Script {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let reply = self.desk.receive(&Call {
            method: &request.method,
            path: request.url.path(),
            query: request.url.query().unwrap_or_default(),
            headers: &request.headers,
            body: Some(request.body.as_slice()).filter(|body| body.len() <= self.wire.max_body()),
        });
        let Reply {
            status,
            headers,
            body,
            due,
            admitted,
            ..
        } = reply;
        let now = self.desk.now();
        let mut template = ResponseTemplate::new(status);
        for (name, value) in &headers {
            template = template.insert_header(name, value);
        }
        match admitted {
            None => {
                let delay = due.map(|due| Duration::from(due.since(now))).unwrap_or_default();
                if !delay.is_zero() {
                    template = template.set_delay(delay);
                }
                template.set_body_bytes(bytes_of(body, None))
            }
            Some(admitted) => {
                self.desk.ledger().complete_unseen(admitted.row, now);
                let delay = Duration::from(admitted.course.schedule.end().since(now));
                // A delay of nothing would still wait for the timer's next tick.
                if !delay.is_zero() {
                    template = template.set_delay(delay);
                }
                template.set_body_bytes(bytes_of(body, Some((&admitted.course, &admitted.model))))
            }
        }
    }
}

/// The whole body, all frames of a stream in one.
fn bytes_of(content: Content, course: Option<(&Course, &str)>) -> Bytes {
    match (content, course) {
        (Content::Whole(bytes), _) => bytes,
        (Content::Stream(_), None) => Bytes::new(),
        (Content::Stream(frames), Some((course, model))) => {
            let mut text = String::new();
            super::frames::write(frames.as_ref(), course, (0, course.schedule.visible()), &mut text);
            if course.ending != Ending::Silence {
                super::frames::write_end(frames.as_ref(), course, model, &mut text);
            }
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::chat;
    use crate::samples::plan;
    use http::{HeaderMap, HeaderValue, Method};
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_ledger_that_forgets_keeps_the_last_rows_and_every_total() {
        let kept = Retention::Last(3);
        let script = Script::keeping(plan(), SeedTree::new(1), RunClock::start(), kept, None).unwrap();
        for prompt in 0..10 {
            let key = (http::header::AUTHORIZATION, HeaderValue::from_static("Bearer any"));
            script.respond(&Request {
                url: "http://provider/v1/chat/completions".parse().unwrap(),
                method: Method::POST,
                headers: HeaderMap::from_iter([key]),
                body: chat(prompt, "").into_bytes(),
            });
            // An answer takes 140 ms, so each is over when the next request comes.
            advance(Duration::from_secs(1)).await;
        }
        let prompts = script.ledger().rows().into_iter().map(|row| row.prompt.0);
        assert_eq!(prompts.collect::<Vec<_>>(), [7, 8, 9]);
        script.ledger().close(u64::MAX);
        let totals = script.ledger().totals();
        assert_eq!((totals.attempts, totals.billed), (10, 50));
    }
}
