//! The desk: takes a request that has been read, gives the reply that an engine puts on the wire.
//!
//! Holds all that changes between attempts: how often each prompt was seen, the limits, the counts of the faults. It
//! neither waits nor writes; both engines ask it, which is why they agree.

mod reply;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use brownout_net::RunClock;
use brownout_scenario::observe::{Finish, LedgerRow};
use brownout_scenario::plan::{Dialect, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use brownout_scenario::tracer;
use brownout_scenario::units::{Micros, Picodollars, PromptId};
use http::{HeaderMap, StatusCode};

use crate::dialect::openai::{self as wire, Described, Frames};
use crate::dialect::{Answer, ChatRequest, Problem, Route};
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::limits::{Limiter, Refund, Standing};
use crate::script::{self, Ask, Decision, Schedule};

pub(crate) use reply::{Admitted, Call, Content, Reply};

/// Bodies above this many bytes are refused with 413.
pub(crate) const MAX_BODY: usize = 1024 * 1024;

/// What a request without a limit of its own is charged for at admission, and the most it is answered with.
pub(crate) const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// The desk of one provider.
#[derive(Debug)]
pub(crate) struct Desk {
    plan: ProviderPlan,
    seed: SeedTree,
    clock: RunClock,
    ledger: Ledger,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: BTreeMap<PromptId, u32>,
    faults: Faults,
    limiter: Option<Limiter>,
    tickets: u64,
}

/// An attempt on its way through the desk.
struct Attempt<'a> {
    key: &'a str,
    request: &'a ChatRequest,
    ask: Ask,
}

impl Desk {
    /// A desk that has seen nothing yet.
    pub(crate) fn new(plan: ProviderPlan, seed: SeedTree, clock: RunClock) -> Self {
        // A second dialect makes this line fail to compile: here the choice between them begins.
        let Dialect::OpenAi = plan.dialect;
        let state = State {
            seen: BTreeMap::new(),
            faults: Faults::new(&plan),
            limiter: plan.limits.clone().map(Limiter::new),
            tickets: 0,
        };
        Self {
            ledger: Ledger::new(&plan),
            plan,
            seed,
            clock,
            state: Mutex::new(state),
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

    /// Decides what a request gets, and enters it into the ledger when it is a chat request that could be read.
    pub(crate) fn receive(&self, call: &Call<'_>) -> Reply {
        let mut state = self.state();
        let now = self.now();
        let key = wire::key(call.headers);
        let (method, path) = (call.method.as_str(), call.path);
        let refuse = |state: &mut State, problem| refuse(state, now, key, call, &problem);
        match wire::route(call.method, path) {
            Route::Unknown => refuse(&mut state, Problem::UnknownRoute { method, path }),
            Route::WrongMethod => refuse(&mut state, Problem::WrongMethod { method, path }),
            Route::Models if key.is_none() => refuse(&mut state, Problem::NoKey),
            Route::Models => {
                let headers = describe(&mut state, now, key, call_name(call));
                reply(StatusCode::OK, wire::headers(&headers), wire::models(&self.plan.model))
            }
            Route::Chat => match call.body {
                None => refuse(&mut state, Problem::TooLarge { limit: MAX_BODY }),
                Some(body) => self.chat(&mut state, now, key, body),
            },
        }
    }

    /// The caller of an admitted attempt was seen to leave now.
    pub(crate) fn hang_up(&self, admitted: &Admitted) {
        let mut state = self.state();
        let now = self.now();
        let Some(cut) = self.ledger.hang_up(admitted.row, now) else {
            return;
        };
        if let (Some(limiter), Some(refund)) = (&mut state.limiter, &admitted.refund) {
            limiter.revise(refund, cut.ended, admitted.max_tokens - cut.generated, now);
        }
    }

    /// A chat request whose body has been read: every one of them has a row.
    fn chat(&self, state: &mut State, now: Micros, key: Option<&str>, body: &[u8]) -> Reply {
        let read = wire::read(body);
        // A body that can't be understood may still name its prompt.
        let request = read.as_ref().ok().cloned().unwrap_or_else(|| ChatRequest {
            model: String::new(),
            prompt: tracer::prompt_of(&String::from_utf8_lossy(body)),
            prompt_tokens: 0,
            max_tokens: None,
            stream: false,
            usage_frame: false,
        });
        let times_seen = state.seen.entry(request.prompt).or_default();
        let ask = Ask {
            prompt: request.prompt,
            attempt: *times_seen,
            arrived: now,
            max_tokens: request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        };
        *times_seen += 1;
        let attempt = Attempt {
            key: key.unwrap_or_default(),
            request: &request,
            ask,
        };
        let problem = match (key, read) {
            (None, _) => Problem::NoKey,
            (_, Err(problem)) => problem,
            (_, Ok(_)) if request.model != self.plan.model => Problem::UnknownModel(&request.model),
            (Some(_), Ok(_)) => return self.serve(state, &attempt),
        };
        self.fail(state, &attempt, key, &problem, (Finish::Refused, None))
    }

    /// An attempt that is one this provider serves: limits first, as in front of the real thing, then faults.
    fn serve(&self, state: &mut State, attempt: &Attempt<'_>) -> Reply {
        let Attempt { key, request, ask } = attempt;
        let cost = request.prompt_tokens.saturating_add(ask.max_tokens);
        let admission = state
            .limiter
            .as_mut()
            .map_or(Ok(()), |limiter| limiter.admit(key, ask.arrived, cost));
        if let Err(refused) = admission {
            let model = request.model.as_str();
            let problem = Problem::RateLimited { model, refused };
            return self.fail(state, attempt, Some(key), &problem, (Finish::RateLimited, None));
        }
        let fault = state.faults.pick(&self.plan, self.seed, ask);
        let suffered = fault.map(|fault| fault.id.clone());
        match script::decide(&self.plan, self.seed, fault, ask) {
            Decision::Error { status, retry_after } => {
                promise(state, attempt, ask.arrived, ask.max_tokens);
                let problem = Problem::Fault {
                    model: &request.model,
                    status,
                    retry_after,
                };
                self.fail(state, attempt, Some(key), &problem, (Finish::Fault, suffered))
            }
            Decision::Answer { schedule, cut } => self.answer(state, attempt, schedule, cut, suffered),
        }
    }

    fn answer(
        &self,
        state: &mut State,
        attempt: &Attempt<'_>,
        schedule: Schedule,
        cut: bool,
        fault: Option<String>,
    ) -> Reply {
        let Attempt { key, request, ask } = attempt;
        let whole = if cut { Finish::Length } else { Finish::Stop };
        let mut row = self.row(attempt, StatusCode::OK, Finish::Unfinished);
        row.fault = fault;
        let admitted = Admitted {
            row: self.ledger.open(row, schedule.clone(), whole),
            refund: promise(state, attempt, schedule.end(), ask.max_tokens - schedule.tokens()),
            max_tokens: ask.max_tokens,
            schedule,
        };
        let answer = Answer {
            prompt: ask.prompt,
            attempt: ask.attempt,
            model: request.model.clone(),
            arrived: ask.arrived,
            prompt_tokens: request.prompt_tokens,
            tokens: admitted.schedule.tokens(),
            cut,
        };
        let (body, content_type) = if request.stream {
            (
                Content::Stream(Frames::new(answer, request.usage_frame)),
                wire::EVENT_STREAM,
            )
        } else {
            (Content::Whole(wire::whole(&answer).into()), wire::JSON)
        };
        let mut reply = Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
            admitted: None,
        };
        let ready = admitted.headers_due(&reply.body);
        reply.headers = wire::headers(&Described {
            content_type,
            processing: ready.since(ask.arrived),
            ..describe(state, ask.arrived, Some(key), (ask.prompt, ask.attempt))
        });
        reply.admitted = Some(admitted);
        reply
    }

    /// Answers with an error and enters the row.
    fn fail(
        &self,
        state: &mut State,
        attempt: &Attempt<'_>,
        key: Option<&str>,
        problem: &Problem<'_>,
        (finish, fault): (Finish, Option<String>),
    ) -> Reply {
        let Ask {
            prompt,
            attempt: nth,
            arrived,
            ..
        } = attempt.ask;
        let (status, body) = wire::error(problem);
        let mut row = self.row(attempt, status, finish);
        row.fault = fault;
        self.ledger.enter(row);
        let headers = Described {
            retry_after: retry_after(problem),
            ..describe(state, arrived, key, (prompt, nth))
        };
        reply(status, wire::headers(&headers), body)
    }

    /// A row that has cost nothing yet.
    fn row(&self, attempt: &Attempt<'_>, status: StatusCode, finish: Finish) -> LedgerRow {
        let Attempt { request, ask, .. } = attempt;
        LedgerRow {
            provider: self.plan.name.clone(),
            model: request.model.clone(),
            prompt: ask.prompt,
            attempt: ask.attempt,
            arrived: ask.arrived,
            first_token: None,
            ended: ask.arrived,
            status: status.as_u16(),
            prompt_tokens: request.prompt_tokens,
            cached_tokens: 0,
            generated: 0,
            flushed: 0,
            billed: 0,
            billed_prompt: 0,
            price: Picodollars(0),
            fault: None,
            finish,
            hung_up: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers with an error that is no attempt: nothing is entered.
fn refuse(state: &mut State, now: Micros, key: Option<&str>, call: &Call<'_>, problem: &Problem<'_>) -> Reply {
    let (status, body) = wire::error(problem);
    let headers = describe(state, now, key, call_name(call));
    reply(status, wire::headers(&headers), body)
}

/// What every response tells, an error at once unless it is changed.
fn describe(state: &mut State, now: Micros, key: Option<&str>, (prompt, attempt): (PromptId, u32)) -> Described {
    let standing = match (&mut state.limiter, key) {
        (Some(limiter), Some(key)) => limiter.standing(key, now),
        _ => Standing::default(),
    };
    Described {
        content_type: wire::JSON,
        prompt,
        attempt,
        processing: Micros::ZERO,
        standing,
        retry_after: None,
    }
}

/// Notes that `tokens` of what the attempt was charged come back at `at`.
fn promise(state: &mut State, attempt: &Attempt<'_>, at: Micros, tokens: u64) -> Option<Refund> {
    let limiter = state.limiter.as_mut()?;
    let refund = Refund {
        key: attempt.key.to_owned(),
        ticket: state.tickets,
        at,
        tokens,
    };
    state.tickets += 1;
    limiter.promise(&refund, attempt.ask.arrived);
    Some(refund)
}

fn retry_after(problem: &Problem<'_>) -> Option<Micros> {
    match problem {
        Problem::RateLimited { refused, .. } => refused.wait,
        Problem::Fault { retry_after, .. } => *retry_after,
        _ => None,
    }
}

fn reply(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Reply {
    Reply {
        status,
        headers,
        body: Content::Whole(body.into()),
        admitted: None,
    }
}

/// What stands for the prompt where there is none: the same for the same route.
fn call_name(call: &Call<'_>) -> (PromptId, u32) {
    (tracer::prompt_of(call.path), 0)
}
