//! The way of a chat request over the desk: read, admitted, decided, answered.
//!
//! In the order of the real thing: who asks, what is asked, the limits in front of the model, what goes wrong, the
//! queue for the model. Every request whose body could be taken in has a row, whatever becomes of it.

use std::sync::Arc;

use brownout_scenario::observe::Finish;
use brownout_scenario::plan::{Beginnings, FaultPlan, ModelPlan, ProviderPlan};
use brownout_scenario::seed::{Purpose, SeedTree};
use brownout_scenario::tracer;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::attempt::{Attempt, Verdict};
use super::state::State;
use super::{Begin, Content, DEFAULT_MAX_TOKENS, Desk, Reply, reply};
use crate::dialect::{
    Call, ChatRequest, Delivery, Described, InvalidRequest, Passage, Problem, RetryAfter, Role, Wants,
};
use crate::faults::Subject;
use crate::limits::{Cost, Owner};
use crate::prompt::{CacheUse, Prompt};
use crate::script::{self, Ask, Course, Decision, Ending, Page, Refusal, Schedule};

/// What stands where a web page was asked for by nobody.
const PAGE: &str = "<!DOCTYPE html><html><head><title>Service notice</title></head><body><h1>Please stand by</h1>\
    <p>The service is being updated.</p></body></html>\n";

/// What a model says that does not take the beginning of its answer from somebody else.
const NO_BEGINNINGS: &str =
    "This model does not support assistant message prefill. The conversation must end with a user message.";

impl Desk {
    /// A request for an answer whose body was taken in and `read`.
    pub(super) fn chat(
        &self,
        call: &Call<'_>,
        key: Option<&str>,
        body: &[u8],
        read: &Result<ChatRequest, Problem<'static>>,
    ) -> Reply {
        // All that takes time is done before the lock.
        let unread;
        let request = if let Ok(request) = read {
            request
        } else {
            unread = unreadable(body);
            &unread
        };
        let mut prompt = Prompt::of(&request.passages, &self.counter);
        if read.is_err() {
            prompt.tokens = 0;
        }
        let mut state = self.state();
        let plan = Arc::clone(&state.plan);
        let now = self.now();
        let mut attempt = Attempt {
            call,
            key,
            request,
            prompt: &prompt,
            model: plan.serves(&request.model),
            cache: CacheUse::default(),
            ask: Ask {
                prompt: prompt.id,
                attempt: state.seen.count(prompt.id),
                arrived: now,
                begins: now,
                prefill_tokens: prompt.tokens,
                begun: begun(plan.beginnings, &prompt, &request.passages),
                max_tokens: request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
                slowness: state.slowness(now),
                streams: request.delivery != Delivery::Whole,
            },
            calls_tool: false,
        };
        attempt.calls_tool = calls_tool(&plan, state.seed, &attempt);
        let problem = match (read, attempt.model) {
            (_, _) if key.is_none() && self.wire.needs_key() => Problem::NoKey,
            (Err(problem), _) => problem.clone(),
            (Ok(request), None) => Problem::UnknownModel(&request.model),
            (Ok(request), _) if plan.beginnings == Beginnings::Refused && begins(&request.passages) => {
                Problem::Invalid(InvalidRequest {
                    message: NO_BEGINNINGS.to_owned(),
                    param: Some("messages"),
                    code: None,
                })
            }
            (Ok(_), Some(model)) => {
                let Some(problem) = attempt.too_long(model) else {
                    let mut reply = self.serve(&mut state, &mut attempt, model);
                    drop(state);
                    if let (Begin::Head, Some(admitted)) = (reply.begin, &reply.admitted) {
                        reply.body = self.write(&attempt, &admitted.course);
                    }
                    return reply;
                };
                problem
            }
        };
        self.fail(&mut state, &attempt, &problem, &Verdict::REFUSED)
    }

    /// Writes the body of an answer, which takes its time and so is done without the lock.
    fn write(&self, attempt: &Attempt<'_>, course: &Course) -> Content {
        let answer = attempt.answer(course);
        if attempt.ask.streams {
            return Content::Stream(self.wire.frames(answer));
        }
        let mut bytes = self.wire.whole(&answer);
        // A unary body that is to end early in good order simply is shorter.
        if course.ending == Ending::CleanEof {
            bytes.truncate(bytes.len() / 2);
        }
        Content::Whole(bytes.into())
    }

    /// An attempt that is one this provider serves: limits first, as in front of the real thing, then faults.
    fn serve(&self, state: &mut State, attempt: &mut Attempt<'_>, model: &ModelPlan) -> Reply {
        let (now, name) = (attempt.ask.arrived, attempt.request.model.as_str());
        let owner = Owner {
            key: attempt.key.unwrap_or_default(),
            family: &model.family,
        };
        if let Some(cache) = &mut state.cache {
            attempt.cache = cache.look_up((owner.key, name), attempt.prompt, now);
            attempt.ask.prefill_tokens = attempt.prompt.tokens - attempt.cache.cached;
        }
        let cost = Cost {
            input: attempt.ask.prefill_tokens,
            prompt: attempt.prompt.tokens,
            max_tokens: attempt.ask.max_tokens,
        };
        let admission = state.limiter.as_mut().map_or(Ok(()), |l| l.admit(owner, now, cost));
        if let Err(refused) = admission {
            let verdict = Verdict {
                finish: Finish::RateLimited,
                fault: None,
            };
            return self.fail(state, attempt, &Problem::RateLimited { model: name, refused }, &verdict);
        }
        let turn = state.capacity.as_mut().map_or(Some(now), |capacity| capacity.turn(now));
        let Some(begins) = turn else {
            attempt.refund_all(state);
            let verdict = Verdict {
                finish: Finish::Overloaded,
                fault: None,
            };
            return self.fail(state, attempt, &Problem::Overloaded { model: name }, &verdict);
        };
        attempt.ask.begins = begins;
        let subject = Subject {
            model: name,
            key: owner.key,
            headers: attempt.call.headers,
            wants_schema: !matches!(attempt.request.wants, Wants::Text | Wants::Vectors { .. }),
        };
        let fault = state.faults.pick(state.seed, &attempt.ask, &subject);
        let decision = script::decide(&state.plan, state.seed, fault.as_deref(), &attempt.ask);
        let verdict = Verdict {
            finish: Finish::Fault,
            fault: fault.as_deref(),
        };
        match decision {
            Decision::Error(refusal) => self.injected(state, attempt, model, &refusal, &verdict),
            Decision::Page(page) => self.page(state, attempt, page, &verdict),
            Decision::Reset => self.cut_off(state, attempt, &verdict),
            Decision::Silence => self.silence(state, attempt, model, &verdict),
            Decision::Answer(course) if attempt.wants_vectors() => self.vectors(state, attempt, model, &course),
            Decision::Answer(course) => self.answer(state, attempt, model, course, verdict.fault),
        }
    }

    fn answer(
        &self,
        state: &mut State,
        attempt: &Attempt<'_>,
        model: &ModelPlan,
        course: Course,
        fault: Option<&FaultPlan>,
    ) -> Reply {
        let Attempt { request, ask, .. } = attempt;
        if let Some(cache) = &mut state.cache {
            let owner = (attempt.key.unwrap_or_default(), request.model.as_str());
            cache.remember(owner, attempt.prompt, ask.arrived);
        }
        let mut row = attempt.row(&state.plan, StatusCode::OK.as_u16(), Finish::Unfinished);
        row.fault = fault.map(|fault| fault.id.clone());
        let row = self.ledger.open(row, attempt.work(&state.plan, model, &course));
        let admitted = attempt.admit(state, row, course);
        let ready = admitted.headers_due();
        let headers = self.wire.headers(&Described {
            delivery: request.delivery,
            now: ready,
            processing: ready.since(ask.arrived),
            ..attempt.describe(state, StatusCode::OK)
        });
        Reply {
            begin: Begin::Head,
            status: StatusCode::OK,
            headers,
            body: Content::Whole(Bytes::new()),
            due: None,
            admitted: Some(admitted),
        }
    }

    /// The error that a fault asks for. What was charged comes back at once.
    fn injected(
        &self,
        state: &mut State,
        attempt: &Attempt<'_>,
        model: &ModelPlan,
        refusal: &Refusal,
        verdict: &Verdict<'_>,
    ) -> Reply {
        attempt.refund_all(state);
        let name = attempt.request.model.as_str();
        let problem = match refusal {
            Refusal::Status {
                status,
                retry_after,
                code,
                ..
            } => Problem::Fault {
                model: name,
                status: *status,
                retry_after: *retry_after,
                code: code.as_deref(),
            },
            Refusal::ContextLength => Problem::ContextLength {
                model: name,
                window: model.context_window.unwrap_or(attempt.prompt.tokens / 2),
                prompt_tokens: attempt.prompt.tokens,
                max_tokens: attempt.ask.max_tokens,
            },
        };
        let mut reply = self.fail(state, attempt, &problem, verdict);
        if let Refusal::Status {
            retry_after_text: Some(text),
            ..
        } = refusal
        {
            reply.headers = self.wire.headers(&Described {
                retry_after: RetryAfter::Text(text),
                ..attempt.describe(state, reply.status)
            });
        }
        reply
    }

    /// A body that is no answer of the model, from something in front of it.
    fn page(&self, state: &mut State, attempt: &Attempt<'_>, page: Page, verdict: &Verdict<'_>) -> Reply {
        attempt.refund_all(state);
        self.enter(state, attempt, StatusCode::OK.as_u16(), verdict);
        if page == Page::Html {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
            return reply(StatusCode::OK, headers, PAGE.into());
        }
        let headers = self.wire.headers(&Described {
            delivery: attempt.request.delivery,
            ..attempt.describe(state, StatusCode::OK)
        });
        let body: &[u8] = if page == Page::EmptyObject { b"{}" } else { b"" };
        reply(StatusCode::OK, headers, body.into())
    }

    fn cut_off(&self, state: &mut State, attempt: &Attempt<'_>, verdict: &Verdict<'_>) -> Reply {
        attempt.refund_all(state);
        self.enter(state, attempt, 0, verdict);
        Reply {
            begin: Begin::Reset,
            ..reply(StatusCode::OK, HeaderMap::new(), Vec::new())
        }
    }

    /// Takes the request and says nothing. The row ends when the caller leaves, or with the run.
    fn silence(&self, state: &mut State, attempt: &Attempt<'_>, model: &ModelPlan, verdict: &Verdict<'_>) -> Reply {
        let course = Course {
            schedule: Schedule::nothing(attempt.ask.begins),
            wanted: 0,
            limit: None,
            ending: Ending::Silence,
            quirk: None,
        };
        let mut row = attempt.row(&state.plan, 0, Finish::Unfinished);
        row.fault = verdict.fault.map(|fault| fault.id.clone());
        let row = self.ledger.open(row, attempt.work(&state.plan, model, &course));
        Reply {
            begin: Begin::Silence,
            admitted: Some(attempt.admit(state, row, course)),
            ..reply(StatusCode::OK, HeaderMap::new(), Vec::new())
        }
    }

    /// Answers with an error and enters the row.
    fn fail(&self, state: &mut State, attempt: &Attempt<'_>, problem: &Problem<'_>, verdict: &Verdict<'_>) -> Reply {
        let (status, body) = self.wire.error(problem);
        self.enter(state, attempt, status.as_u16(), verdict);
        let wait = match problem {
            Problem::RateLimited { refused, .. } => refused.wait,
            Problem::Fault { retry_after, .. } => *retry_after,
            _ => None,
        };
        let headers = self.wire.headers(&Described {
            retry_after: wait.map_or(RetryAfter::Unsaid, RetryAfter::Wait),
            ..attempt.describe(state, status)
        });
        reply(status, headers, body)
    }

    /// Enters a row that is over.
    fn enter(&self, state: &State, attempt: &Attempt<'_>, status: u16, verdict: &Verdict<'_>) {
        let mut row = attempt.row(&state.plan, status, verdict.finish);
        row.fault = verdict.fault.map(|fault| fault.id.clone());
        self.ledger.enter(row);
    }
}

/// Whether the last turn is the model's own: the beginning of its answer.
fn begins(passages: &[Passage]) -> bool {
    passages.last().is_some_and(|passage| passage.role == Role::Assistant)
}

/// Words of the answer that the request brings along, for a model that goes on after them.
fn begun(beginnings: Beginnings, prompt: &Prompt, passages: &[Passage]) -> u64 {
    if beginnings != Beginnings::Continued || !begins(passages) {
        return 0;
    }
    let mut reader = tracer::Reader::new(prompt.id);
    reader.push(passages.last().map_or("", |passage| &passage.text));
    reader.finish().tokens
}

/// What can be said of a body that is no chat request: it may still name its prompt.
fn unreadable(body: &[u8]) -> ChatRequest {
    ChatRequest {
        model: String::new(),
        passages: vec![Passage {
            role: Role::User,
            text: format!("[prompt {}]", tracer::prompt_of(&String::from_utf8_lossy(body))),
            cache_here: false,
        }],
        max_tokens: None,
        delivery: Delivery::Whole,
        usage_frame: false,
        wants: Wants::Text,
    }
}

/// Whether a request that offers tools is answered with a call.
fn calls_tool(plan: &ProviderPlan, seed: SeedTree, attempt: &Attempt<'_>) -> bool {
    let Wants::Tool { forced, .. } = &attempt.request.wants else {
        return false;
    };
    let answered = attempt.request.passages.last().is_some_and(|p| p.role == Role::Tool);
    let likes = || seed.stream(Purpose::ToolCall, "", attempt.ask.prompt, 0).unit() < plan.tool_calls.get();
    !answered && (*forced || likes())
}
