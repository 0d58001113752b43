//! Rate limits: token buckets per API key, exact to the microsecond.
//!
//! Pure: the caller brings the time. Admission charges a request's prompt and its whole `max_tokens`; what was not
//! generated comes back when the attempt ends. A refund is an entry with a time, applied when that time has passed, so
//! an engine that can't wait settles like one that can. A refusal costs nothing.

mod bucket;

use std::collections::BTreeMap;

use brownout_scenario::plan::RateLimits;
use brownout_scenario::units::Micros;

use bucket::Bucket;

/// API keys with buckets of their own; all further keys share one set, so that made-up keys can't fill the memory.
pub(crate) const MAX_KEYS: usize = 4_096;

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

/// Where a key stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Its requests.
    pub(crate) requests: Option<Gauge>,
    /// Its tokens.
    pub(crate) tokens: Option<Gauge>,
}

/// Which limit refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitKind {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
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

/// A refund to come: tokens that return to a key at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refund {
    /// The key that was charged.
    pub(crate) key: String,
    /// Unique per attempt.
    pub(crate) ticket: u64,
    /// When the attempt ends.
    pub(crate) at: Micros,
    /// What it will not have used.
    pub(crate) tokens: u64,
}

/// All keys of one provider.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: RateLimits,
    keys: BTreeMap<String, Account>,
}

impl Limiter {
    /// Full buckets for every key to come.
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            keys: BTreeMap::new(),
        }
    }

    /// Charges one request of `tokens` tokens, or says why not.
    pub(crate) fn admit(&mut self, key: &str, now: Micros, tokens: u64) -> Result<(), Refused> {
        self.account(key, now).admit(tokens)
    }

    /// Notes a refund.
    pub(crate) fn promise(&mut self, refund: &Refund, now: Micros) {
        let account = self.account(&refund.key, now);
        account.refunds.insert((refund.at, refund.ticket), refund.tokens);
        account.advance(now);
    }

    /// Replaces a refund that has not been applied yet: the attempt ended otherwise than expected.
    pub(crate) fn revise(&mut self, old: &Refund, at: Micros, tokens: u64, now: Micros) {
        let account = self.account(&old.key, now);
        if account.refunds.remove(&(old.at, old.ticket)).is_some() {
            account.refunds.insert((at, old.ticket), tokens);
            account.advance(now);
        }
    }

    /// Where `key` stands.
    pub(crate) fn standing(&mut self, key: &str, now: Micros) -> Standing {
        let account = self.account(key, now);
        Standing {
            requests: account.requests.as_ref().map(Bucket::gauge),
            tokens: account.tokens.as_ref().map(Bucket::gauge),
        }
    }

    fn account(&mut self, key: &str, now: Micros) -> &mut Account {
        let known = self.keys.contains_key(key) || self.keys.len() < MAX_KEYS;
        let key = if known { key } else { "" };
        let limits = &self.limits;
        let account = self
            .keys
            .entry(key.to_owned())
            .or_insert_with(|| Account::new(limits, now));
        account.advance(now);
        account
    }
}

/// One key's buckets and the refunds under way to them.
#[derive(Debug)]
struct Account {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    refunds: BTreeMap<(Micros, u64), u64>,
}

impl Account {
    fn new(limits: &RateLimits, now: Micros) -> Self {
        let bucket = |per_minute: Option<u64>| per_minute.map(|rate| Bucket::full(rate, limits.burst, now));
        Self {
            requests: bucket(limits.requests_per_minute),
            tokens: bucket(limits.tokens_per_minute),
            refunds: BTreeMap::new(),
        }
    }

    /// Brings both buckets up to `now`, refunds in the order of their times.
    fn advance(&mut self, now: Micros) {
        while let Some(next) = self.refunds.first_entry().filter(|next| next.key().0 <= now) {
            let ((at, _), tokens) = next.remove_entry();
            if let Some(bucket) = &mut self.tokens {
                bucket.refill(at);
                bucket.put_back(tokens);
            }
        }
        for bucket in self.requests.iter_mut().chain(&mut self.tokens) {
            bucket.refill(now);
        }
    }

    /// Takes from both buckets or from neither; the refusal names the one with the longer wait.
    fn admit(&mut self, tokens: u64) -> Result<(), Refused> {
        let requests = self.requests.as_ref().and_then(|b| b.refusal(LimitKind::Requests, 1));
        let spent = self.tokens.as_ref().and_then(|b| b.refusal(LimitKind::Tokens, tokens));
        let longest = requests.into_iter().chain(spent);
        if let Some(refused) = longest.max_by_key(|refused| refused.wait.unwrap_or(Micros(u64::MAX))) {
            return Err(refused);
        }
        if let Some(bucket) = &mut self.requests {
            bucket.take(1);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.take(tokens);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::limits;
    use proptest::prelude::*;

    const T0: Micros = Micros::ZERO;

    fn refund(at: u64, tokens: u64) -> Refund {
        Refund {
            key: "k".to_owned(),
            ticket: 1,
            at: Micros(at),
            tokens,
        }
    }

    fn remaining(limiter: &mut Limiter, key: &str, now: u64) -> u64 {
        limiter.standing(key, Micros(now)).tokens.unwrap().remaining
    }

    #[test]
    fn each_key_has_its_own_buckets() {
        let mut limiter = Limiter::new(limits(Some(1), None));
        assert!(limiter.admit("a", T0, 5).is_ok());
        assert!(limiter.admit("a", T0, 5).is_err());
        assert!(limiter.admit("b", T0, 5).is_ok());
    }

    #[test]
    fn a_refusal_by_one_bucket_takes_nothing_from_the_other() {
        let mut limiter = Limiter::new(limits(Some(10), Some(100)));
        assert!(limiter.admit("k", T0, 80).is_ok());
        assert_eq!(limiter.admit("k", T0, 80).unwrap_err().kind, LimitKind::Tokens);
        let standing = limiter.standing("k", T0);
        assert_eq!(standing.requests.unwrap().remaining, 9);
        assert_eq!(standing.tokens.unwrap().remaining, 20);
    }

    #[test]
    fn the_refusal_names_the_longer_wait() {
        let mut limiter = Limiter::new(limits(Some(1), Some(6_000)));
        assert!(limiter.admit("k", T0, 6_000).is_ok());
        let refused = limiter.admit("k", T0, 100).unwrap_err();
        assert_eq!(
            (refused.kind, refused.wait),
            (LimitKind::Requests, Some(Micros::from_secs(60)))
        );
    }

    #[test]
    fn a_refund_comes_back_at_its_time_and_not_a_microsecond_before() {
        let mut limiter = Limiter::new(limits(None, Some(60)));
        limiter.admit("k", T0, 60).unwrap();
        limiter.promise(&refund(500_000, 40), T0);
        assert_eq!(remaining(&mut limiter, "k", 499_999), 0);
        assert_eq!(remaining(&mut limiter, "k", 500_000), 40);
    }

    #[test]
    fn a_revised_refund_is_paid_once() {
        let mut limiter = Limiter::new(limits(None, Some(60)));
        limiter.admit("k", T0, 60).unwrap();
        let expected = refund(900_000, 10);
        limiter.promise(&expected, T0);
        limiter.revise(&expected, Micros(300_000), 30, Micros(200_000));
        assert_eq!(remaining(&mut limiter, "k", 300_000), 30);
        assert_eq!(remaining(&mut limiter, "k", 999_999), 30);
        limiter.revise(&expected, Micros(1_000_000), 30, Micros(999_999));
        assert_eq!(
            remaining(&mut limiter, "k", 1_000_000),
            31,
            "one refilled, none paid again"
        );
    }

    #[test]
    fn made_up_keys_share_one_account_once_there_are_too_many() {
        let mut limiter = Limiter::new(limits(Some(1), None));
        for n in 0..MAX_KEYS {
            assert!(limiter.admit(&format!("key-{n}"), T0, 1).is_ok());
        }
        assert!(limiter.admit("one more", T0, 1).is_ok());
        assert!(limiter.admit("yet another", T0, 1).is_err());
        assert!(limiter.keys.len() <= MAX_KEYS + 1);
    }

    proptest! {
        #[test]
        fn never_admits_more_than_the_bucket_and_its_refill(
            steps in prop::collection::vec((0u64..5_000_000, 1u64..400, 0u64..400), 1..120),
            per_minute in 1u64..20_000,
        ) {
            let mut limiter = Limiter::new(limits(None, Some(per_minute)));
            let (mut now, mut admitted, mut returned) = (0, 0u128, 0u128);
            for (ticket, (gap, cost, back)) in steps.into_iter().enumerate() {
                now += gap;
                if limiter.admit("k", Micros(now), cost).is_ok() {
                    admitted += u128::from(cost);
                    let refund = Refund { ticket: ticket as u64, ..refund(now + gap, back.min(cost)) };
                    returned += u128::from(refund.tokens);
                    limiter.promise(&refund, Micros(now));
                }
                let refilled = u128::from(per_minute) * u128::from(now) / 60_000_000;
                prop_assert!(admitted - returned <= u128::from(per_minute) + refilled);
            }
        }

        #[test]
        fn the_stated_wait_is_the_truth(per_minute in 1u64..1_000_000, spent in 1u64..1_000, cost in 1u64..1_000) {
            let (spent, cost) = (spent.min(per_minute), cost.min(per_minute));
            let fresh = || {
                let mut limiter = Limiter::new(limits(None, Some(per_minute)));
                limiter.admit("k", T0, per_minute - spent).unwrap();
                limiter.admit("k", T0, spent).unwrap();
                limiter
            };
            let wait = fresh().admit("k", T0, cost).unwrap_err().wait.unwrap();
            prop_assert!(fresh().admit("k", wait, cost).is_ok());
            prop_assert!(fresh().admit("k", Micros(wait.0 - 1), cost).is_err());
        }
    }
}
