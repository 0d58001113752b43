//! Limits and budgets: how many requests and tokens there may be in a minute, and how much money in a window.
//!
//! - `rate`: a token bucket over requests or tokens. `budget`: money, set aside and settled. Both pure.
//! - `book`: all accounts and what is set aside in them, all or nothing. Pure.
//! - `memory`, `redis`: the book in one process's memory, and on a server that processes share, one script a step.
//! - `keeper`: the store that is asked, and what is done when it does not answer: a policy, for a while, told once.
//! - `funds`: what one request has set aside, attempt by attempt. `gate`: which limits a request meets, and when.
//!
//! What is charged is what a provider reports at that provider's prices. Who hung up on it does not know what it went on
//! to do, and is charged what was set aside. Not here: requests at a time, which are each instance's own (`access`, and
//! [`crate::resilience::shed`]).

mod book;
mod budget;
#[cfg(test)]
mod conformance;
mod funds;
mod gate;
mod keeper;
mod memory;
mod rate;
mod redis;

use std::time::Duration;

use async_trait::async_trait;

pub use self::budget::Allowance;
pub(crate) use self::funds::{Charge, Funds};
pub(crate) use self::gate::Limits;
pub use self::gate::{Limit, Limited};
pub(crate) use self::keeper::Keeper;
pub use self::memory::MemoryLimits;
pub use self::rate::Rate;
pub use self::redis::RedisLimits;

/// Parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// Whose limits they are: this instance's, or those of all that reach the store.
    pub store: LimitStorage,
    /// Requests of all callers together that are admitted in a minute; absent: as many as come.
    pub requests_per_minute: Option<u32>,
    /// Tokens of all callers together that are admitted in a minute; absent: as many as come.
    pub tokens_per_minute: Option<u32>,
    /// How much of its rate a bucket can hold, as the time in which that comes in.
    pub burst: Duration,
    /// How long a request may wait until it fits into the rates.
    pub wait: Duration,
    /// What is done while the store does not answer.
    pub when_down: WhenDown,
    /// Longest wait for the store.
    pub timeout: Duration,
    /// How long a store that did not answer is not asked again.
    pub ask_again: Duration,
    /// After how long what was set aside and never settled counts as spent.
    pub lapse: Duration,
}

/// Whose limits they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitStorage {
    /// Each instance's own.
    Memory,
    /// Those of all instances that share the store.
    Shared,
}

/// What is done while the store does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDown {
    /// Each instance keeps the limits for itself.
    Local,
    /// All that has a limit gets through.
    Open,
    /// Nothing that has a limit gets through.
    Closed,
}

/// Keeps accounts for whoever shares it. Every step is one step: of two that come at once one comes first.
#[async_trait]
pub trait LimitStore: Send + Sync {
    /// Takes what `demand` asks for out of all its accounts, or out of none.
    async fn reserve(&self, demand: &Demand, now_us: u64) -> Result<Verdict, LimitStoreError>;

    /// Of what `demand` took under `id`, so much was used, claim by claim. Settling twice changes nothing.
    async fn settle(&self, id: u64, demand: &Demand, used: &[u64], now_us: u64) -> Result<(), LimitStoreError>;

    /// How much of a budget is neither spent nor set aside, in micro-dollars.
    async fn left(&self, account: &str, rule: Allowance, now_us: u64) -> Result<u64, LimitStoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), LimitStoreError>;
}

/// What is asked of several accounts at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// What, and of whom.
    pub claims: Vec<Claim>,
    /// How long it can wait until it fits into the rates.
    pub patience: Duration,
    /// After how long it counts as used when nobody settles it. Absent: it is used as soon as it is granted.
    pub lapse: Option<Duration>,
}

/// What is asked of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its name: few, and none of them a caller's choice.
    pub account: String,
    /// What it admits.
    pub rule: Rule,
    /// Requests, tokens or micro-dollars, as the rule counts.
    pub amount: u64,
}

/// What an account admits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// So much a minute.
    Rate(Rate),
    /// So much a window.
    Budget(Allowance),
}

/// What came of a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken out of all its accounts.
    Granted {
        /// What to settle it by.
        id: u64,
        /// How long to wait before it may be used.
        after: Duration,
    },
    /// Nothing was taken.
    Refused {
        /// The claim that would fit last, by its place in the demand.
        claim: usize,
        /// When it fits, if nobody else comes; `None` if it never does.
        wait: Option<Duration>,
    },
}

/// The store did not do it.
#[derive(Debug, thiserror::Error)]
#[error("the store of limits failed: {0}")]
pub struct LimitStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
