//! What one request has set aside: enough for the attempt at hand, charged with what that attempt used.
//!
//! An attempt that nobody bills leaves its share to the next one; after one that somebody bills the next has to be paid for
//! anew. Settled however an attempt ends, because a charge is settled when it is dropped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::gate::{Limit, take};
use super::keeper::{Held, Keeper};
use super::{Demand, Rule};
use crate::resilience::deadline::{Deadline, Phase};
use crate::settings::Price;
use crate::sync::lock;
use crate::telemetry::conventions::span;
use crate::telemetry::{Metrics, Trace};
use crate::upstream::{AttemptFailure, Prompt, Usage, estimate};

/// Tokens that a request with a limit on tokens or money asks for when it does not say: what is set aside has to have a
/// bound, and the model has to be told of it.
const TOKENS: u32 = 4096;
/// Tokens that the form of a message adds to its text, at most.
const FORM_OF_MESSAGE: u64 = 16;

/// The most that one attempt can cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tab {
    /// Tokens of the prompt, as a guess.
    likely: u64,
    /// Tokens of the prompt, at most.
    most: u64,
    max_tokens: u32,
    prices: (Price, Price),
}

impl Tab {
    pub(super) fn of(prompt: &Prompt, prices: (Price, Price)) -> Self {
        let form = FORM_OF_MESSAGE * prompt.messages.len() as u64;
        Self {
            likely: estimate::ample(prompt.bytes()),
            most: estimate::at_most(prompt.bytes()) + form,
            max_tokens: prompt.max_tokens.unwrap_or(TOKENS),
            prices,
        }
    }

    /// What it takes from a rate.
    pub(super) fn tokens(&self) -> u64 {
        self.likely + u64::from(self.max_tokens)
    }

    /// What it takes from a budget.
    pub(super) fn micro_dollars(&self) -> u64 {
        cost(self.prices, self.most, self.max_tokens.into())
    }
}

/// In micro-dollars, rounded up: a fraction of one is one.
fn cost((prompt, completion): (Price, Price), prompt_tokens: u64, completion_tokens: u64) -> u64 {
    let nanos = prompt
        .nanos_for(prompt_tokens)
        .saturating_add(completion.nanos_for(completion_tokens));
    nanos.div_ceil(1000)
}

/// What is asked for, and by which limits.
#[derive(Debug)]
pub(super) struct Want {
    /// Claim by claim.
    pub(super) limits: Vec<Limit>,
    pub(super) demand: Arc<Demand>,
}

/// What was granted.
#[derive(Debug)]
struct Grant {
    want: Arc<Want>,
    held: Held,
    /// Whether a provider was asked on its account.
    is_begun: bool,
}

/// The funds of one request; without limits, none are needed. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Funds(Option<Arc<Open>>);

struct Open {
    keeper: Keeper,
    metrics: Metrics,
    tab: Tab,
    /// What every further attempt asks for.
    again: Arc<Want>,
    /// What no attempt uses at the moment.
    idle: Mutex<Option<Grant>>,
    /// Nobody kept count when the request began: its attempts are not counted either.
    is_unlimited: bool,
}

impl Funds {
    /// The funds of a request whose first attempt is paid for with `first`.
    pub(super) fn open(
        keeper: Keeper,
        metrics: Metrics,
        tab: Tab,
        first: Option<(Arc<Want>, Held)>,
        again: Arc<Want>,
    ) -> Self {
        let is_unlimited = first.is_none();
        let grant = |(want, held)| Grant {
            want,
            held,
            is_begun: false,
        };
        Self(Some(Arc::new(Open {
            keeper,
            metrics,
            tab,
            again,
            idle: Mutex::new(first.map(grant)),
            is_unlimited,
        })))
    }

    /// The bound that the answer needs for what is set aside to suffice, where it does not have one.
    pub(crate) fn max_tokens(&self) -> Option<u32> {
        self.0.as_ref().map(|open| open.tab.max_tokens)
    }

    /// Pays for one attempt at a provider with these prices.
    pub(crate) async fn attempt(
        &self,
        trace: &Trace,
        deadline: &Deadline,
        prices: Option<(Price, Price)>,
    ) -> Result<Charge, AttemptFailure> {
        let Some(open) = self.0.as_ref().filter(|open| !open.is_unlimited) else {
            return Ok(Charge(None));
        };
        let idle = lock(&open.idle).take();
        let (grant, after) = match idle {
            Some(grant) => (grant, Duration::ZERO),
            None => match take(&open.keeper, &open.metrics, &open.again).await? {
                None => return Ok(Charge(None)),
                Some((held, after)) => {
                    let (want, is_begun) = (Arc::clone(&open.again), false);
                    (Grant { want, held, is_begun }, after)
                }
            },
        };
        let charge = Charge(Some(Paying {
            open: Arc::clone(open),
            grant: Some(grant),
            prices: prices.unwrap_or(open.tab.prices),
            bill: Bill::Nothing,
        }));
        deadline.within(Phase::Total, wait(&open.keeper, trace, after)).await?;
        Ok(charge)
    }
}

/// Waits for the turn of what was granted.
pub(super) async fn wait(keeper: &Keeper, trace: &Trace, after: Duration) {
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
    prices: (Price, Price),
    bill: Bill,
}

/// What is known of a bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bill {
    /// There is none.
    Nothing,
    /// The provider has been asked, and nobody knows what it made of that.
    Unknown,
    /// So many pieces came before the provider broke off.
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

    /// The provider broke off after so many pieces.
    pub(crate) const fn came(&mut self, pieces: u64) {
        self.is(Bill::Came(pieces));
    }

    const fn is(&mut self, bill: Bill) {
        if let Some(paying) = &mut self.0 {
            paying.bill = bill;
        }
    }
}

impl Paying {
    /// What is used of each claim of `want`.
    fn used(&self, want: &Want) -> Vec<u64> {
        let tab = &self.open.tab;
        let tokens = match self.bill {
            Bill::Nothing => Some((0, 0)),
            Bill::Unknown => None,
            Bill::Came(pieces) => Some((tab.likely, pieces)),
            Bill::Used(usage) => Some((usage.prompt_tokens, usage.completion_tokens)),
        };
        let claims = want.limits.iter().zip(&want.demand.claims);
        let used = claims.map(|(_, claim)| match (claim.rule, tokens) {
            (_, None) => claim.amount,
            (Rule::Budget(_), Some((prompt, completion))) => cost(self.prices, prompt, completion),
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
        let used = self.used(&grant.want);
        self.open.keeper.settle(&grant.held, &grant.want.demand, used);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(grant) = lock(&self.idle).take() {
            let used = with_requests(&grant.want, vec![0; grant.want.limits.len()], grant.is_begun);
            self.keeper.settle(&grant.held, &grant.want.demand, used);
        }
    }
}
