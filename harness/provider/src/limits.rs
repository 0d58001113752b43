//! Rate limits: token buckets per API key and model family, exact to the microsecond.
//!
//! Pure: the caller brings the time. Admission charges a request's prompt and its whole `max_tokens`; what was not
//! generated comes back when the attempt ends. A refund is an entry with a time, applied when that time has passed, so
//! an engine that can't wait settles like one that can. A refusal costs nothing.

mod account;
mod bucket;

use std::collections::BTreeMap;

use brownout_scenario::plan::RateLimits;
use brownout_scenario::units::Micros;

use account::Account;

/// Pairs of key and family with buckets of their own; all further ones share one set, so that made-up keys can't fill
/// the memory.
pub(crate) const MAX_ACCOUNTS: usize = 4_096;

/// Whose buckets: models of a family share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner<'a> {
    /// The API key.
    pub(crate) key: &'a str,
    /// The family of the model asked for.
    pub(crate) family: &'a str,
}

/// What a request costs, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Of the prompt, not read from the provider's cache.
    pub(crate) input: u64,
    /// Of the whole prompt.
    pub(crate) prompt: u64,
    /// The most that the answer may have.
    pub(crate) max_tokens: u64,
}

impl Cost {
    /// What it takes from a bucket of this kind.
    fn of(self, kind: LimitKind) -> u64 {
        match kind {
            LimitKind::Requests => 1,
            LimitKind::Tokens => self.prompt.saturating_add(self.max_tokens),
            LimitKind::InputTokens => self.input,
            LimitKind::OutputTokens => self.max_tokens,
        }
    }
}

/// Where a bucket stands, as the headers tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gauge {
    /// Allowance per minute.
    pub(crate) limit: u64,
    /// Whole units that would be admitted now.
    pub(crate) remaining: u64,
    /// Until the bucket is full.
    pub(crate) reset: Micros,
}

/// Where an owner stands; without a limit there is no gauge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its requests.
    pub(crate) requests: Option<Gauge>,
    /// Its tokens, prompt and answer together.
    pub(crate) tokens: Option<Gauge>,
    /// Its prompt tokens.
    pub(crate) input_tokens: Option<Gauge>,
    /// Its answer tokens.
    pub(crate) output_tokens: Option<Gauge>,
}

/// Which limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitKind {
    /// Requests per minute.
    Requests,
    /// Prompt and answer tokens per minute together.
    Tokens,
    /// Prompt tokens per minute, those read from the cache left out.
    InputTokens,
    /// Answer tokens per minute.
    OutputTokens,
}

impl LimitKind {
    /// All of them, in the order of their numbers.
    const ALL: [Self; 4] = [Self::Requests, Self::Tokens, Self::InputTokens, Self::OutputTokens];

    /// Whether tokens that were not generated come back to a bucket of this kind.
    const fn counts_answers(self) -> bool {
        matches!(self, Self::Tokens | Self::OutputTokens)
    }
}

/// A refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Which limit.
    pub(crate) kind: LimitKind,
    /// Its allowance per minute; for a request that can never fit, the size of the bucket.
    pub(crate) limit: u64,
    /// Of it, spent.
    pub(crate) used: u64,
    /// What the request would cost.
    pub(crate) requested: u64,
    /// How long until the same request is admitted, if nobody else comes; `None` when it never can be.
    pub(crate) wait: Option<Micros>,
}

/// A refund to come: answer tokens that return to an owner at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refund {
    /// The key that was charged.
    pub(crate) key: String,
    /// The family that was charged.
    pub(crate) family: String,
    /// Unique per attempt.
    pub(crate) ticket: u64,
    /// When the attempt ends.
    pub(crate) at: Micros,
    /// What of its `max_tokens` it will not have used.
    pub(crate) tokens: u64,
}

impl Refund {
    fn owner(&self) -> Owner<'_> {
        Owner {
            key: &self.key,
            family: &self.family,
        }
    }
}

/// All owners at one provider.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: RateLimits,
    accounts: BTreeMap<(String, String), Account>,
}

impl Limiter {
    /// Full buckets for every owner to come.
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            accounts: BTreeMap::new(),
        }
    }

    /// Charges one request, or says why not. All buckets are charged or none.
    pub(crate) fn admit(&mut self, owner: Owner<'_>, now: Micros, cost: Cost) -> Result<(), Refused> {
        self.account(owner, now).admit(cost)
    }

    /// Notes a refund.
    pub(crate) fn promise(&mut self, refund: &Refund, now: Micros) {
        let account = self.account(refund.owner(), now);
        account.promise(refund.at, refund.ticket, refund.tokens);
        account.advance(now);
    }

    /// Replaces a refund that has not been applied yet: the attempt ended otherwise than expected.
    pub(crate) fn revise(&mut self, old: &Refund, at: Micros, tokens: u64, now: Micros) {
        let account = self.account(old.owner(), now);
        if account.withdraw(old.at, old.ticket) {
            account.promise(at, old.ticket, tokens);
            account.advance(now);
        }
    }

    /// Where `owner` stands.
    pub(crate) fn standing(&mut self, owner: Owner<'_>, now: Micros) -> Standing {
        let account = self.account(owner, now);
        Standing {
            requests: account.gauge(LimitKind::Requests),
            tokens: account.gauge(LimitKind::Tokens),
            input_tokens: account.gauge(LimitKind::InputTokens),
            output_tokens: account.gauge(LimitKind::OutputTokens),
        }
    }

    /// The owner's account, brought up to `now`.
    fn account(&mut self, owner: Owner<'_>, now: Micros) -> &mut Account {
        let mut name = (owner.key.to_owned(), owner.family.to_owned());
        if self.accounts.len() >= MAX_ACCOUNTS && !self.accounts.contains_key(&name) {
            name = (String::new(), String::new());
        }
        let limits = &self.limits;
        let account = self.accounts.entry(name).or_insert_with(|| Account::new(limits, now));
        account.advance(now);
        account
    }
}

#[cfg(test)]
mod tests;
