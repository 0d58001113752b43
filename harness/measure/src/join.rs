//! Requests joined to the ledger rows that were made for them, and the choice of those that make up the figures.
//!
//! Whose a row is decides [`crate::owners`], who read it [`crate::sharing`]. Judges nothing: rows without a request are kept
//! for the books.

use brownout_scenario::observe::{Finish, LedgerRow, Outcome, RequestObservation};
use brownout_scenario::units::Micros;

use crate::owners::owners;
use crate::sharing::{Attempts, Clients, Source};
use crate::waste::{Fate, Given, fates, fates_of_unread, given};

/// A request with all that providers did for it.
#[derive(Debug)]
pub(crate) struct Joined<'a> {
    /// What its client saw.
    pub(crate) request: &'a RequestObservation,
    /// Its attempts, in the order of arrival.
    pub(crate) rows: Vec<&'a LedgerRow>,
    /// What became of each.
    pub(crate) fates: Vec<Fate>,
    /// Where the words came from that its client got.
    pub(crate) source: Source<'a>,
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

    /// The attempt whose answer the client took for complete, and whether all of it was handed over.
    pub(crate) fn answer(&self) -> Option<(&'a LedgerRow, bool)> {
        if self.request.outcome != Outcome::Answered {
            return None;
        }
        match self.source {
            Source::Shared(shared) => Some((shared.row, shared.whole)),
            Source::OtherTenant(row) => Some((row, true)),
            Source::Own => match given(self.request, &self.rows)? {
                Given::Whole(at) => Some((self.rows[at], true)),
                Given::Part(at) => Some((self.rows[at], false)),
            },
        }
    }

    /// The tokens of somebody's answer that its client got: of its own prompt's, or of the one that its own was taken for.
    pub(crate) fn got(&self) -> u64 {
        match self.source {
            Source::Shared(shared) if shared.wrong => self.request.delivered.misdelivered,
            Source::Own | Source::Shared(_) | Source::OtherTenant(_) => self.request.delivered.tokens,
        }
    }

    /// What is wrong with the answer that the client took for a good one, if there is one.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        let answer = self.answer()?;
        if matches!(self.source, Source::Shared(shared) if shared.wrong) {
            return Some(Flaw::Wrong);
        }
        match answer {
            (_, false) => Some(Flaw::Incomplete),
            (row, true) => (row.finish == Finish::Filtered).then_some(Flaw::Withheld),
        }
    }

    /// Whether the client has an answer that was worth having.
    pub(crate) fn is_valid(&self) -> bool {
        self.request.outcome == Outcome::Answered && self.flaw().is_none()
    }
}

/// What can be wrong with an answer that its client took for a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is a part, and the client was told that it is all.
    Incomplete,
    /// The provider's content filter cut it.
    Withheld,
    /// It answers another question.
    Wrong,
}

/// All requests and all rows of a variant.
#[derive(Debug)]
pub(crate) struct Join<'a> {
    /// Every request, in the order of its observation.
    pub(crate) requests: Vec<Joined<'a>>,
    /// Rows that were made for no request: probes, a cache that was filled before anybody asked, or a reader that misread.
    pub(crate) strangers: Vec<&'a LedgerRow>,
}

/// Joins rows to the requests that they were made for, and words to rows.
pub(crate) fn join<'a>(
    requests: &'a [RequestObservation],
    ledger: &'a [LedgerRow],
    clients: impl Into<Clients<'a>>,
) -> Join<'a> {
    let clients = clients.into();
    let mut order: Vec<usize> = (0..ledger.len()).collect();
    order.sort_by_key(|row| (ledger[*row].arrived, ledger[*row].attempt, &ledger[*row].provider));
    let owners = owners(requests, ledger, &order, clients.endpoint);
    let mut positions: Vec<Vec<usize>> = vec![Vec::new(); requests.len()];
    let mut strangers = Vec::new();
    for row in order.iter().copied() {
        match owners[row] {
            Some(owner) => positions[owner].push(row),
            None => strangers.push(&ledger[row]),
        }
    }
    let attempts = Attempts::new(requests, ledger, &order, &owners, &clients);
    let mut joined: Vec<Joined> = (0..)
        .zip(requests.iter().zip(&positions))
        .map(|(position, (request, rows))| {
            let rows: Vec<&LedgerRow> = rows.iter().map(|row| &ledger[*row]).collect();
            let source = attempts.source(position, &rows);
            let fates = match source {
                Source::Own => fates(request, &rows, clients.endpoint),
                Source::Shared(_) | Source::OtherTenant(_) => fates_of_unread(request, &rows, clients.endpoint),
            };
            Joined {
                request,
                rows,
                fates,
                source,
            }
        })
        .collect();
    also_read(&mut joined, &owners, &positions);
    Join {
        requests: joined,
        strangers,
    }
}

/// What was made for one request and read by another was used, whatever became of its own client. A wrong answer is of no use
/// to anybody.
fn also_read(joined: &mut [Joined], owners: &[Option<usize>], positions: &[Vec<usize>]) {
    let reads: Vec<(usize, usize, u64)> = joined
        .iter()
        .filter(|each| matches!(each.request.outcome, Outcome::Answered | Outcome::Aborted))
        .filter_map(|each| match each.source {
            Source::Shared(shared) if !shared.wrong => Some((shared.position, owners[shared.position]?, each.got())),
            Source::Own | Source::Shared(_) | Source::OtherTenant(_) => None,
        })
        .collect();
    for (row, owner, tokens) in reads {
        if let Some(at) = positions[owner].iter().position(|own| *own == row) {
            let owner = &mut joined[owner];
            owner.fates[at] = owner.fates[at].also_read(owner.rows[at], tokens);
        }
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
    use brownout_scenario::plan::Endpoint;

    use super::*;
    use crate::testing::{request, row};

    #[test]
    fn rows_without_a_trace_follow_their_prompt_in_the_order_of_arrival() {
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
