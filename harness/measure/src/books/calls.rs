//! What must hold for calls that carry inputs of several requests: what the service reports to all of them is, together, what
//! the provider counted.

use std::collections::BTreeMap;

use brownout_scenario::observe::LedgerRow;

use super::Discrepancies;
use crate::join::Join;
use crate::words::thousands;

/// What is known of one call.
#[derive(Debug, Default)]
struct Sum {
    inputs: u64,
    tokens: u64,
    answered: u64,
    reported: u64,
}

/// Notes what does not add up. Where some of a call's requests ended without an answer, less may have been reported.
pub(super) fn check_calls(found: &mut Discrepancies, join: &Join) {
    let mut calls: BTreeMap<(&str, u64), Sum> = BTreeMap::new();
    let rows = join
        .requests
        .iter()
        .flat_map(|joined| &joined.rows)
        .chain(&join.strangers);
    for row in rows {
        if let Some(call) = name(row) {
            let sum = calls.entry(call).or_default();
            sum.inputs += 1;
            sum.tokens += row.prompt_tokens;
        }
    }
    for joined in &join.requests {
        let Some((row, true)) = joined.answer() else { continue };
        if let Some(sum) = name(row).and_then(|call| calls.get_mut(&call)) {
            sum.answered += 1;
            sum.reported += joined.request.reported.map_or(0, |usage| usage.prompt_tokens);
        }
    }
    for ((provider, call), sum) in calls {
        let holds = if sum.answered == sum.inputs {
            sum.reported == sum.tokens
        } else {
            sum.reported <= sum.tokens || sum.answered > sum.inputs
        };
        found.demand(holds, || {
            let (reported, tokens) = (thousands(sum.reported), thousands(sum.tokens));
            format!("call {call} at {provider}: the service reports {reported} prompt tokens, the provider {tokens}")
        });
    }
}

fn name(row: &LedgerRow) -> Option<(&str, u64)> {
    Some((row.provider.as_str(), row.input?.call))
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{CallInput, Delivered, RequestObservation, Usage};
    use brownout_scenario::plan::Endpoint;

    use super::*;
    use crate::join::join;
    use crate::testing::{request, row};

    /// Two inputs of ten tokens each that shared a call.
    fn ledger() -> [LedgerRow; 2] {
        [(1, 0), (2, 1)].map(|(prompt, place)| LedgerRow {
            input: Some(CallInput { call: 3, place }),
            ..row(prompt, 10, 20, 0)
        })
    }

    fn asked(prompt: u64, reported: u64) -> RequestObservation {
        RequestObservation {
            delivered: Delivered::default(),
            reported: Some(Usage {
                prompt_tokens: reported,
                completion_tokens: 0,
            }),
            ..request(prompt, 0, 100, 0)
        }
    }

    fn wrong(requests: &[RequestObservation]) -> Vec<String> {
        let mut found = Discrepancies::default();
        check_calls(&mut found, &join(requests, &ledger(), Endpoint::Embeddings));
        found.into_words()
    }

    #[test]
    fn what_is_reported_for_a_call_adds_up_however_it_is_divided() {
        let none: [String; 0] = [];
        assert_eq!(wrong(&[asked(1, 7), asked(2, 13)]), none);
        let one_more = "call 3 at primary: the service reports 21 prompt tokens, the provider 20";
        assert_eq!(wrong(&[asked(1, 7), asked(2, 14)]), [one_more]);
        assert_eq!(wrong(&[asked(1, 7), asked(2, 12)]).len(), 1);
        assert_eq!(wrong(&[asked(1, 7)]), none, "the other one left");
        assert_eq!(wrong(&[asked(1, 21)]).len(), 1);
    }
}
