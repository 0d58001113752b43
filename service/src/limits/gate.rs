//! Which limits a request meets, and when: requests of its key at the door, the rest when it is about to cost something.
//!
//! One account for each limit of the settings and none for any other, so what strangers send costs no memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::funds::{Funds, Size, Terms, Want};
use super::keeper::{Answer, Held, Keeper};
use super::{Allowance, Claim, Demand, LimitSettings, Rate, Rule};
use crate::access::Caller;
use crate::error::Error;
use crate::resilience::deadline::Deadline;
use crate::routing::Route;
use crate::settings::{KeySettings, Prices, ProviderSettings, Settings, Usd};
use crate::telemetry::conventions::span;
use crate::telemetry::{Metrics, Trace};
use crate::upstream::Prompt;

/// Which limit it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The requests of a key.
    KeyRequests,
    /// The tokens of a key.
    KeyTokens,
    /// The money of a key.
    KeyBudget,
    /// The requests of all callers together.
    ServiceRequests,
    /// The tokens of all callers together.
    ServiceTokens,
}

impl Limit {
    /// Its word in metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KeyRequests => "key_requests",
            Self::KeyTokens => "key_tokens",
            Self::KeyBudget => "key_budget",
            Self::ServiceRequests => "service_requests",
            Self::ServiceTokens => "service_tokens",
        }
    }
}

/// A request that a limit stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limited {
    /// It does not fit now.
    #[error("a limit is used up")]
    UsedUp {
        /// Which.
        limit: Limit,
        /// When it fits.
        fits_in: Duration,
    },
    /// It never fits.
    #[error("a limit is less than what is asked for")]
    TooMuch {
        /// Which.
        limit: Limit,
    },
    /// Nobody knows whether it fits, and the settings say to refuse it then.
    #[error("nobody knows what is left of a limit")]
    Unknown,
}

/// The limits of one instance.
pub(crate) struct Limits {
    keeper: Keeper,
    settings: LimitSettings,
    service: Vec<(Limit, Rate)>,
    keys: BTreeMap<String, KeyLimits>,
    /// What a token of a prompt and one of an answer cost, by provider.
    prices: Vec<Prices>,
    metrics: Metrics,
}

/// The limits of one key.
struct KeyLimits {
    requests: Option<Rate>,
    tokens: Option<Rate>,
    budget: Option<Allowance>,
}

impl Limits {
    pub(crate) fn new(settings: &Settings, keeper: Keeper, metrics: Metrics) -> Self {
        let limits = settings.limits;
        let rate = |per_minute: u32| Rate::new(per_minute, limits.burst);
        let of_key = |key: &KeySettings| {
            let own = KeyLimits {
                requests: key.requests_per_minute.map(rate),
                tokens: key.tokens_per_minute.map(rate),
                budget: key.budget.map(|limit| Allowance::new(limit, key.budget_window)),
            };
            (key.name.clone(), own)
        };
        let service = [
            (Limit::ServiceRequests, limits.requests_per_minute),
            (Limit::ServiceTokens, limits.tokens_per_minute),
        ];
        let prices = |of: &ProviderSettings| {
            (
                of.prompt_price.unwrap_or_default(),
                of.completion_price.unwrap_or_default(),
            )
        };
        Self {
            keeper,
            settings: limits,
            service: service
                .into_iter()
                .filter_map(|(limit, most)| Some((limit, rate(most?))))
                .collect(),
            keys: settings.keys.iter().map(of_key).collect(),
            prices: settings.providers.iter().map(prices).collect(),
            metrics,
        }
    }

    /// Whether the store of shared limits answers; `None` where they are not shared.
    pub(crate) fn is_well(&self) -> Option<bool> {
        self.keeper.is_well()
    }

    /// At the door: one more request of `caller`'s key.
    pub(crate) async fn knock(&self, caller: &Caller) -> Result<(), Error> {
        let Some(rate) = self.keys.get(&caller.name).and_then(|key| key.requests) else {
            return Ok(());
        };
        let want = Want {
            limits: vec![Limit::KeyRequests],
            demand: Arc::new(Demand {
                claims: vec![claim(Limit::KeyRequests, caller, Rule::Rate(rate), 1)],
                patience: Duration::ZERO,
                lapse: None,
            }),
        };
        take(&self.keeper, &self.metrics, &want, None).await?;
        Ok(())
    }

    /// What is left of the budget of `caller`'s key, where it has one, somebody knows, and there is a choice to make.
    pub(crate) async fn purse(&self, caller: &Caller) -> Option<Usd> {
        let budget = self.keys.get(&caller.name)?.budget?;
        if self.prices.len() < 2 {
            return None;
        }
        let left = self.keeper.left(&account(Limit::KeyBudget, caller), budget).await?;
        Some(Usd::from_micros(left))
    }

    /// Whether anything is set aside for `caller`'s calls.
    pub(crate) fn counts(&self, caller: &Caller) -> bool {
        let own = |key: &KeyLimits| key.tokens.is_some() || key.budget.is_some();
        !self.service.is_empty() || self.keys.get(&caller.name).is_some_and(own)
    }

    /// Before it costs anything: sets aside what the first attempt at `prompt` along `route` can cost at most.
    pub(crate) async fn reserve(
        &self,
        caller: &Caller,
        prompt: &Prompt,
        route: &Route,
        trace: &Trace,
        deadline: &Deadline,
    ) -> Result<Funds, Error> {
        if !self.counts(caller) {
            return Ok(Funds::default());
        }
        let key = self.keys.get(&caller.name);
        let (tokens, budget) = (key.and_then(|key| key.tokens), key.and_then(|key| key.budget));
        let along = route.order.iter().filter_map(|place| self.prices.get(*place));
        let own = [
            tokens.map(|rate| (Limit::KeyTokens, Rule::Rate(rate))),
            budget.map(|rule| (Limit::KeyBudget, Rule::Budget(rule))),
        ];
        let service = self.service.iter().map(|(limit, rate)| (*limit, Rule::Rate(*rate)));
        let all = own.into_iter().flatten().chain(service);
        let terms = Terms {
            rules: all.map(|(limit, rule)| (limit, account(limit, caller), rule)).collect(),
            prices: along.copied().collect(),
            patience: deadline.left(self.settings.wait),
            lapse: self.settings.lapse,
        };
        let (keeper, metrics) = (self.keeper.clone(), self.metrics.clone());
        Ok(Funds::open(keeper, metrics, terms, Size::of(prompt), trace).await?)
    }

    /// Whether a request like this could be paid for now, at whichever provider. Nothing stays set aside.
    pub(crate) async fn is_solvent(&self, caller: &Caller, prompt: &Prompt) -> Result<(), Error> {
        let Some(rule) = self.keys.get(&caller.name).and_then(|key| key.budget) else {
            return Ok(());
        };
        let cost = |prices: &Prices| Size::of(prompt).micro_dollars(*prices);
        let amount = self.prices.iter().map(cost).min().unwrap_or_default();
        let want = Want {
            limits: vec![Limit::KeyBudget],
            demand: Arc::new(Demand {
                claims: vec![claim(Limit::KeyBudget, caller, Rule::Budget(rule), amount)],
                patience: Duration::ZERO,
                lapse: Some(self.settings.lapse),
            }),
        };
        if let Some((held, _)) = take(&self.keeper, &self.metrics, &want, None).await? {
            self.keeper.settle(&held, &want.demand, vec![0]);
        }
        Ok(())
    }
}

/// Takes what is wanted; `None` where nobody knows and all get through.
pub(super) async fn take(
    keeper: &Keeper,
    metrics: &Metrics,
    want: &Want,
    trace: Option<&Trace>,
) -> Result<Option<(Held, Duration)>, Limited> {
    let _asking = trace
        .filter(|_| keeper.is_well().is_some())
        .map(|trace| trace.span(span::WAIT_LIMITS));
    let refused = match keeper.reserve(&want.demand).await {
        Answer::Granted(held, after) => return Ok(Some((held, after))),
        Answer::Unlimited => return Ok(None),
        Answer::Refused { claim, wait } => {
            let limit = want.limits[claim];
            wait.map_or(Limited::TooMuch { limit }, |fits_in| Limited::UsedUp { limit, fits_in })
        }
        Answer::Closed => Limited::Unknown,
    };
    metrics.limited(match refused {
        Limited::UsedUp { limit, .. } | Limited::TooMuch { limit } => limit.name(),
        Limited::Unknown => "unknown",
    });
    Err(refused)
}

fn claim(limit: Limit, caller: &Caller, rule: Rule, amount: u64) -> Claim {
    let account = account(limit, caller);
    Claim { account, rule, amount }
}

fn account(limit: Limit, caller: &Caller) -> String {
    match limit {
        Limit::KeyRequests | Limit::KeyTokens | Limit::KeyBudget => format!("{}:{}", limit.name(), caller.name),
        Limit::ServiceRequests | Limit::ServiceTokens => limit.name().to_owned(),
    }
}
