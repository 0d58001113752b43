//! Where every key stands: its bucket, its requests under way, its money. In the memory of this instance.
//!
//! One entry for each key of the settings and none for any other, so what strangers send costs no memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Caller;
use super::budget::{Budget, SetAside};
use super::limit::Bucket;
use crate::clock::Clock;
use crate::error::Error;
use crate::settings::{KeySettings, Price, ProviderSettings, Settings, Usd};
use crate::sync::lock;
use crate::upstream::{Usage, estimate};

/// Tokens that a request with a budget asks for when it does not say: what is set aside has to have a bound, and the model
/// has to be told of it.
const TOKENS: u32 = 4096;

/// Where all keys stand.
pub(super) struct Standings {
    keys: BTreeMap<String, Arc<Standing>>,
    /// Of a prompt's tokens and an answer's, at the dearest provider.
    prices: (Price, Price),
    clock: Clock,
}

/// Where one key stands.
struct Standing {
    concurrent: Option<u32>,
    state: Mutex<State>,
}

struct State {
    bucket: Option<Bucket>,
    budget: Option<Budget>,
    under_way: u32,
}

impl Standings {
    /// Everything full.
    pub(super) fn new(settings: &Settings, clock: Clock) -> Self {
        let standing = |key: &KeySettings| {
            let state = State {
                bucket: key
                    .requests_per_minute
                    .map(|rate| Bucket::full(rate, clock.now_unix_us())),
                budget: key.budget.map(|limit| Budget::new(limit, key.budget_window)),
                under_way: 0,
            };
            let standing = Standing {
                concurrent: key.concurrent,
                state: Mutex::new(state),
            };
            (key.name.clone(), Arc::new(standing))
        };
        let dearest = |price: fn(&ProviderSettings) -> Option<Price>| {
            settings.providers.iter().filter_map(price).max().unwrap_or_default()
        };
        Self {
            keys: settings.keys.iter().map(standing).collect(),
            prices: (dearest(|of| of.prompt_price), dearest(|of| of.completion_price)),
            clock,
        }
    }

    /// Counts a request in, unless the key has used up what it may.
    pub(super) fn admit(&self, caller: &Caller) -> Result<Permit, Error> {
        let Some(standing) = self.keys.get(&caller.name) else {
            return Err(Error::Unauthenticated);
        };
        let mut state = lock(&standing.state);
        if standing.concurrent.is_some_and(|most| state.under_way >= most) {
            return Err(Error::TooManyAtOnce);
        }
        if let Some(bucket) = &mut state.bucket {
            let taken = bucket.take(self.clock.now_unix_us());
            taken.map_err(|retry_after| Error::KeyRateLimited { retry_after })?;
        }
        state.under_way += 1;
        Ok(Permit(Arc::clone(standing)))
    }

    /// See [`super::Access::reserve`].
    pub(super) fn reserve(
        &self,
        caller: &Caller,
        prompt_bytes: usize,
        max_tokens: Option<u32>,
    ) -> Result<Reservation, Error> {
        let Some(standing) = self.keys.get(&caller.name) else {
            return Ok(Reservation(None));
        };
        let mut state = lock(&standing.state);
        let Some(budget) = &mut state.budget else {
            return Ok(Reservation(None));
        };
        let max_tokens = max_tokens.unwrap_or(TOKENS);
        let most = Usage {
            prompt_tokens: estimate::at_most(prompt_bytes),
            completion_tokens: u64::from(max_tokens),
        };
        let aside = budget
            .reserve(self.clock.now_unix_us(), cost(self.prices, most))
            .map_err(|exhausted| Error::BudgetExhausted {
                full_in: exhausted.full_in,
            })?;
        drop(state);
        Ok(Reservation(Some(Reserved {
            standing: Arc::clone(standing),
            aside,
            actual: Usd::default(),
            prices: self.prices,
            clock: self.clock,
            max_tokens,
        })))
    }
}

/// Rounded up: a fraction of a micro-dollar is one.
fn cost((prompt, completion): (Price, Price), usage: Usage) -> Usd {
    let nanos = prompt
        .nanos_for(usage.prompt_tokens)
        .saturating_add(completion.nanos_for(usage.completion_tokens));
    Usd::from_micros(nanos.div_ceil(1000))
}

/// A request that was let in. Counted out when it is dropped.
pub(super) struct Permit(Arc<Standing>);

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.0.state).under_way -= 1;
    }
}

/// Money that is set aside for a request, where the key has a budget. Settled when it is dropped, with what is known by
/// then: nothing before the model is asked, all of it while the model works or when nobody knows what it used.
pub(crate) struct Reservation(Option<Reserved>);

struct Reserved {
    standing: Arc<Standing>,
    aside: SetAside,
    actual: Usd,
    prices: (Price, Price),
    clock: Clock,
    max_tokens: u32,
}

impl Reservation {
    /// The bound that the answer needs for the money to suffice, where it does not have one.
    pub(crate) fn max_tokens(&self) -> Option<u32> {
        self.0.as_ref().map(|reserved| reserved.max_tokens)
    }

    /// From here on somebody else may bill for the request, whether or not anybody waits for the answer.
    pub(crate) fn at_stake(&mut self) {
        if let Some(reserved) = &mut self.0 {
            reserved.actual = reserved.aside.amount();
        }
    }

    /// This is what was used.
    pub(crate) fn used(&mut self, usage: Usage) {
        if let Some(reserved) = &mut self.0 {
            reserved.actual = cost(reserved.prices, usage);
        }
    }

    /// No provider has begun an answer.
    pub(crate) fn unused(&mut self) {
        if let Some(reserved) = &mut self.0 {
            reserved.actual = Usd::default();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(budget) = &mut lock(&self.standing.state).budget {
            budget.settle(self.clock.now_unix_us(), &self.aside, self.actual);
        }
    }
}
