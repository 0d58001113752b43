//! Whether the books balance: counts, tokens, usage and prices, told twice by independent witnesses.
//!
//! Says in words what does not add up. It covers the whole run, warm-up and drain included; what an unbalanced book
//! means for the verdict is [`crate::run`]'s part.

mod rows;

use std::collections::BTreeSet;

use brownout_scenario::observe::{LedgerRow, Outcome, RequestObservation};
use brownout_scenario::units::PromptId;

use crate::join::{Join, Joined};
use crate::prices::Prices;
use crate::record::Books;
use crate::waste::{Given, given};
use crate::words::thousands;
use rows::check_row;

/// Discrepancies spelled out; the others are only counted.
const MOST_SPELLED_OUT: usize = 20;

/// What does not add up.
#[derive(Debug, Default)]
struct Discrepancies {
    spelled_out: Vec<String>,
    more: usize,
}

impl Discrepancies {
    /// Notes `what` unless `holds`.
    fn demand(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if holds {
            return;
        }
        if self.spelled_out.len() < MOST_SPELLED_OUT {
            self.spelled_out.push(what());
        } else {
            self.more += 1;
        }
    }

    fn into_words(mut self) -> Vec<String> {
        if self.more > 0 {
            self.spelled_out
                .push(format!("and {} more", thousands(self.more as u64)));
        }
        self.spelled_out
    }
}

/// Balances the books of a variant. `planned` is how many requests the schedule has, where that is known before the
/// run and nobody interrupted it; `overhead` goes into the record as it is.
pub(crate) fn balance(join: &Join, prices: &Prices, planned: Option<u64>, overhead: u64) -> Books {
    let joined = texts_join(join);
    let mut found = Discrepancies::default();
    check_counts(&mut found, join, planned);
    for each in &join.requests {
        each.rows.iter().for_each(|row| check_row(&mut found, row, prices));
        check_addressee(&mut found, each.request);
        if joined {
            check_tokens(&mut found, each);
        }
    }
    join.strangers.iter().for_each(|row| check_row(&mut found, row, prices));
    let discrepancies = found.into_words();
    Books {
        balanced: discrepancies.is_empty(),
        joined,
        discrepancies,
        overhead,
    }
}

/// Whether the words that clients got are the provider's: not if more than half of them are foreign.
fn texts_join(join: &Join) -> bool {
    let answered = join
        .requests
        .iter()
        .filter(|joined| joined.request.outcome == Outcome::Answered);
    let (mut own, mut foreign) = (0, 0);
    for delivered in answered.map(|joined| joined.request.delivered) {
        own += delivered.tokens + delivered.duplicates;
        foreign += delivered.foreign;
    }
    foreign <= own
}

fn check_counts(found: &mut Discrepancies, join: &Join, planned: Option<u64>) {
    let due = join.requests.len() as u64;
    if let Some(planned) = planned {
        found.demand(due == planned, || {
            format!(
                "the schedule has {} requests, the clients account for {}",
                thousands(planned),
                thousands(due)
            )
        });
    }
    let (mut prompts, mut indices) = (BTreeSet::<PromptId>::new(), BTreeSet::<u64>::new());
    for RequestObservation {
        prompt,
        index,
        due,
        sent,
        ended,
        outcome,
        ..
    } in join.requests.iter().map(|j| j.request)
    {
        found.demand(prompts.insert(*prompt), || {
            format!("prompt {prompt}: more than one request carried it")
        });
        found.demand(indices.insert(*index), || {
            format!("request {index} of the schedule is counted twice")
        });
        let left = sent.is_some();
        let in_order = sent.unwrap_or(*due) >= *due && *ended >= sent.unwrap_or(*due);
        found.demand(in_order, || {
            format!("prompt {prompt}: not in the order due, sent, ended")
        });
        match outcome {
            Outcome::Answered | Outcome::Aborted => {
                found.demand(left, || {
                    format!("prompt {prompt}: it has an outcome, but never left its client")
                });
            }
            Outcome::NotSent => {
                found.demand(!left, || format!("prompt {prompt}: not sent, but it left its client"));
            }
            Outcome::Failed(_) => {}
        }
    }
}

/// Nobody may get another's answer, whatever else a target does to texts.
fn check_addressee(found: &mut Discrepancies, request: &RequestObservation) {
    let (prompt, misdelivered) = (request.prompt, request.delivered.misdelivered);
    found.demand(misdelivered == 0, || {
        format!("prompt {prompt}: its client got {misdelivered} tokens of another prompt's answer")
    });
}

/// What must hold between a request and its rows.
fn check_tokens(found: &mut Discrepancies, joined: &Joined) {
    let (request, prompt) = (joined.request, joined.request.prompt);
    let accounted: u64 = joined.fates.iter().map(|fate| fate.used + fate.wasted).sum();
    found.demand(joined.billed() == accounted, || {
        format!(
            "prompt {prompt}: {} tokens billed, {accounted} used or wasted",
            joined.billed()
        )
    });
    match request.outcome {
        Outcome::Answered => check_answered(found, joined),
        Outcome::Aborted | Outcome::Failed(_) => {
            let flushed = joined.rows.iter().map(|row| row.flushed).max().unwrap_or(0);
            check_words(found, joined);
            found.demand(request.delivered.tokens <= flushed, || {
                format!(
                    "prompt {prompt}: {} tokens delivered, {flushed} handed over",
                    request.delivered.tokens
                )
            });
        }
        Outcome::NotSent => found.demand(joined.rows.is_empty(), || {
            format!(
                "prompt {prompt}: not sent, but a provider saw {} attempts at it",
                joined.rows.len()
            )
        }),
    }
}

/// Clients get the provider's words only, and twice at most those that a provider handed over twice.
fn check_words(found: &mut Discrepancies, joined: &Joined) {
    let (request, delivered) = (joined.request, joined.request.delivered);
    let in_time = joined.rows.iter().filter(|row| row.arrived <= request.ended);
    let repeated: u64 = in_time.map(|row| row.repeated).sum();
    found.demand(delivered.foreign == 0 && delivered.duplicates <= repeated, || {
        format!(
            "prompt {}: {} foreign and {} repeated words, {repeated} repeated by a provider",
            request.prompt, delivered.foreign, delivered.duplicates
        )
    });
}

/// A complete answer is some attempt's whole answer, word for word, and the service says so. One that the service calls
/// complete though its attempt broke off is a defect of the service and none of the books: it is counted elsewhere.
fn check_answered(found: &mut Discrepancies, joined: &Joined) {
    let (request, prompt) = (joined.request, joined.request.prompt);
    let delivered = request.delivered;
    let Some(given) = given(request, &joined.rows) else {
        let tokens = delivered.tokens;
        found.demand(false, || {
            format!("prompt {prompt}: answered with {tokens} tokens, but no attempt gave as many")
        });
        return;
    };
    check_words(found, joined);
    let row = joined.rows[given.position()];
    match given {
        Given::Whole(_) => check_whole(found, joined, row),
        Given::Part(_) => check_part(found, request, row),
    }
}

/// Who did not see the end may be silent about usage, but may not report more than there was.
fn check_part(found: &mut Discrepancies, request: &RequestObservation, row: &LedgerRow) {
    let (prompt, reported) = (request.prompt, request.reported.unwrap_or_default());
    found.demand(reported.completion_tokens <= row.generated, || {
        let completion = reported.completion_tokens;
        format!(
            "prompt {prompt}: the service reports {completion} completion tokens, but {} generated",
            row.generated
        )
    });
}

fn check_whole(found: &mut Discrepancies, joined: &Joined, row: &LedgerRow) {
    let (request, prompt) = (joined.request, joined.request.prompt);
    let delivered = request.delivered.tokens;
    found.demand(delivered == row.flushed, || {
        format!(
            "prompt {prompt}: {delivered} tokens delivered, {} handed over",
            row.flushed
        )
    });
    let Some(reported) = request.reported else {
        found.demand(false, || {
            format!("prompt {prompt}: answered, but the service reports no usage")
        });
        return;
    };
    found.demand(reported.completion_tokens == row.generated, || {
        let completion = reported.completion_tokens;
        format!(
            "prompt {prompt}: the service reports {completion} completion tokens, the provider {}",
            row.generated
        )
    });
    found.demand(reported.prompt_tokens == row.prompt_tokens, || {
        let reported = reported.prompt_tokens;
        format!(
            "prompt {prompt}: the service reports {reported} prompt tokens, the provider {}",
            row.prompt_tokens
        )
    });
}

#[cfg(test)]
mod tests;
