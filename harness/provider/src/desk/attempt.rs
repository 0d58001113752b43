//! One attempt on its way over the desk: what is known of it, and what it leaves in the books.
//!
//! Decides nothing; the order of things is [`super::serving`]'s.

use brownout_scenario::observe::{Finish, LedgerRow};
use brownout_scenario::plan::{Dialect, FaultPlan, ModelPlan, ProviderPlan};
use brownout_scenario::trace;
use brownout_scenario::units::{Micros, Picodollars};
use http::StatusCode;

use super::Admitted;
use super::reply::Holds;
use super::state::State;
use crate::capacity::NEVER;
use crate::dialect::{Answer, Call, ChatRequest, Delivery, Described, Problem, RetryAfter, Stop, Usage, Wants};
use crate::ledger::{Terms, Work};
use crate::limits::Refund;
use crate::output::Output;
use crate::prompt::{CacheUse, Prompt};
use crate::script::{Ask, Course, Ending, Limit, Quirk};

/// An attempt on its way.
pub(super) struct Attempt<'a> {
    /// The request as it came.
    pub(super) call: &'a Call<'a>,
    /// Its API key.
    pub(super) key: Option<&'a str>,
    /// What it asks for.
    pub(super) request: &'a ChatRequest,
    /// What its text comes to.
    pub(super) prompt: &'a Prompt,
    /// The model asked for, if it is served.
    pub(super) model: Option<&'a ModelPlan>,
    /// What it has of the cache.
    pub(super) cache: CacheUse,
    /// What the script has to know.
    pub(super) ask: Ask,
    /// It is answered with a call of a tool.
    pub(super) calls_tool: bool,
}

/// How a row ends that ends at once.
pub(super) struct Verdict<'a> {
    /// How.
    pub(super) finish: Finish,
    /// What it suffered.
    pub(super) fault: Option<&'a FaultPlan>,
}

impl Verdict<'_> {
    /// The request itself was at fault.
    pub(super) const REFUSED: Self = Self {
        finish: Finish::Refused,
        fault: None,
    };
}

impl Attempt<'_> {
    /// Why it does not fit into the model's window, if it does not.
    pub(super) fn too_long<'m>(&self, model: &'m ModelPlan) -> Option<Problem<'m>> {
        let window = model.context_window?;
        // A limit that the caller never stated is no reason to refuse.
        let max_tokens = self.request.max_tokens.unwrap_or(0);
        // Inputs that share a call don't share a window.
        let prompt_tokens = if self.wants_vectors() {
            self.inputs().map(|(_, tokens)| tokens).max().unwrap_or_default()
        } else {
            self.prompt.tokens
        };
        let needed = prompt_tokens.saturating_add(max_tokens);
        (needed > window).then_some(Problem::ContextLength {
            model: &model.name,
            window,
            prompt_tokens,
            max_tokens,
        })
    }

    /// Whether it asks for vectors, and not for an answer.
    pub(super) fn wants_vectors(&self) -> bool {
        matches!(self.request.wants, Wants::Vectors { .. })
    }

    /// Each passage with its own tokens.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&str, u64)> {
        let ends = self.prompt.prefixes.iter().map(|prefix| prefix.tokens);
        let begins = std::iter::once(0).chain(ends.clone());
        let texts = self.request.passages.iter().map(|passage| passage.text.as_str());
        texts.zip(ends.zip(begins).map(|(end, begin)| end - begin))
    }

    /// A row that has cost nothing yet.
    pub(super) fn row(&self, plan: &ProviderPlan, status: u16, finish: Finish) -> LedgerRow {
        let Self { request, ask, .. } = self;
        LedgerRow {
            provider: plan.name.clone(),
            model: request.model.clone(),
            prompt: ask.prompt,
            attempt: ask.attempt,
            caller: self.call.header("traceparent").and_then(trace::caller_of),
            input: None,
            arrived: ask.arrived,
            first_token: None,
            ended: ask.arrived,
            status,
            prompt_tokens: self.prompt.tokens,
            cached_tokens: self.cache.cached,
            cache_write_tokens: self.cache.written,
            generated: 0,
            begun: ask.begun,
            reasoning: 0,
            flushed: 0,
            repeated: 0,
            billed: 0,
            billed_prompt: 0,
            price: Picodollars(0),
            fault: None,
            finish,
            hung_up: None,
        }
    }

    /// What it is answered with.
    pub(super) fn answer(&self, course: &Course) -> Answer {
        let Self {
            request, ask, cache, ..
        } = self;
        let visible = course.schedule.visible();
        let wanted = course.wanted;
        let output = match &request.wants {
            Wants::Tool { name, parameters, .. } if self.calls_tool => {
                Output::call(ask.prompt, wanted, name, parameters)
            }
            Wants::Json(schema) => Output::json(ask.prompt, wanted, schema),
            _ => Output::text(ask.prompt, wanted),
        };
        let output = if course.quirk == Some(Quirk::Garbage) {
            output.bare()
        } else {
            output
        }
        .after(ask.begun);
        // A stream that breaks off has the pieces of the whole, of which it gives fewer.
        let kept = if course.limit.is_some() { visible } else { wanted };
        let stop = match course.limit {
            Some(Limit::MaxTokens) => Stop::Length,
            Some(Limit::Filter) => Stop::Filtered,
            None if self.calls_tool => Stop::ToolCall,
            None => Stop::Finished,
        };
        Answer {
            prompt: ask.prompt,
            attempt: ask.attempt,
            model: request.model.clone(),
            arrived: ask.arrived,
            first_token: course.schedule.first(),
            ended: course.schedule.end(),
            usage: Usage {
                prompt: self.prompt.tokens,
                cached: cache.cached,
                cache_write: cache.written,
                completion: visible,
                reasoning: course.schedule.hidden(),
            },
            output: output.cut(kept),
            stop,
            delivery: request.delivery,
            usage_frame: request.usage_frame,
        }
    }

    /// Takes a slot and promises the refund.
    pub(super) fn admit(&self, state: &mut State, row: usize, course: Course) -> Admitted {
        let ticket = state.ticket();
        let ends = if course.ending == Ending::Silence {
            NEVER
        } else {
            course.schedule.end()
        };
        // What falls silent before it has begun was lost on the way to the model.
        let slot = (course.ending != Ending::Silence || course.wanted > 0).then_some((ticket, ends));
        if let (Some(capacity), Some((ticket, ends))) = (&mut state.capacity, slot) {
            capacity.hold(ticket, ends);
        }
        let max_tokens = self.ask.max_tokens;
        let unused = max_tokens - course.schedule.tokens();
        Admitted {
            row,
            holds: Holds {
                slot,
                refund: self.promise(state, ticket, ends, unused),
                max_tokens,
            },
            delivery: self.request.delivery,
            leaves_at_once: self.leaves_at_once(&state.plan),
            model: self.request.model.clone(),
            course,
        }
    }

    /// What every response tells, an error at once unless it is changed.
    pub(super) fn describe(&self, state: &mut State, status: StatusCode) -> Described<'static> {
        let now = self.ask.arrived;
        Described {
            status,
            delivery: Delivery::Whole,
            now,
            prompt: self.ask.prompt,
            attempt: self.ask.attempt,
            processing: Micros::ZERO,
            standing: state.standing(self.key, self.model, now),
            retry_after: RetryAfter::Unsaid,
        }
    }

    /// What was charged comes back at once: the attempt will generate nothing.
    pub(super) fn refund_all(&self, state: &mut State) {
        let ticket = state.ticket();
        self.promise(state, ticket, self.ask.arrived, self.ask.max_tokens);
    }

    /// Notes that `tokens` of what the attempt was charged come back at `at`.
    fn promise(&self, state: &mut State, ticket: u64, at: Micros, tokens: u64) -> Option<Refund> {
        let limiter = state.limiter.as_mut()?;
        let refund = Refund {
            key: self.key.unwrap_or_default().to_owned(),
            family: self.model.map(|model| model.family.clone()).unwrap_or_default(),
            ticket,
            at,
            tokens,
        };
        limiter.promise(&refund, self.ask.arrived);
        Some(refund)
    }

    /// Whether its tokens leave together with the last of them.
    fn leaves_at_once(&self, plan: &ProviderPlan) -> bool {
        self.calls_tool && matches!(plan.dialect, Dialect::Gemini | Dialect::Ollama)
    }

    /// What the ledger has to know to see an answer to its end.
    pub(super) fn work(&self, plan: &ProviderPlan, model: &ModelPlan, course: &Course) -> Work {
        let (broken, at_once) = (course.ending.is_broken(), self.leaves_at_once(plan));
        let visible = course.schedule.visible();
        // Half a unary body is not readable at all, nor is a call without its end.
        let unreadable = broken && !self.ask.streams || at_once && (broken || course.limit.is_some());
        let twice = match course.quirk {
            Some(Quirk::Twice(index)) if !at_once || index + 1 == visible => Some(index),
            _ => None,
        };
        Work {
            whole: match course.limit {
                _ if broken => Finish::Fault,
                None => Finish::Stop,
                Some(Limit::MaxTokens) => Finish::Length,
                Some(Limit::Filter) => Finish::Filtered,
            },
            hands_over: if unreadable { 0 } else { visible },
            twice,
            schedule: course.schedule.clone(),
            begins: self.ask.begins,
            terms: Terms {
                price: model.price,
                on_disconnect: plan.on_disconnect,
                bill_broken: plan.bill_broken,
                bill_empty_refusals: plan.dialect != Dialect::Anthropic,
            },
        }
    }
}
