//! Where the words of a request came from: its own attempts, or one that was made for another request.
//!
//! A client can be served from the work for somebody else: from a cache when that attempt had ended before its request was
//! sent, by fan-out when it was under way (coalescing). Own attempts come first; only what these do not explain is looked
//! for elsewhere, among attempts at the same prompt that had arrived by the end of the request. An attempt that was made for
//! a client with another key explains nothing: it is an accusation.

use std::collections::{BTreeMap, BTreeSet};

use brownout_scenario::observe::{LedgerRow, Outcome, RequestObservation};
use brownout_scenario::plan::{Endpoint, LoadPlan};
use brownout_scenario::questions;
use brownout_scenario::units::{Micros, PromptId};

use crate::waste::{Given, given, is_whole, may_break};

/// What the load says of all its requests.
#[derive(Debug, Clone)]
pub(crate) struct Clients<'a> {
    /// What they ask for.
    pub(crate) endpoint: Endpoint,
    /// The key of each kind of client.
    keys: Vec<Option<&'a str>>,
}

impl From<Endpoint> for Clients<'_> {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            keys: Vec::new(),
        }
    }
}

impl<'a> From<&'a LoadPlan> for Clients<'a> {
    fn from(load: &'a LoadPlan) -> Self {
        Self {
            endpoint: load.endpoint,
            keys: load.clients.iter().map(|client| client.key.as_deref()).collect(),
        }
    }
}

impl<'a> Clients<'a> {
    fn key(&self, request: &RequestObservation) -> Option<&'a str> {
        self.keys.get(request.client as usize).copied().flatten()
    }
}

/// Where words came from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source<'a> {
    /// From an attempt of the request's own, or there were none, or nobody knows: the books will say.
    Own,
    /// From an attempt that was made for another request.
    Shared(Shared<'a>),
    /// From an attempt that was made for a client with another key.
    OtherTenant(&'a LedgerRow),
}

/// An attempt that another request was served from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    /// The attempt.
    pub(crate) row: &'a LedgerRow,
    /// Its position in the ledger.
    pub(crate) position: usize,
    /// Whether it had ended before the request was sent.
    pub(crate) cached: bool,
    /// Whether it answers another question: words of an attempt at another prompt.
    pub(crate) wrong: bool,
    /// Whether it was handed over whole, as far as the client believes.
    pub(crate) whole: bool,
}

/// The question whose answer a client got that had asked another one: texts without a marker may be taken for each other, a
/// prompt that names itself may not.
fn mistaken_for(request: &RequestObservation) -> Option<PromptId> {
    let other = request.delivered.whose.filter(|_| request.delivered.tokens == 0)?;
    (is_question(request.prompt) && is_question(other)).then_some(other)
}

fn is_question(prompt: PromptId) -> bool {
    questions::meaning(prompt).is_some()
}

/// How well an attempt explains what a client got: whole, with the reported usage, ended by then, and when it arrived.
type Rank = (bool, bool, bool, Micros);

/// All attempts of a variant, to be looked through for explanations.
#[derive(Debug)]
pub(crate) struct Attempts<'a, 'o> {
    requests: &'a [RequestObservation],
    ledger: &'a [LedgerRow],
    owners: &'o [Option<usize>],
    clients: &'o Clients<'a>,
    /// Positions of the attempts at each prompt, in the order of arrival.
    by_prompt: BTreeMap<PromptId, Vec<usize>>,
    /// Keys of all who asked for each prompt that an attempt without a trace was made at.
    askers: BTreeMap<PromptId, BTreeSet<Option<&'a str>>>,
}

impl<'a, 'o> Attempts<'a, 'o> {
    /// The attempts of `ledger`, made for `owners`; `order` is their order of arrival.
    pub(crate) fn new(
        requests: &'a [RequestObservation],
        ledger: &'a [LedgerRow],
        order: &[usize],
        owners: &'o [Option<usize>],
        clients: &'o Clients<'a>,
    ) -> Self {
        let mut by_prompt: BTreeMap<PromptId, Vec<usize>> = BTreeMap::new();
        for row in order {
            by_prompt.entry(ledger[*row].prompt).or_default().push(*row);
        }
        let untraced = ledger.iter().filter(|row| row.caller.is_none());
        let mut askers: BTreeMap<_, BTreeSet<_>> = untraced.map(|row| (row.prompt, BTreeSet::new())).collect();
        for request in requests {
            if let Some(askers) = askers.get_mut(&request.prompt) {
                askers.insert(clients.key(request));
            }
        }
        Self {
            requests,
            ledger,
            owners,
            clients,
            by_prompt,
            askers,
        }
    }

    /// Where the words of the request at `position` came from; `own` are its own attempts.
    pub(crate) fn source(&self, position: usize, own: &[&LedgerRow]) -> Source<'a> {
        let request = &self.requests[position];
        let tokens = request.delivered.tokens;
        if let Some(other) = mistaken_for(request) {
            return self.elsewhere(position, other, request.delivered.misdelivered);
        }
        let is_own = match request.outcome {
            Outcome::NotSent => true,
            Outcome::Answered => match given(request, own) {
                Some(Given::Whole(at)) => own[at].reach() == tokens,
                Some(Given::Part(_)) => true,
                None => false,
            },
            Outcome::Aborted | Outcome::Failed(_) => {
                tokens == 0
                    || own
                        .iter()
                        .any(|row| row.prompt == request.prompt && row.reach() >= tokens)
            }
        };
        if is_own {
            return Source::Own;
        }
        self.elsewhere(position, request.prompt, tokens)
    }

    /// The attempt at `prompt` that gave `tokens` tokens to the request at `position`, though it was made for another, or
    /// asks something else.
    fn elsewhere(&self, position: usize, prompt: PromptId, tokens: u64) -> Source<'a> {
        let request = &self.requests[position];
        let rows = self.by_prompt.get(&prompt).map_or(&[][..], Vec::as_slice);
        let in_time = rows.partition_point(|row| self.ledger[*row].arrived <= request.ended);
        let others = || {
            rows[..in_time]
                .iter()
                .copied()
                .filter(|row| prompt != request.prompt || self.owners[*row] != Some(position))
        };
        let best = |of_tenant: bool| {
            let explains =
                |row: usize| (self.may_serve(row, request) == of_tenant).then(|| self.how(row, request, tokens))?;
            others().filter_map(explains).max_by_key(|(rank, _)| *rank)
        };
        if let Some((_, shared)) = best(true) {
            return Source::Shared(shared);
        }
        best(false).map_or(Source::Own, |(_, shared)| Source::OtherTenant(shared.row))
    }

    /// Whether the client of `request` has the key that the attempt was made for. Of an attempt without a trace any of those
    /// may be it who asked for that prompt, and one for which nobody asked was made for all.
    fn may_serve(&self, row: usize, request: &RequestObservation) -> bool {
        let key = self.clients.key(request);
        match (self.owners[row], self.askers.get(&self.ledger[row].prompt)) {
            (None, _) => true,
            (Some(_), Some(askers)) if self.ledger[row].caller.is_none() => askers.contains(&key),
            (Some(owner), _) => self.clients.key(&self.requests[owner]) == key,
        }
    }

    /// How an attempt explains what the client got, if it can, and how well.
    fn how(&self, position: usize, request: &RequestObservation, tokens: u64) -> Option<(Rank, Shared<'a>)> {
        let row = &self.ledger[position];
        let (whole, enough) = if request.outcome == Outcome::Answered {
            let whole = is_whole(row) && row.reach() == tokens;
            (whole, whole || (may_break(row) && tokens > 0 && row.reach() >= tokens))
        } else {
            (is_whole(row), row.reach() >= tokens)
        };
        let same_usage = request
            .reported
            .is_none_or(|usage| (usage.completion_tokens, usage.prompt_tokens) == (row.generated, row.prompt_tokens));
        let shared = Shared {
            row,
            position,
            cached: request.sent.is_some_and(|sent| row.ended <= sent),
            wrong: row.prompt != request.prompt,
            whole,
        };
        let arrival = row.arrived;
        enough.then_some(((whole, same_usage, row.ended <= request.ended, arrival), shared))
    }
}

#[cfg(test)]
mod tests;
