//! Whose attempts are whose: each ledger row belongs to at most one request.
//!
//! By the trace that the service forwarded, where it forwarded ours; a service that does so for some makes the others for
//! itself, such as those that fill a cache. Not so with calls for embeddings: one that carries inputs of several requests can
//! name none of them, whatever the others name. Where nobody is named and somebody may have been meant, by a rule: an attempt
//! belongs to the first request of its prompt that was open when it arrived and had none yet, else to the last one sent by
//! then. An attempt that arrived before anybody had asked for its prompt belongs to nobody. Who read it in the end is
//! [`crate::sharing`]'s part.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::vec::IntoIter;

use brownout_scenario::observe::{LedgerRow, RequestObservation};
use brownout_scenario::plan::Endpoint;
use brownout_scenario::units::{Micros, PromptId};

/// For each row, in the order of `ledger`, the position of its request. `order` is the order of arrival, `endpoint` what the
/// requests ask for.
pub(crate) fn owners(
    requests: &[RequestObservation],
    ledger: &[LedgerRow],
    order: &[usize],
    endpoint: Endpoint,
) -> Vec<Option<usize>> {
    let by_index: BTreeMap<u64, usize> = requests.iter().map(|request| request.index).zip(0..).collect();
    let mut owners: Vec<Option<usize>> = ledger.iter().map(|row| by_index.get(&row.caller?).copied()).collect();
    if owners.iter().all(Option::is_some) {
        return owners;
    }
    let forwards = owners.iter().any(Option::is_some);
    // The row of a call that failed doesn't say that it carried inputs.
    let may_be_shared = |row: &LedgerRow| row.input.is_some() || endpoint == Endpoint::Embeddings;
    let by_rule = |row: &usize| match ledger[*row].caller {
        Some(caller) => !by_index.contains_key(&caller),
        None => !forwards || may_be_shared(&ledger[*row]),
    };
    let mut has_rows = vec![false; requests.len()];
    for owner in owners.iter().flatten() {
        has_rows[*owner] = true;
    }
    let mut asked = by_prompt(requests);
    for row in order.iter().copied().filter(by_rule) {
        let owner = asked
            .get_mut(&ledger[row].prompt)
            .and_then(|asked| asked.owner(requests, ledger[row].arrived, &has_rows));
        owners[row] = owner;
        if let Some(owner) = owner {
            has_rows[owner] = true;
        }
    }
    owners
}

/// The requests of one prompt, as time goes by.
struct Asked {
    /// Those that have not been sent yet, by when they will be.
    upcoming: Peekable<IntoIter<usize>>,
    /// Those that were sent and have not ended.
    open: Vec<usize>,
    /// The last one sent.
    last: Option<usize>,
    /// The first one, if none ever left its client.
    unsent: Option<usize>,
}

fn by_prompt(requests: &[RequestObservation]) -> BTreeMap<PromptId, Asked> {
    let mut positions: BTreeMap<PromptId, Vec<usize>> = BTreeMap::new();
    for (position, request) in requests.iter().enumerate() {
        positions.entry(request.prompt).or_default().push(position);
    }
    let asked = |all: Vec<usize>| {
        let first = all.first().copied();
        let mut sent: Vec<usize> = all.into_iter().filter(|at| requests[*at].sent.is_some()).collect();
        sent.sort_by_key(|at| (requests[*at].sent, requests[*at].index));
        Asked {
            unsent: first.filter(|_| sent.is_empty()),
            upcoming: sent.into_iter().peekable(),
            open: Vec::new(),
            last: None,
        }
    };
    positions
        .into_iter()
        .map(|(prompt, all)| (prompt, asked(all)))
        .collect()
}

impl Asked {
    /// Whom an attempt belongs to that arrives at `now`; to be asked in the order of time.
    fn owner(&mut self, requests: &[RequestObservation], now: Micros, has_rows: &[bool]) -> Option<usize> {
        while let Some(sent) = self.upcoming.next_if(|at| requests[*at].sent <= Some(now)) {
            self.open.push(sent);
            self.last = Some(sent);
        }
        self.open.retain(|at| requests[*at].ended >= now);
        let first_without = self.open.iter().copied().find(|at| !has_rows[*at]);
        first_without
            .or(self.open.last().copied())
            .or(self.last)
            .or(self.unsent)
    }
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::CallInput;

    use super::*;
    use crate::testing::{request, row};

    /// Requests of prompt 1, sent and ended at these times.
    fn asked(times: &[(u64, u64)]) -> Vec<RequestObservation> {
        let requests = (0..).zip(times).map(|(index, (sent, ended))| RequestObservation {
            prompt: PromptId(1),
            ..request(index, *sent, *ended, 5)
        });
        requests.collect()
    }

    fn of(requests: &[RequestObservation], ledger: &[LedgerRow]) -> Vec<Option<usize>> {
        let order: Vec<usize> = (0..ledger.len()).collect();
        owners(requests, ledger, &order, Endpoint::Chat)
    }

    #[test]
    fn a_forwarded_trace_says_whose_an_attempt_is() {
        let requests = asked(&[(0, 100), (10, 100)]);
        let traced = |caller| LedgerRow {
            caller: Some(caller),
            ..row(1, 20, 30, 5)
        };
        assert_eq!(of(&requests, &[traced(1), traced(0)]), [Some(1), Some(0)]);
        assert_eq!(
            of(
                &requests,
                &[LedgerRow {
                    prompt: PromptId(9),
                    ..traced(1)
                }]
            ),
            [Some(1)],
            "whatever it asks"
        );
        assert_eq!(of(&requests, &[traced(7)]), [Some(0)], "no such request: by the rule");
    }

    #[test]
    fn what_a_service_that_forwards_traces_asks_without_one_is_its_own() {
        let requests = asked(&[(0, 100), (10, 100)]);
        let traced = LedgerRow {
            caller: Some(1),
            ..row(1, 20, 30, 5)
        };
        assert_eq!(of(&requests, &[row(1, 15, 30, 5), traced]), [None, Some(1)]);
    }

    #[test]
    fn inputs_that_share_a_call_are_somebodys_though_others_name_their_request() {
        let requests = [1, 2, 3].map(|prompt| request(prompt, 0, 100, 0));
        let input = |prompt, arrived, call, place| LedgerRow {
            input: Some(CallInput { call, place }),
            ..row(prompt, arrived, arrived + 10, 0)
        };
        let alone = LedgerRow {
            caller: Some(3),
            ..input(3, 20, 1, 0)
        };
        let failed = row(2, 5, 5, 0);
        let ledger = [failed, input(1, 10, 0, 0), input(2, 10, 0, 1), alone];
        assert_eq!(
            owners(&requests, &ledger, &[0, 1, 2, 3], Endpoint::Embeddings),
            [Some(1), Some(0), Some(1), Some(2)]
        );
    }

    #[test]
    fn without_a_trace_each_open_request_gets_one_attempt_before_any_gets_two() {
        let requests = asked(&[(0, 100), (10, 100), (200, 300)]);
        let ledger = [5, 15, 16, 250, 260, 400].map(|arrived| row(1, arrived, arrived + 1, 5));
        let owners = of(&requests, &ledger);
        assert_eq!(owners, [Some(0), Some(1), Some(1), Some(2), Some(2), Some(2)]);
    }

    #[test]
    fn what_came_before_anybody_asked_is_nobodys() {
        let requests = asked(&[(50, 100)]);
        assert_eq!(of(&requests, &[row(1, 49, 60, 5), row(1, 50, 60, 5)]), [None, Some(0)]);
        assert_eq!(of(&requests, &[row(2, 60, 70, 5)]), [None]);
        let mut unsent = asked(&[(50, 50)]);
        unsent[0].sent = None;
        assert_eq!(
            of(&unsent, &[row(1, 60, 70, 5)]),
            [Some(0)],
            "nobody else can have asked"
        );
    }
}
