//! The desk: takes a request that has been read, gives the reply that an engine puts on the wire.
//!
//! Holds all that changes between attempts: how often each prompt was seen, limits, slots, caches, the counts of the
//! faults. It neither waits nor writes; both engines ask it, which is why they agree.

mod attempt;
mod embedding;
mod reply;
mod seen;
mod serving;
mod state;

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brownout_net::RunClock;
use brownout_scenario::plan::{FaultEffect, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use brownout_scenario::tracer;
use brownout_scenario::units::{Micros, PromptId};
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use crate::dialect::{self, Call, Delivery, Described, Problem, RetryAfter, Route, Wire, openai};
use crate::ledger::{Ledger, Retention};
use crate::prompt::Counter;
use crate::timetable::Timetable;

pub(crate) use reply::{Admitted, Begin, Content, Reply};
use state::State;

/// What a request without a limit of its own is charged for at admission, and the most it is answered with.
pub(crate) const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// The desk of one provider.
#[derive(Debug)]
pub(crate) struct Desk {
    wire: &'static dyn Wire,
    clock: RunClock,
    ledger: Ledger,
    counter: Counter,
    retention: Retention,
    state: Mutex<State>,
    replaced: Notify,
}

/// A script of another dialect: the provider would have to change its language in the middle of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider speaks {speaks}, the new script {other}: start another provider for that")]
pub struct OtherDialect {
    speaks: &'static str,
    other: &'static str,
}

impl Desk {
    /// A desk that has seen nothing yet and remembers everything.
    pub(crate) fn new(plan: ProviderPlan, seed: SeedTree, clock: RunClock) -> Self {
        Self::keeping(plan, seed, clock, Retention::All, None)
    }

    /// A desk that has seen nothing yet. Rows of its ledger that are final go to `sink`, if there is one.
    pub(crate) fn keeping(
        plan: ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        retention: Retention,
        sink: Option<Box<dyn Write + Send>>,
    ) -> Self {
        Self {
            wire: dialect::wire(plan.dialect),
            clock,
            ledger: Ledger::new(retention, sink, clock),
            counter: Counter::default(),
            retention,
            state: Mutex::new(State::new(plan, seed, retention)),
            replaced: Notify::new(),
        }
    }

    /// The ledger.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The run's clock.
    pub(crate) fn clock(&self) -> RunClock {
        self.clock
    }

    /// The time of the run.
    pub(crate) fn now(&self) -> Micros {
        Micros(self.clock.now_us())
    }

    /// Bodies of more bytes need not be read.
    pub(crate) fn max_body(&self) -> usize {
        self.wire.max_body()
    }

    /// What is played.
    pub(crate) fn script(&self) -> Arc<ProviderPlan> {
        Arc::clone(&self.state().plan)
    }

    /// Plays another script from now on, with fresh limits, slots and counts. What is being answered is not touched.
    pub(crate) fn replace(&self, plan: ProviderPlan, seed: SeedTree) -> Result<(), OtherDialect> {
        let mut state = self.state();
        if state.plan.dialect != plan.dialect {
            return Err(OtherDialect {
                speaks: state.plan.dialect.name(),
                other: plan.dialect.name(),
            });
        }
        let counts = std::mem::replace(&mut state.seen, seen::Seen::new(self.retention));
        let tickets = state.tickets;
        *state = State {
            seen: counts,
            tickets,
            ..State::new(plan, seed, self.retention)
        };
        self.replaced.notify_one();
        Ok(())
    }

    /// Resolves when the script has been replaced.
    pub(crate) async fn replaced(&self) {
        self.replaced.notified().await;
    }

    /// When nobody may connect.
    pub(crate) fn closed_doors(&self) -> Vec<Timetable> {
        let state = self.state();
        let faults = state.plan.faults.iter();
        let refusing = faults.filter(|fault| fault.effect == FaultEffect::RefuseConnection);
        refusing
            .map(|fault| Timetable::of_fault(fault, state.seed, &state.plan.name))
            .collect()
    }

    /// Decides what a request gets, and enters it into the ledger when it is a chat request that could be read.
    pub(crate) fn receive(&self, call: &Call<'_>) -> Reply {
        let (method, path) = (call.method.as_str(), call.path);
        let key = self.wire.key(call);
        let route = self.wire.route(call.method, path);
        let needs_key = self.wire.needs_key() && key.is_none();
        match route {
            Route::Unknown => self.refuse(call, key, &Problem::UnknownRoute { method, path }),
            Route::WrongMethod => self.refuse(call, key, &Problem::WrongMethod { method, path }),
            Route::Fixed(body) => self.tell(call, key, body.into()),
            Route::Models | Route::Model(_) if needs_key => self.refuse(call, key, &Problem::NoKey),
            Route::Models => self.tell(call, key, self.wire.models(&self.script().models)),
            Route::Model(name) => match self.script().serves(name) {
                Some(model) => self.tell(call, key, self.wire.model(model)),
                None => self.refuse(call, key, &Problem::UnknownModel(name)),
            },
            Route::Chat => match call.body {
                None => {
                    let limit = self.max_body();
                    self.refuse(call, key, &Problem::TooLarge { limit })
                }
                Some(body) => self.chat(call, key, body, &self.wire.read(call, body)),
            },
            Route::Embeddings => match call.body {
                None => {
                    let limit = self.max_body();
                    self.refuse(call, key, &Problem::TooLarge { limit })
                }
                Some(body) => self.chat(call, key, body, &openai::embeddings::read(body)),
            },
        }
    }

    /// The caller of an admitted attempt was seen to leave now.
    pub(crate) fn hang_up(&self, admitted: &Admitted) {
        let mut state = self.state();
        let now = self.now();
        if let Some(cut) = self.ledger.hang_up(admitted.row, now) {
            state.let_go(&admitted.holds, cut, now);
        }
    }

    /// The error that a stream of this provider carries when it breaks off with `status`.
    pub(crate) fn error_event(status: u16, model: &str) -> Problem<'_> {
        Problem::Fault {
            model,
            status,
            retry_after: None,
            code: None,
        }
    }

    /// Answers with something that is no attempt: nothing is entered.
    fn tell(&self, call: &Call<'_>, key: Option<&str>, body: Vec<u8>) -> Reply {
        self.plainly(call, key, (StatusCode::OK, body))
    }

    /// Answers with an error that is no attempt: nothing is entered.
    fn refuse(&self, call: &Call<'_>, key: Option<&str>, problem: &Problem<'_>) -> Reply {
        self.plainly(call, key, self.wire.error(problem))
    }

    fn plainly(&self, call: &Call<'_>, key: Option<&str>, (status, body): (StatusCode, Vec<u8>)) -> Reply {
        let mut state = self.state();
        let now = self.now();
        let standing = state.standing(key, None, now);
        let headers = self.wire.headers(&Described {
            status,
            delivery: Delivery::Whole,
            now,
            prompt: route_name(call),
            attempt: 0,
            processing: Micros::ZERO,
            standing,
            retry_after: RetryAfter::Unsaid,
        });
        reply(status, headers, body)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reply(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Reply {
    Reply {
        begin: Begin::Head,
        status,
        headers,
        body: Content::Whole(body.into()),
        due: None,
        admitted: None,
    }
}

/// What stands for the prompt where there is none: the same for the same route.
fn route_name(call: &Call<'_>) -> PromptId {
    tracer::prompt_of(call.path)
}
