//! Who used the tokens of an attempt, and why nobody used the rest: one fate per ledger row.
//!
//! A pure function of a request and its rows. It does not check whether the rows make sense (that is [`crate::books`])
//! and knows no prices.

use brownout_scenario::observe::{FailureClass, Finish, LedgerRow, Outcome, RequestObservation};
use brownout_scenario::plan::Endpoint;

use crate::record::WastedBy;

/// Why nobody used what was billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waste {
    /// The client had left.
    Abandoned,
    /// Another attempt took its place.
    Superseded,
    /// The answer was there, but the client got an error in its place.
    Discarded,
    /// Part of an answer that broke off.
    Truncated,
    /// A job's result that nobody fetched.
    Unfetched,
}

/// What became of one attempt's billed completion tokens: `used + wasted` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Tokens in an answer that somebody read, and of the thinking that led to it.
    pub used: u64,
    /// The other tokens.
    pub wasted: u64,
    /// Why they were wasted, if there are any.
    pub why: Waste,
    /// Whether the attempt was of any use; if not, its prompt was paid for nothing too.
    pub served: bool,
}

impl Fate {
    fn unused(row: &LedgerRow, why: Waste) -> Self {
        Self {
            used: 0,
            wasted: row.billed,
            why,
            served: false,
        }
    }

    /// The client read `delivered` tokens of it, for which the model had to think all that it thought.
    fn used(row: &LedgerRow, delivered: u64, why: Waste) -> Self {
        let used = delivered.saturating_add(row.reasoning).min(row.billed);
        Self {
            used,
            wasted: row.billed - used,
            why,
            served: true,
        }
    }

    /// The same attempt when somebody else read `delivered` tokens of it as well.
    #[must_use]
    pub(crate) fn also_read(self, row: &LedgerRow, delivered: u64) -> Self {
        let read = Self::used(row, delivered, self.why);
        if read.used > self.used || !self.served {
            read
        } else {
            self
        }
    }

    /// The same of an answer that may not have been read at all: thinking alone is of no use.
    fn partly_used(row: &LedgerRow, delivered: u64, why: Waste) -> Self {
        if delivered == 0 {
            Self::unused(row, why)
        } else {
            let fate = Self::used(row, delivered, why);
            Self {
                served: fate.used > 0,
                ..fate
            }
        }
    }
}

impl WastedBy {
    /// Adds `tokens` to the class `why`.
    pub fn add(&mut self, why: Waste, tokens: u64) {
        *match why {
            Waste::Abandoned => &mut self.abandoned,
            Waste::Superseded => &mut self.superseded,
            Waste::Discarded => &mut self.discarded,
            Waste::Truncated => &mut self.truncated,
            Waste::Unfetched => &mut self.unfetched,
        } += tokens;
    }

    /// All classes together.
    pub fn total(&self) -> u64 {
        self.abandoned + self.superseded + self.discarded + self.truncated + self.unfetched
    }
}

/// The fate of each of `rows`, which are the request's own, in the order of arrival. What they say of another prompt cannot
/// have been its answer.
pub fn fates(request: &RequestObservation, rows: &[&LedgerRow], endpoint: Endpoint) -> Vec<Fate> {
    match request.outcome {
        Outcome::Answered => answered(request, rows),
        Outcome::Aborted => aborted(request, rows, endpoint),
        Outcome::NotSent => rows.iter().map(|row| Fate::unused(row, Waste::Abandoned)).collect(),
        Outcome::Failed(class) => failed(request, class, rows, endpoint),
    }
}

/// The same where the client got its words from an attempt that was made for another request.
pub(crate) fn fates_of_unread(request: &RequestObservation, rows: &[&LedgerRow], endpoint: Endpoint) -> Vec<Fate> {
    if rows.is_empty() {
        return Vec::new();
    }
    if request.outcome == Outcome::Answered {
        return rows.iter().map(|row| Fate::unused(row, Waste::Superseded)).collect();
    }
    let mut unread = request.clone();
    unread.delivered.tokens = 0;
    fates(&unread, rows, endpoint)
}

/// The attempt whose answer a client has that takes what it got for complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It was handed over whole.
    Whole(usize),
    /// It broke off: the client was told that a part is all.
    Part(usize),
}

impl Given {
    /// The position of the attempt.
    pub const fn position(self) -> usize {
        match self {
            Self::Whole(position) | Self::Part(position) => position,
        }
    }
}

/// The attempt whose answer the client got: the last one that is whole and exactly as long; else the last one that broke
/// off and was long enough; else the last one that is whole and longer, which is the books' business. Attempts that began
/// after the client had its answer are looked at only if no other gave as much.
pub fn given(request: &RequestObservation, rows: &[&LedgerRow]) -> Option<Given> {
    let in_time = rows.partition_point(|row| row.arrived <= request.ended);
    given_by(request, &rows[..in_time]).or_else(|| given_by(request, rows))
}

fn given_by(request: &RequestObservation, rows: &[&LedgerRow]) -> Option<Given> {
    let tokens = request.delivered.tokens;
    let last = |is: &dyn Fn(&LedgerRow) -> bool| rows.iter().rposition(|row| row.prompt == request.prompt && is(row));
    let whole = last(&|row| is_whole(row) && row.reach() == tokens);
    let longer = || last(&|row| is_whole(row) && row.reach() > tokens).map(Given::Whole);
    let part = || last(&|row| may_break(row) && row.reach() >= tokens).map(Given::Part);
    let given = whole.map(Given::Whole);
    if tokens > 0 {
        given.or_else(part).or_else(longer)
    } else {
        // Nothing at all is a part of anything: a whole answer that did not arrive weighs more.
        given.or_else(longer).or_else(part)
    }
}

/// Whether its caller may have got less than all: it broke off, or could not be read any further.
pub(crate) fn may_break(row: &LedgerRow) -> bool {
    let unreadable = |fault: &String| fault.starts_with("malformed_frame#");
    row.status == 200 && (!is_whole(row) || row.fault.as_ref().is_some_and(unreadable))
}

/// Whether the provider handed over all that there was to be: an answer that is withheld from some point on is whole.
pub(crate) fn is_whole(row: &LedgerRow) -> bool {
    matches!(row.finish, Finish::Stop | Finish::Length | Finish::Filtered)
}

/// How many of the first `tokens` words of the answer that ends with attempt `last` each attempt up to it gave: those that
/// it went on after were given by an earlier one, which may itself have gone on after others.
fn words(rows: &[&LedgerRow], last: usize, tokens: u64) -> Vec<u64> {
    let mut given = vec![0; last + 1];
    let (mut at, mut needed) = (Some(last), tokens);
    while let Some(position) = at {
        let row = rows[position];
        given[position] = needed.saturating_sub(row.begun);
        needed = needed.min(row.begun);
        at = predecessor(rows, position, needed);
    }
    given
}

/// Words that attempt `last` went on after, and which no earlier one gave.
pub(crate) fn words_missing(rows: &[&LedgerRow], last: usize) -> u64 {
    let mut at = last;
    while let Some(before) = predecessor(rows, at, rows[at].begun) {
        at = before;
    }
    rows[at].begun
}

/// The last attempt before `position` that gave word `needed` of the answer, if one is needed.
fn predecessor(rows: &[&LedgerRow], position: usize, needed: u64) -> Option<usize> {
    let gave = |row: &&LedgerRow| {
        let own = rows[position];
        row.prompt == own.prompt && row.begun < needed && needed <= row.reach()
    };
    rows[..position].iter().rposition(gave)
}

fn answered(request: &RequestObservation, rows: &[&LedgerRow]) -> Vec<Fate> {
    let given = given(request, rows);
    let words = given.map_or_else(Vec::new, |given| {
        words(rows, given.position(), request.delivered.tokens)
    });
    let fate = |(position, row): (usize, &&LedgerRow)| match (given, words.get(position)) {
        (Some(Given::Whole(used)), Some(&words)) if position == used => Fate::used(row, words, Waste::Discarded),
        (Some(Given::Part(used)), Some(&words)) if position == used => Fate::partly_used(row, words, Waste::Truncated),
        (_, Some(&words)) => Fate::partly_used(row, words, Waste::Superseded),
        (_, None) => Fate::unused(row, Waste::Superseded),
    };
    rows.iter().enumerate().map(fate).collect()
}

/// The client left on purpose. What it had read was of use; the attempt it read from and all that came after its
/// leaving go on its account.
fn aborted(request: &RequestObservation, rows: &[&LedgerRow], endpoint: Endpoint) -> Vec<Fate> {
    let left = if endpoint == Endpoint::Jobs {
        Waste::Unfetched
    } else {
        Waste::Abandoned
    };
    let in_time = rows.partition_point(|row| row.arrived <= request.ended);
    let long_enough = rows[..in_time]
        .iter()
        .rposition(|row| row.prompt == request.prompt && row.reach() >= request.delivered.tokens);
    let live = long_enough.or(in_time.checked_sub(1));
    let words = live.map_or_else(Vec::new, |live| words(rows, live, request.delivered.tokens));
    let words = |position: usize| words.get(position).copied().unwrap_or(0);
    let fate = |(position, row): (usize, &&LedgerRow)| match live {
        Some(live) if position == live => Fate::partly_used(row, words(position), left),
        Some(_) if position < in_time => Fate::partly_used(row, words(position), Waste::Superseded),
        _ => Fate::unused(row, left),
    };
    rows.iter().enumerate().map(fate).collect()
}

/// The client got no usable answer, so nothing was used; only the reason differs.
fn failed(request: &RequestObservation, class: FailureClass, rows: &[&LedgerRow], endpoint: Endpoint) -> Vec<Fate> {
    let why = |(position, row): (usize, &&LedgerRow)| {
        let is_last = position + 1 == rows.len();
        Fate::unused(row, why_failed(request, class, row, is_last, endpoint))
    };
    rows.iter().enumerate().map(why).collect()
}

fn why_failed(
    request: &RequestObservation,
    class: FailureClass,
    row: &LedgerRow,
    is_last: bool,
    endpoint: Endpoint,
) -> Waste {
    use FailureClass as Class;
    let nobody_came = matches!(class, Class::ClientTimeout | Class::Unfinished);
    if is_whole(row) {
        let fetchable = endpoint == Endpoint::Jobs && nobody_came;
        return if fetchable { Waste::Unfetched } else { Waste::Discarded };
    }
    match class {
        // Cut off because somebody in front gave up. The last attempt had nobody to take its place, even if its own end
        // was seen before the client's.
        Class::GatewayTimeout | Class::ClientTimeout | Class::Unfinished if is_last || row.ended >= request.ended => {
            Waste::Abandoned
        }
        Class::Truncated | Class::ConnectionLost | Class::ErrorEvent if is_last => Waste::Truncated,
        Class::GatewayTimeout
        | Class::ClientTimeout
        | Class::Unfinished
        | Class::Truncated
        | Class::ConnectionLost
        | Class::ErrorEvent => Waste::Superseded,
        Class::BadGateway
        | Class::Unavailable
        | Class::RateLimited
        | Class::ServerError
        | Class::ClientError
        | Class::Connect
        | Class::HarnessExhausted
        | Class::Malformed
        | Class::InvalidOutput
        | Class::JobFailed
        | Class::JobLost => {
            if is_last {
                Waste::Discarded
            } else {
                Waste::Superseded
            }
        }
    }
}

#[cfg(test)]
mod tests;
