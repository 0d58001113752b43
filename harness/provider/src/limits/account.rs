//! One owner's account: a bucket of each kind that is limited, and the refunds under way to them.
//!
//! It knows neither its owner nor the other accounts.

use std::collections::BTreeMap;

use brownout_scenario::plan::RateLimits;
use brownout_scenario::units::Micros;

use super::bucket::Bucket;
use super::{Cost, Gauge, LimitKind, Refused};

/// An account.
#[derive(Debug)]
pub(super) struct Account {
    /// In the order of [`LimitKind::ALL`].
    buckets: [Option<Bucket>; 4],
    /// By time, then by ticket.
    refunds: BTreeMap<(Micros, u64), u64>,
}

impl Account {
    /// Full buckets.
    pub(super) fn new(limits: &RateLimits, now: Micros) -> Self {
        let buckets = LimitKind::ALL.map(|kind| {
            let per_minute = match kind {
                LimitKind::Requests => limits.requests_per_minute,
                LimitKind::Tokens => limits.tokens_per_minute,
                LimitKind::InputTokens => limits.input_tokens_per_minute,
                LimitKind::OutputTokens => limits.output_tokens_per_minute,
            };
            per_minute.map(|rate| Bucket::full(rate, limits.burst, now))
        });
        Self {
            buckets,
            refunds: BTreeMap::new(),
        }
    }

    /// Brings all buckets up to `now`, refunds in the order of their times.
    pub(super) fn advance(&mut self, now: Micros) {
        while let Some(next) = self.refunds.first_entry().filter(|next| next.key().0 <= now) {
            let ((at, _), tokens) = next.remove_entry();
            for (kind, bucket) in self.limited() {
                if kind.counts_answers() {
                    bucket.refill(at);
                    bucket.put_back(tokens);
                }
            }
        }
        for (_, bucket) in self.limited() {
            bucket.refill(now);
        }
    }

    /// Takes from all buckets or from none; the refusal names the one with the longest wait.
    pub(super) fn admit(&mut self, cost: Cost) -> Result<(), Refused> {
        let refusals = self
            .limited()
            .filter_map(|(kind, bucket)| bucket.refusal(kind, cost.of(kind)));
        if let Some(refused) = refusals.max_by_key(|refused| refused.wait.unwrap_or(Micros(u64::MAX))) {
            return Err(refused);
        }
        for (kind, bucket) in self.limited() {
            bucket.take(cost.of(kind));
        }
        Ok(())
    }

    /// Notes that `tokens` come back at `at`.
    pub(super) fn promise(&mut self, at: Micros, ticket: u64, tokens: u64) {
        self.refunds.insert((at, ticket), tokens);
    }

    /// Takes a promise back; false if it has been kept already.
    pub(super) fn withdraw(&mut self, at: Micros, ticket: u64) -> bool {
        self.refunds.remove(&(at, ticket)).is_some()
    }

    /// Where the bucket of a kind stands.
    pub(super) fn gauge(&self, kind: LimitKind) -> Option<Gauge> {
        self.buckets[kind as usize].as_ref().map(Bucket::gauge)
    }

    fn limited(&mut self) -> impl Iterator<Item = (LimitKind, &mut Bucket)> {
        let kinds = LimitKind::ALL.into_iter().zip(&mut self.buckets);
        kinds.filter_map(|(kind, bucket)| Some((kind, bucket.as_mut()?)))
    }
}
