//! The wiremock engine: the script behind `wiremock`'s own traits, for real sockets and whole bodies.
//!
//! It can't pace: a stream asked of it arrives all at once, when its last token is due. It can't see a caller leave:
//! every answer counts as handed over. [`Responder`] and [`ChatRoute`] also serve in a `MockServer` of your own.

mod rotation;

use std::sync::Arc;
use std::time::Duration;

use ::wiremock::{Match, Request, Respond, ResponseTemplate};
use brownout_net::RunClock;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use bytes::Bytes;

use crate::desk::{Call, Content, Desk, MAX_BODY, Reply};
use crate::dialect::Route;
use crate::dialect::openai;
use crate::ledger::Ledger;

pub(crate) use rotation::{ROTATE_EVERY, start};

/// Matches what a provider's chat endpoint serves. Without it a [`Responder`] answers anything, also with a 404.
#[derive(Debug, Clone, Copy, Default)]
pub struct ChatRoute;

impl Match for ChatRoute {
    fn matches(&self, request: &Request) -> bool {
        openai::route(&request.method, request.url.path()) == Route::Chat
    }
}

/// Answers as the provider would: status, headers, body and delay.
#[derive(Debug, Clone)]
pub struct Responder {
    desk: Arc<Desk>,
}

impl Responder {
    /// A responder that plays `plan` on `clock`, every draw from `seed`.
    pub fn new(plan: ProviderPlan, seed: SeedTree, clock: RunClock) -> Self {
        Self::of(Arc::new(Desk::new(plan, seed, clock)))
    }

    pub(crate) fn of(desk: Arc<Desk>) -> Self {
        Self { desk }
    }

    /// What the provider saw and billed.
    pub fn ledger(&self) -> Ledger {
        self.desk.ledger().clone()
    }
}

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let reply = self.desk.receive(&Call {
            method: &request.method,
            path: request.url.path(),
            headers: &request.headers,
            body: Some(request.body.as_slice()).filter(|body| body.len() <= MAX_BODY),
        });
        let Reply {
            status,
            headers,
            body,
            admitted,
        } = reply;
        let now = self.desk.now();
        let mut template = ResponseTemplate::new(status);
        for (name, value) in &headers {
            template = template.insert_header(name, value);
        }
        if let Some(admitted) = admitted {
            self.desk.ledger().complete_unseen(admitted.row, now);
            let end = admitted.schedule.end();
            template = template.set_delay(Duration::from(end.since(now)));
            return template.set_body_bytes(bytes_of(body, admitted.schedule.tokens()));
        }
        template.set_body_bytes(bytes_of(body, 0))
    }
}

/// The whole body, all frames of a stream in one.
fn bytes_of(content: Content, tokens: u64) -> Bytes {
    match content {
        Content::Whole(bytes) => bytes,
        Content::Stream(frames) => {
            let mut text = String::new();
            frames.write(0, tokens, &mut text);
            text.into()
        }
    }
}
