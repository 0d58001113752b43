//! Requests joined to the ledger rows of their prompts, and the choice of those that make up the figures.
//!
//! Judges nothing: rows without a request are kept for the books.

use std::collections::BTreeMap;

use brownout_scenario::observe::{LedgerRow, Outcome, RequestObservation};
use brownout_scenario::plan::Endpoint;
use brownout_scenario::units::{Micros, PromptId};

use crate::waste::{Fate, fates};

/// A request with all that providers did for it.
#[derive(Debug)]
pub(crate) struct Joined<'a> {
    /// What its client saw.
    pub(crate) request: &'a RequestObservation,
    /// Its attempts, in the order of arrival.
    pub(crate) rows: Vec<&'a LedgerRow>,
    /// What became of each.
    pub(crate) fates: Vec<Fate>,
}

impl<'a> Joined<'a> {
    /// Each attempt with its fate.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = (&'a LedgerRow, Fate)> {
        self.rows.iter().copied().zip(self.fates.iter().copied())
    }

    /// Completion tokens billed for it.
    pub(crate) fn billed(&self) -> u64 {
        self.rows.iter().map(|row| row.billed).sum()
    }

    /// From due to its end.
    pub(crate) fn total(&self) -> Micros {
        self.request.ended.since(self.request.due)
    }

    /// From due to the usable answer, if there was one.
    pub(crate) fn latency(&self) -> Option<Micros> {
        (self.request.outcome == Outcome::Answered).then(|| self.total())
    }

    /// From due to the first word.
    pub(crate) fn ttft(&self) -> Option<Micros> {
        self.request.first_token.map(|first| first.since(self.request.due))
    }
}

/// All requests and all rows of a variant.
#[derive(Debug)]
pub(crate) struct Join<'a> {
    /// Every request, in the order of its observation.
    pub(crate) requests: Vec<Joined<'a>>,
    /// Rows of prompts that no request carried: probes, or a reader that misread.
    pub(crate) strangers: Vec<&'a LedgerRow>,
}

/// Joins by prompt. The first request of a prompt gets its rows; a second one is the books' business.
pub(crate) fn join<'a>(requests: &'a [RequestObservation], ledger: &'a [LedgerRow], endpoint: Endpoint) -> Join<'a> {
    let mut by_prompt: BTreeMap<PromptId, Vec<&LedgerRow>> = BTreeMap::new();
    for row in ledger {
        by_prompt.entry(row.prompt).or_default().push(row);
    }
    let requests = requests.iter().map(|request| {
        let mut rows = by_prompt.remove(&request.prompt).unwrap_or_default();
        rows.sort_by_key(|row| (row.arrived, row.attempt, &row.provider));
        let fates = fates(request, &rows, endpoint);
        Joined { request, rows, fates }
    });
    let requests = requests.collect();
    Join {
        requests,
        strangers: by_prompt.into_values().flatten().collect(),
    }
}

/// Those that make up the figures: due after the warm-up and, when the run was interrupted, before that.
pub(crate) fn measured<'j, 'a>(join: &'j Join<'a>, warmup: Micros, until: Micros) -> Vec<&'j Joined<'a>> {
    join.requests
        .iter()
        .filter(|joined| (warmup..=until).contains(&joined.request.due))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{request, row};

    #[test]
    fn rows_follow_their_prompt_in_the_order_of_arrival() {
        let requests = [request(1, 0, 100, 5), request(2, 0, 100, 5)];
        let ledger = [row(2, 50, 90, 5), row(9, 1, 2, 5), row(2, 10, 20, 5), row(1, 10, 20, 5)];
        let join = join(&requests, &ledger, Endpoint::Chat);
        let arrived: Vec<u64> = join.requests[1].rows.iter().map(|row| row.arrived.0).collect();
        assert_eq!(arrived, [10, 50]);
        assert_eq!(join.strangers.len(), 1);
    }

    #[test]
    fn a_request_due_in_the_warm_up_is_in_no_figure() {
        let requests = [request(1, 99, 150, 5), request(2, 100, 150, 5), request(3, 301, 350, 5)];
        let join = join(&requests, &[], Endpoint::Chat);
        let prompts: Vec<u64> = measured(&join, Micros(100), Micros(300))
            .iter()
            .map(|joined| joined.request.prompt.0)
            .collect();
        assert_eq!(prompts, [2]);
    }
}
