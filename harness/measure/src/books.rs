//! Whether the books balance: counts, tokens, usage and prices, told twice by independent witnesses.
//!
//! Says in words what does not add up. It covers the whole run, warm-up and drain included; what an unbalanced book
//! means for the verdict is [`crate::run`]'s part.

mod calls;
mod rows;

use std::collections::BTreeSet;

use brownout_scenario::observe::{LedgerRow, Outcome, RequestObservation};
use brownout_scenario::schedule::AGAIN;
use brownout_scenario::trace;

use crate::join::{Join, Joined};
use crate::prices::Prices;
use crate::record::Books;
use crate::sharing::{Shared, Source};
use crate::waste::words_missing;
use crate::words::thousands;
use calls::check_calls;
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
        check_addressee(&mut found, each);
        if joined {
            check_tokens(&mut found, each);
        }
    }
    join.strangers.iter().for_each(|row| check_row(&mut found, row, prices));
    if joined {
        check_calls(&mut found, join);
    }
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
    let indices: BTreeSet<u64> = join.requests.iter().map(|j| j.request.index).collect();
    let due = join.requests.iter().filter(|j| j.request.index < AGAIN).count() as u64;
    if let Some(planned) = planned {
        found.demand(due == planned, || {
            format!(
                "the schedule has {} requests, the clients account for {}",
                thousands(planned),
                thousands(due)
            )
        });
    }
    let mut counted = BTreeSet::<u64>::new();
    for request in join.requests.iter().map(|j| j.request) {
        let RequestObservation {
            index,
            due,
            sent,
            ended,
            outcome,
            ..
        } = request;
        found.demand(counted.insert(*index), || {
            format!("request {index} of the schedule is counted twice")
        });
        found.demand(*index < AGAIN || indices.contains(&(index % AGAIN)), || {
            format!("{}: sent again, but never a first time", name(request))
        });
        let left = sent.is_some();
        let in_order = sent.unwrap_or(*due) >= *due && *ended >= sent.unwrap_or(*due);
        found.demand(in_order, || {
            format!("{}: not in the order due, sent, ended", name(request))
        });
        match outcome {
            Outcome::Answered | Outcome::Aborted => {
                found.demand(left, || {
                    format!("{}: it has an outcome, but never left its client", name(request))
                });
            }
            Outcome::NotSent => {
                found.demand(!left, || format!("{}: not sent, but it left its client", name(request)));
            }
            Outcome::Failed(_) => {}
        }
    }
}

/// What a request is called in a discrepancy: by its prompt, and by its number where others may carry the same.
fn name(request: &RequestObservation) -> String {
    let (prompt, number) = (request.prompt, trace::number(request.index));
    if prompt.0 == number {
        format!("prompt {prompt}")
    } else {
        format!("request {number} (prompt {prompt})")
    }
}

/// Nobody may get another's answer, whatever else a target does to texts.
fn check_addressee(found: &mut Discrepancies, joined: &Joined) {
    let request = joined.request;
    match joined.source {
        Source::OtherTenant(row) => found.demand(false, || {
            format!(
                "{}: its client got the answer of attempt {} at prompt {} at {}, which was made for a client with another key",
                name(request),
                row.attempt,
                row.prompt,
                row.provider
            )
        }),
        // A question that was taken for another is a wrong answer, and counted as one.
        Source::Shared(shared) if shared.wrong => {}
        Source::Own | Source::Shared(_) => {
            let misdelivered = request.delivered.misdelivered;
            found.demand(misdelivered == 0, || {
                let words = format!("{misdelivered} tokens of another prompt's answer");
                format!("{}: its client got {words}", name(request))
            });
        }
    }
}

/// What must hold between a request, its own rows and the row that it was served from.
fn check_tokens(found: &mut Discrepancies, joined: &Joined) {
    let request = joined.request;
    let accounted: u64 = joined.fates.iter().map(|fate| fate.used + fate.wasted).sum();
    found.demand(joined.billed() == accounted, || {
        format!(
            "{}: {} tokens billed, {accounted} used or wasted",
            name(request),
            joined.billed()
        )
    });
    match request.outcome {
        _ if matches!(joined.source, Source::OtherTenant(_)) => {}
        Outcome::Answered => check_answered(found, joined),
        Outcome::Aborted | Outcome::Failed(_) => {
            check_words(found, joined);
            let (got, flushed) = (joined.got(), flushed(joined));
            found.demand(got <= flushed, || {
                format!("{}: {got} tokens delivered, {flushed} handed over", name(request))
            });
        }
        Outcome::NotSent => found.demand(joined.rows.is_empty(), || {
            format!(
                "{}: not sent, but a provider saw {} attempts at it",
                name(request),
                joined.rows.len()
            )
        }),
    }
}

/// The most that any attempt handed over which the client may have read.
fn flushed(joined: &Joined) -> u64 {
    match joined.source {
        Source::Shared(Shared { row, .. }) | Source::OtherTenant(row) => row.reach(),
        Source::Own => {
            let own = joined.rows.iter().filter(|row| row.prompt == joined.request.prompt);
            own.map(|row| row.reach()).max().unwrap_or(0)
        }
    }
}

/// Clients get the provider's words only, and twice at most those that a provider handed over twice.
fn check_words(found: &mut Discrepancies, joined: &Joined) {
    let (request, delivered) = (joined.request, joined.request.delivered);
    let in_time = joined.rows.iter().filter(|row| row.arrived <= request.ended);
    let elsewhere = match joined.source {
        Source::Shared(shared) => shared.row.repeated,
        Source::Own | Source::OtherTenant(_) => 0,
    };
    let repeated = in_time.map(|row| row.repeated).sum::<u64>() + elsewhere;
    found.demand(delivered.foreign == 0 && delivered.duplicates <= repeated, || {
        format!(
            "{}: {} foreign and {} repeated words, {repeated} repeated by a provider",
            name(request),
            delivered.foreign,
            delivered.duplicates
        )
    });
}

/// A complete answer is some attempt's whole answer, word for word, and the service says so; whose attempt it was does not
/// matter. One that the service calls complete though its attempt broke off is a defect of the service and none of the
/// books: it is counted elsewhere.
fn check_answered(found: &mut Discrepancies, joined: &Joined) {
    let request = joined.request;
    let Some((row, whole)) = joined.answer() else {
        let tokens = joined.got();
        found.demand(false, || {
            format!(
                "{}: answered with {tokens} tokens, but no attempt gave as many",
                name(request)
            )
        });
        return;
    };
    check_words(found, joined);
    check_beginning(found, joined, row);
    if whole {
        check_whole(found, joined, row);
    } else {
        check_part(found, request, row);
    }
}

/// Who did not see the end may be silent about usage, but may not report more than there was.
fn check_part(found: &mut Discrepancies, request: &RequestObservation, row: &LedgerRow) {
    let reported = request.reported.unwrap_or_default();
    found.demand(reported.completion_tokens <= row.generated, || {
        let completion = reported.completion_tokens;
        format!(
            "{}: the service reports {completion} completion tokens, but {} generated",
            name(request),
            row.generated
        )
    });
}

/// What an attempt went on after has to have been somebody's words too.
fn check_beginning(found: &mut Discrepancies, joined: &Joined, row: &LedgerRow) {
    let own = joined.rows.iter().position(|candidate| std::ptr::eq(*candidate, row));
    let missing = own.map_or(0, |at| words_missing(&joined.rows, at));
    found.demand(missing == 0, || {
        format!(
            "{}: its answer goes on after {missing} tokens that no attempt gave",
            name(joined.request)
        )
    });
}

fn check_whole(found: &mut Discrepancies, joined: &Joined, row: &LedgerRow) {
    let (request, delivered) = (joined.request, joined.got());
    found.demand(delivered == row.reach(), || {
        format!(
            "{}: {delivered} tokens delivered, {} handed over",
            name(request),
            row.reach()
        )
    });
    let Some(reported) = request.reported else {
        found.demand(false, || {
            format!("{}: answered, but the service reports no usage", name(request))
        });
        return;
    };
    found.demand(reported.completion_tokens == row.generated, || {
        let completion = reported.completion_tokens;
        format!(
            "{}: the service reports {completion} completion tokens, the provider {}",
            name(request),
            row.generated
        )
    });
    // Of inputs that shared a call only their sum is known to anybody but the provider: see `calls`.
    let is_known = row.input.is_none();
    found.demand(!is_known || reported.prompt_tokens == row.prompt_tokens, || {
        let reported = reported.prompt_tokens;
        format!(
            "{}: the service reports {reported} prompt tokens, the provider {}",
            name(request),
            row.prompt_tokens
        )
    });
}

#[cfg(test)]
mod tests;
