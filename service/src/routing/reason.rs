//! Why a request is sent where it is sent: a word to count by, and a sentence to read.

use std::fmt;
use std::time::Duration;

use crate::settings::Usd;

/// Why the first provider of a route is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// One of a few words: `order`, `asked`, `cost`, `latency`, `task`, `window`, `budget`, `health`.
    pub(crate) word: &'static str,
    /// The same with names and figures.
    pub(crate) text: String,
}

/// What decided.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause<'a> {
    /// The order of the settings.
    Order,
    /// The request named the model.
    Asked,
    /// It is expected to cost the least.
    Cost(Option<u64>),
    /// It is expected to begin soonest.
    Latency(Duration),
    /// It is meant for the task.
    Task(Option<&'a str>),
    /// The preferred one has no room for so many tokens.
    Window { preferred: &'a str, tokens: u64 },
    /// The purse does not cover what the preferred one can cost, or is low.
    Budget { left: Usd },
    /// The preferred one is failing.
    Health { preferred: &'a str },
}

impl Cause<'_> {
    const fn word(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Asked => "asked",
            Self::Cost(_) => "cost",
            Self::Latency(_) => "latency",
            Self::Task(_) => "task",
            Self::Window { .. } => "window",
            Self::Budget { .. } => "budget",
            Self::Health { .. } => "health",
        }
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cost(Some(nanos)) => write!(f, " {} USD", dollars(*nanos)),
            Self::Cost(None) => write!(f, " (no price known)"),
            Self::Latency(expected) if expected.is_zero() => write!(f, " (not tried lately)"),
            Self::Latency(expected) => write!(f, " {} ms", expected.as_millis()),
            Self::Task(Some(task)) => write!(f, " for {task}"),
            Self::Window { preferred, tokens } => write!(f, " ({preferred} has no room for {tokens} tokens)"),
            Self::Budget { left } => write!(f, " ({} USD left)", dollars(left.micros().saturating_mul(1000))),
            Self::Health { preferred } => write!(f, " ({preferred} is failing)"),
            Self::Order | Self::Asked | Self::Task(None) => Ok(()),
        }
    }
}

impl Reason {
    /// `name` was asked for.
    pub(super) fn asked(name: &str) -> Self {
        Self::new(Cause::Asked, &[name])
    }

    /// `names` in the order in which they are asked, the first of them because of `cause`.
    pub(super) fn new(cause: Cause<'_>, names: &[&str]) -> Self {
        let word = cause.word();
        let (first, others) = names.split_first().unwrap_or((&"", &[]));
        let mut text = format!("{word}: {first}{cause}");
        if !others.is_empty() {
            text.push_str(", then ");
            text.push_str(&others.join(", "));
        }
        Self { word, text }
    }
}

/// Billionths of a dollar as dollars, with as many places as a millionth has: a fraction of that is one.
fn dollars(nanos: u64) -> String {
    let micros = nanos.div_ceil(1000);
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_as_a_sentence_with_its_word_in_front() {
        let cases = [
            (Cause::Order, "order: a, then b, c"),
            (Cause::Cost(Some(119_001)), "cost: a 0.00012 USD, then b, c"),
            (
                Cause::Latency(Duration::from_millis(312)),
                "latency: a 312 ms, then b, c",
            ),
            (
                Cause::Latency(Duration::ZERO),
                "latency: a (not tried lately), then b, c",
            ),
            (Cause::Task(Some("code")), "task: a for code, then b, c"),
            (
                Cause::Window {
                    preferred: "b",
                    tokens: 9120,
                },
                "window: a (b has no room for 9120 tokens), then b, c",
            ),
            (
                Cause::Budget {
                    left: Usd::from_micros(1_200_000),
                },
                "budget: a (1.2 USD left), then b, c",
            ),
            (Cause::Health { preferred: "b" }, "health: a (b is failing), then b, c"),
        ];
        for (cause, expected) in cases {
            let reason = Reason::new(cause, &["a", "b", "c"]);
            assert_eq!(reason.text, expected);
            assert!(expected.starts_with(reason.word));
        }
        assert_eq!(Reason::new(Cause::Asked, &["a"]).text, "asked: a");
    }
}
