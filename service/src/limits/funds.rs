//! What one request has set aside: enough for the attempt at hand, charged with what that attempt used.
//!
//! An attempt that nobody bills leaves its share to the next one; after one that somebody bills the next has to be paid for
//! anew. Settled however an attempt ends, because a charge is settled when it is dropped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::gate::{Limit, Limited, take};
use super::keeper::{Held, Keeper};
use super::{Claim, Demand, Rule};
use crate::resilience::deadline::Phase;
use crate::settings::{Prices, cost};
use crate::sync::lock;
use crate::telemetry::conventions::span;
use crate::telemetry::{Metrics, Trace};
use crate::upstream::{AttemptFailure, Call, Prompt, Usage, estimate};

/// How much one attempt can come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Tokens of the prompt, as a guess.
    likely: u64,
    /// Tokens of the prompt, at most.
    most: u64,
    max_tokens: u32,
}

impl Size {
    pub(super) fn of(prompt: &Prompt) -> Self {
        Self::with(prompt.bytes(), prompt.messages.len(), prompt)
    }

    /// Of a call, the beginning of whose answer may be sent along.
    fn of_call(call: &Call) -> Self {
        let begun = call.begun.text.len();
        let more = usize::from(begun > 0);
        Self::with(
            call.prompt.bytes() + begun,
            call.prompt.messages.len() + more,
            &call.prompt,
        )
    }

    fn with(bytes: usize, messages: usize, prompt: &Prompt) -> Self {
        Self {
            likely: estimate::ample(bytes),
            most: estimate::at_most(bytes, messages),
            max_tokens: prompt.max_tokens.unwrap_or(estimate::LONGEST_ANSWER),
        }
    }

    /// What it takes from a rate.
    fn tokens(self) -> u64 {
        self.likely + u64::from(self.max_tokens)
    }

    /// What it takes from a budget at these prices.
    pub(super) fn micro_dollars(self, prices: Prices) -> u64 {
        cost(prices, self.most, self.max_tokens.into()).micros()
    }

    /// Whether what was set aside for this one is enough for `other`.
    const fn covers(self, other: Self) -> bool {
        self.most >= other.most && self.max_tokens >= other.max_tokens
    }
}

/// What is asked for, and by which limits.
#[derive(Debug)]
pub(super) struct Want {
    /// Claim by claim.
    pub(super) limits: Vec<Limit>,
    pub(super) demand: Arc<Demand>,
}

/// The limits that a request meets, and how.
pub(super) struct Terms {
    /// Each with its account.
    pub(super) rules: Vec<(Limit, String, Rule)>,
    /// Of whoever may be asked.
    pub(super) prices: Vec<Prices>,
    pub(super) patience: Duration,
    pub(super) lapse: Duration,
}

impl Terms {
    /// The prices of whoever is the dearest for an attempt of this size.
    fn dearest(&self, size: Size) -> Prices {
        let all = self.prices.iter().copied();
        all.max_by_key(|prices| size.micro_dollars(*prices)).unwrap_or_default()
    }

    /// What an attempt of this size asks for. A request counts once, however many attempts it takes.
    fn want(&self, size: Size, is_first: bool) -> Arc<Want> {
        let is_wanted = |limit: Limit| is_first || limit != Limit::ServiceRequests;
        let wanted = self.rules.iter().filter(|(limit, ..)| is_wanted(*limit));
        let (limits, claims) = wanted
            .map(|(limit, account, rule)| {
                let amount = match (rule, limit) {
                    (Rule::Budget(_), _) => size.micro_dollars(self.dearest(size)),
                    (Rule::Rate(_), Limit::ServiceRequests | Limit::KeyRequests) => 1,
                    (Rule::Rate(_), _) => size.tokens(),
                };
                let (account, rule) = (account.clone(), *rule);
                (*limit, Claim { account, rule, amount })
            })
            .unzip();
        let demand = Arc::new(Demand {
            claims,
            patience: self.patience,
            lapse: Some(self.lapse),
        });
        Arc::new(Want { limits, demand })
    }
}

/// What was granted.
#[derive(Debug)]
struct Grant {
    want: Arc<Want>,
    held: Held,
    size: Size,
    /// Whether a provider was asked on its account.
    is_begun: bool,
}

/// The funds of one request; without limits, none are needed. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Funds(Option<Arc<Open>>);

struct Open {
    keeper: Keeper,
    metrics: Metrics,
    terms: Terms,
    /// How long its turn is away, until that was waited for.
    turn: Duration,
    /// What no attempt uses at the moment.
    idle: Mutex<Option<Grant>>,
    /// Nobody kept count when the request began: its attempts are not counted either.
    is_unlimited: bool,
}

impl Funds {
    /// The funds of a request whose first attempt is of `size`: set aside. Its turn is yet to be waited for.
    pub(super) async fn open(
        keeper: Keeper,
        metrics: Metrics,
        terms: Terms,
        size: Size,
        trace: &Trace,
    ) -> Result<Self, Limited> {
        let want = terms.want(size, true);
        let taken = take(&keeper, &metrics, &want, Some(trace)).await?;
        let after = taken.as_ref().map_or(Duration::ZERO, |(_, after)| *after);
        let is_unlimited = taken.is_none();
        let grant = taken.map(|(held, _)| Grant {
            want,
            held,
            size,
            is_begun: false,
        });
        Ok(Self(Some(Arc::new(Open {
            keeper,
            metrics,
            terms,
            turn: after,
            idle: Mutex::new(grant),
            is_unlimited,
        }))))
    }

    /// The wait for the turn of what is set aside, where there is one. Whoever leaves in it gives everything back.
    pub(crate) fn turn(&self, trace: &Trace) -> Option<impl Future<Output = ()> + Send + use<>> {
        let open = self.0.as_ref().filter(|open| !open.turn.is_zero())?;
        let (open, trace) = (Arc::clone(open), trace.clone());
        Some(async move { wait(&open.keeper, &trace, open.turn).await })
    }

    /// Pays for one attempt of `call` at a provider with these prices.
    pub(crate) async fn attempt(&self, call: &Call, prices: Option<Prices>) -> Result<Charge, AttemptFailure> {
        let Some(open) = self.0.as_ref().filter(|open| !open.is_unlimited) else {
            return Ok(Charge(None));
        };
        let Some((grant, after)) = open.grant(Size::of_call(call), &call.trace).await? else {
            return Ok(Charge(None));
        };
        let charge = Charge(Some(Paying {
            open: Arc::clone(open),
            prices: prices.unwrap_or_else(|| open.terms.dearest(grant.size)),
            grant: Some(grant),
            bill: Bill::Nothing,
        }));
        let turn = wait(&open.keeper, &call.trace, after);
        call.deadline.within(Phase::Total, turn).await?;
        Ok(charge)
    }
}

impl Open {
    /// What an attempt of `size` is paid with, and how long to wait for its turn: what lies idle, if it is enough.
    async fn grant(&self, size: Size, trace: &Trace) -> Result<Option<(Grant, Duration)>, Limited> {
        let idle = lock(&self.idle).take();
        if let Some(grant) = idle {
            if grant.size.covers(size) {
                return Ok(Some((grant, Duration::ZERO)));
            }
            self.give_back(&grant);
        }
        let want = self.terms.want(size, false);
        let taken = take(&self.keeper, &self.metrics, &want, Some(trace)).await?;
        Ok(taken.map(|(held, after)| {
            let is_begun = false;
            (
                Grant {
                    want,
                    held,
                    size,
                    is_begun,
                },
                after,
            )
        }))
    }

    fn give_back(&self, grant: &Grant) {
        let used = with_requests(&grant.want, vec![0; grant.want.limits.len()], grant.is_begun);
        self.keeper.settle(&grant.held, &grant.want.demand, used);
    }
}

/// Waits for the turn of what was granted.
async fn wait(keeper: &Keeper, trace: &Trace, after: Duration) {
    if !after.is_zero() {
        let _waiting = trace.span(span::WAIT_RATE_LIMIT);
        keeper.clock().sleep(after).await;
    }
}

/// What one attempt costs, as far as is known. Settled when it is dropped.
pub(crate) struct Charge(Option<Paying>);

struct Paying {
    open: Arc<Open>,
    grant: Option<Grant>,
    prices: Prices,
    bill: Bill,
}

/// What is known of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bill {
    /// There is none.
    Nothing,
    /// The provider has been asked, and nobody knows what it made of that.
    Unknown,
    /// So many tokens came at most before the provider broke off.
    Came(u64),
    /// The provider said what it used.
    Used(Usage),
}

impl Charge {
    /// From here on somebody else may bill for the attempt, whether or not anybody waits for it.
    pub(crate) const fn begin(&mut self) {
        if let Some(paying) = &mut self.0 {
            paying.bill = Bill::Unknown;
            if let Some(grant) = &mut paying.grant {
                grant.is_begun = true;
            }
        }
    }

    /// This is what was used.
    pub(crate) const fn used(&mut self, usage: Usage) {
        self.is(Bill::Used(usage));
    }

    /// The provider did not begin an answer.
    pub(crate) const fn unused(&mut self) {
        self.is(Bill::Nothing);
    }

    /// The provider broke off after so many tokens at most.
    pub(crate) const fn came(&mut self, tokens: u64) {
        self.is(Bill::Came(tokens));
    }

    const fn is(&mut self, bill: Bill) {
        if let Some(paying) = &mut self.0 {
            paying.bill = bill;
        }
    }
}

impl Paying {
    /// What is used of each claim of `want`.
    fn used(&self, Grant { want, size, .. }: &Grant) -> Vec<u64> {
        let tokens = match self.bill {
            Bill::Nothing => Some((0, 0)),
            Bill::Unknown => None,
            // No more than it was asked for.
            Bill::Came(tokens) => Some((size.likely, tokens.min(size.max_tokens.into()))),
            Bill::Used(usage) => Some((usage.prompt_tokens, usage.completion_tokens)),
        };
        let claims = want.limits.iter().zip(&want.demand.claims);
        let used = claims.map(|(_, claim)| match (claim.rule, tokens) {
            (_, None) => claim.amount,
            (Rule::Budget(_), Some((prompt, completion))) => cost(self.prices, prompt, completion).micros(),
            (Rule::Rate(_), Some((prompt, completion))) => prompt.saturating_add(completion),
        });
        with_requests(want, used.collect(), true)
    }
}

/// `used`, with one request where requests are counted and one was made.
fn with_requests(want: &Want, mut used: Vec<u64>, is_begun: bool) -> Vec<u64> {
    for (used, limit) in used.iter_mut().zip(&want.limits) {
        if matches!(limit, Limit::ServiceRequests | Limit::KeyRequests) {
            *used = u64::from(is_begun);
        }
    }
    used
}

impl Drop for Paying {
    fn drop(&mut self) {
        let Some(grant) = self.grant.take() else { return };
        if self.bill == Bill::Nothing {
            let mut idle = lock(&self.open.idle);
            if idle.is_none() {
                *idle = Some(grant);
                return;
            }
        }
        let used = self.used(&grant);
        self.open.keeper.settle(&grant.held, &grant.want.demand, used);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(grant) = lock(&self.idle).take() {
            self.give_back(&grant);
        }
    }
}
