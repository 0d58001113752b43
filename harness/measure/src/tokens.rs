//! Tokens, money and attempts of a set of requests.
//!
//! Sums what [`crate::waste`] decided row by row.

use std::collections::BTreeMap;

use brownout_scenario::observe::{Finish, LedgerRow};
use brownout_scenario::units::{Micros, PromptId};

use crate::histogram::Histogram;
use crate::join::Joined;
use crate::prices::Prices;
use crate::record::{AttemptRecord, TokenHistograms, TokenRecord, UnaskedRecord, WastedBy};
use crate::sharing::Source;

/// Picodollars billed and, of these, wasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    /// All of it, as the providers bill it.
    pub(crate) billed: u64,
    /// Completion tokens nobody used, and prompts of attempts of which nothing was used.
    pub(crate) wasted: u64,
}

/// The token books.
pub(crate) fn tokens(subset: &[&Joined]) -> TokenRecord {
    let mut record = TokenRecord::default();
    let mut by = WastedBy::default();
    for joined in subset {
        let delivered = joined.got();
        record.delivered += delivered;
        if let Source::Shared(shared) = joined.source {
            *if shared.cached {
                &mut record.from_cache
            } else {
                &mut record.fan_out
            } += delivered;
        }
        for (row, fate) in joined.attempts() {
            record.billed += row.billed;
            record.prompt += row.billed_prompt;
            record.used += fate.used;
            by.add(fate.why, fate.wasted);
        }
    }
    record.wasted_by = by;
    record.wasted = by.total();
    record.wasted_ratio = if record.billed == 0 {
        0.0
    } else {
        record.wasted as f64 / record.billed as f64
    };
    record.histogram = histograms(subset);
    record
}

/// Tokens per request that was sent.
fn histograms<'a>(subset: &[&Joined<'a>]) -> TokenHistograms {
    let sent: Vec<_> = subset.iter().filter(|joined| joined.request.sent.is_some()).collect();
    let per_request =
        |tokens: fn(&Joined<'a>) -> u64| sent.iter().map(|joined| tokens(joined)).collect::<Histogram>().tokens();
    TokenHistograms {
        billed: per_request(|joined| joined.rows.iter().map(|row| row.billed).sum()),
        delivered: per_request(Joined::got),
        wasted: per_request(|joined| joined.fates.iter().map(|fate| fate.wasted).sum()),
    }
}

/// The bill.
pub(crate) fn cost(subset: &[&Joined], prices: &Prices) -> Cost {
    let mut cost = Cost::default();
    for (row, fate) in subset.iter().flat_map(|joined| joined.attempts()) {
        cost.billed += row.price.0;
        let Some(price) = prices.of_row(row) else { continue };
        let prompt = if fate.served { 0 } else { price.prompt };
        cost.wasted += prompt + fate.wasted * price.per_token;
    }
    cost
}

/// What of `strangers`, which are no request's, arrived by `end`.
pub(crate) fn unasked(strangers: &[&LedgerRow], end: Micros) -> UnaskedRecord {
    let mut record = UnaskedRecord::default();
    for row in strangers.iter().filter(|row| row.arrived <= end) {
        record.attempts += u64::from(row.is_call());
        record.prompt += row.billed_prompt;
        record.billed += row.billed;
        record.picodollars += row.price.0;
    }
    record
}

/// Attempts that reached a provider, for `sent` requests.
pub(crate) fn attempts(subset: &[&Joined], sent: u64) -> AttemptRecord {
    let mut record = AttemptRecord::default();
    let mut by_prompt: BTreeMap<PromptId, u64> = BTreeMap::new();
    for row in subset.iter().flat_map(|joined| &joined.rows) {
        *by_prompt.entry(row.prompt).or_insert(0) += 1;
        // Inputs that share a call are one attempt.
        if !row.is_call() {
            continue;
        }
        record.upstream += 1;
        record.rate_limited += u64::from(row.finish == Finish::RateLimited);
        *record.by_provider.entry(row.provider.clone()).or_insert(0) += 1;
        if let Some(fault) = &row.fault {
            let name = format!("{}/{fault}", row.provider);
            *record.by_fault.entry(name).or_insert(0) += 1;
        }
    }
    record.distinct_prompts = by_prompt.len() as u64;
    record.per_prompt_max = by_prompt.into_values().max().unwrap_or(0);
    record.amplification = if sent == 0 {
        0.0
    } else {
        record.upstream as f64 / sent as f64
    };
    record
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{Outcome, RequestObservation};
    use brownout_scenario::plan::Endpoint;

    use super::*;
    use crate::join::join;
    use crate::testing::{provider, request, row};

    #[test]
    fn an_attempt_without_use_costs_its_prompt_too() {
        let requests = [RequestObservation {
            outcome: Outcome::Aborted,
            ..request(1, 0, 100, 4)
        }];
        let ledger = [
            LedgerRow {
                finish: Finish::Fault,
                ..row(1, 0, 10, 3)
            },
            LedgerRow {
                finish: Finish::HungUp,
                ..row(1, 20, 90, 10)
            },
        ];
        let providers = [provider()];
        let join = join(&requests, &ledger, Endpoint::Stream);
        let all: Vec<_> = join.requests.iter().collect();
        let cost = cost(&all, &Prices::of(&providers));
        let (prompt, token) = (10 * 150_000, 600_000);
        assert_eq!(
            cost,
            Cost {
                billed: 2 * prompt + 13 * token,
                wasted: prompt + 3 * token + 6 * token
            }
        );
        let tokens = tokens(&all);
        assert_eq!(
            (tokens.billed, tokens.used, tokens.wasted, tokens.prompt),
            (13, 4, 9, 20)
        );
        assert_eq!((tokens.wasted_by.superseded, tokens.wasted_by.abandoned), (3, 6));
        let attempts = attempts(&all, 1);
        assert_eq!((attempts.upstream, attempts.amplification), (2, 2.0));
    }
}
