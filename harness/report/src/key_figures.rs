//! The figures that decide between variants, once, for every table.
//!
//! Says what each is called, where it is in the record and which direction is good. Draws no table.

use brownout_measure::record::{Distribution, VariantRecord};

use crate::figures;

/// One figure of a variant.
pub(crate) struct KeyFigure {
    /// Short, for the head of a column.
    pub(crate) label: &'static str,
    /// One line for who has not met it.
    pub(crate) meaning: &'static str,
    /// Its unit.
    pub(crate) unit: Unit,
    /// Which direction is good.
    pub(crate) better: Better,
    /// Where it is.
    pub(crate) of: fn(&VariantRecord) -> Option<f64>,
}

/// The unit of a figure, which decides how it is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Of one.
    Share,
    /// Milliseconds.
    Milliseconds,
    /// Per second.
    PerSecond,
    /// Whole things.
    Count,
    /// US dollars.
    Usd,
    /// Times.
    Factor,
    /// Things, also parts of them.
    Number,
}

/// Which direction is good.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    /// Less.
    Lower,
    /// More.
    Higher,
    /// It depends on the rest.
    Neither,
}

impl KeyFigure {
    /// The variant's figure as text.
    pub(crate) fn text(&self, variant: &VariantRecord) -> String {
        (self.of)(variant).map_or_else(|| figures::NONE.to_owned(), |value| self.unit.text(value))
    }

    /// True if `variant` has the best value of all, and not all have it.
    pub(crate) fn is_best(&self, variant: &VariantRecord, all: &[VariantRecord]) -> bool {
        let values = || all.iter().filter_map(self.of);
        let (lowest, highest) = (
            values().fold(f64::INFINITY, f64::min),
            values().fold(f64::NEG_INFINITY, f64::max),
        );
        let best = match self.better {
            Better::Lower => lowest,
            Better::Higher => highest,
            Better::Neither => return false,
        };
        lowest < highest && (self.of)(variant).is_some_and(|value| value.total_cmp(&best).is_eq())
    }
}

impl Unit {
    /// A value in this unit.
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Share => figures::share(value),
            Self::Milliseconds => figures::milliseconds(value),
            Self::PerSecond => figures::per_second(value),
            Self::Count => figures::count(value as u64),
            Self::Usd => figures::usd(value),
            Self::Factor => figures::factor(value),
            Self::Number => figures::number(value),
        }
    }
}

/// A percentile, where anything was recorded.
fn known(distribution: &Distribution, ms: f64) -> Option<f64> {
    (distribution.count > 0).then_some(ms)
}

/// Whether an answer was there that its client took for a good one, and that was none.
fn has_flaws(variant: &VariantRecord) -> bool {
    variant.requests.valid() < variant.requests.answered
}

/// A figure that most runs do not need, and whether a variant makes it worth a column.
type Rare = (&'static str, fn(&VariantRecord) -> bool);

/// All of those.
const RARE: [Rare; 9] = [
    ("valid", has_flaws),
    ("cut short", |v| v.requests.incomplete > 0),
    ("wrong", |v| v.requests.wrong > 0),
    ("from cache", |v| v.requests.from_cache > 0),
    ("coalesced", |v| v.requests.coalesced > 0),
    ("goodput", has_flaws),
    ("per answer", |v| v.cost_picodollars > 0),
    ("restarts", |v| v.hosts.restarts > 0),
    ("replicas", |v| v.hosts.is_eventful()),
];

/// All of them, in the order of tables.
pub(crate) const KEY_FIGURES: [KeyFigure; 24] = [
    KeyFigure {
        label: "answered",
        meaning: "of the requests that fell due, those with a complete, usable answer",
        unit: Unit::Share,
        better: Better::Higher,
        of: |v| figures::ratio(v.requests.answered, v.requests.due),
    },
    KeyFigure {
        label: "failed",
        meaning: "of the requests that fell due",
        unit: Unit::Share,
        better: Better::Lower,
        of: |v| figures::ratio(v.requests.failed, v.requests.due),
    },
    KeyFigure {
        label: "valid",
        meaning: "of the requests that fell due, those whose answer was neither cut short, nor withheld, nor another question's",
        unit: Unit::Share,
        better: Better::Higher,
        of: |v| figures::ratio(v.requests.valid(), v.requests.due),
    },
    KeyFigure {
        label: "cut short",
        meaning: "of the requests that fell due, those whose client took a part of an answer for all of it",
        unit: Unit::Share,
        better: Better::Lower,
        of: |v| figures::ratio(v.requests.incomplete, v.requests.due),
    },
    KeyFigure {
        label: "wrong",
        meaning: "of the requests that fell due, those that got the answer to another question",
        unit: Unit::Share,
        better: Better::Lower,
        of: |v| figures::ratio(v.requests.wrong, v.requests.due),
    },
    KeyFigure {
        label: "from cache",
        meaning: "of the requests that fell due, those answered with what had been made for another before",
        unit: Unit::Share,
        better: Better::Higher,
        of: |v| figures::ratio(v.requests.from_cache, v.requests.due),
    },
    KeyFigure {
        label: "coalesced",
        meaning: "of the requests that fell due, those answered with what was just being made for another",
        unit: Unit::Share,
        better: Better::Higher,
        of: |v| figures::ratio(v.requests.coalesced, v.requests.due),
    },
    KeyFigure {
        label: "p50",
        meaning: "median latency of the answered, from due to the usable answer",
        unit: Unit::Milliseconds,
        better: Better::Lower,
        of: |v| known(&v.latency, v.latency.p50_ms),
    },
    KeyFigure {
        label: "p95",
        meaning: "latency that 95 % of the answered stay within",
        unit: Unit::Milliseconds,
        better: Better::Lower,
        of: |v| known(&v.latency, v.latency.p95_ms),
    },
    KeyFigure {
        label: "p99",
        meaning: "latency that 99 % of the answered stay within",
        unit: Unit::Milliseconds,
        better: Better::Lower,
        of: |v| known(&v.latency, v.latency.p99_ms),
    },
    KeyFigure {
        label: "ttft p99",
        meaning: "from due to the first word of a streamed answer",
        unit: Unit::Milliseconds,
        better: Better::Lower,
        of: |v| known(&v.ttft, v.ttft.p99_ms),
    },
    KeyFigure {
        label: "ack p99",
        meaning: "from due to the 202 that accepts a job",
        unit: Unit::Milliseconds,
        better: Better::Lower,
        of: |v| known(&v.ack, v.ack.p99_ms),
    },
    KeyFigure {
        label: "throughput",
        meaning: "answers per second of measured time",
        unit: Unit::PerSecond,
        better: Better::Higher,
        of: |v| Some(v.throughput_rps),
    },
    KeyFigure {
        label: "goodput",
        meaning: "valid answers per second of measured time",
        unit: Unit::PerSecond,
        better: Better::Higher,
        of: |v| Some(v.goodput_rps),
    },
    KeyFigure {
        label: "billed",
        meaning: "completion tokens on the invoice",
        unit: Unit::Count,
        better: Better::Neither,
        of: |v| Some(v.tokens.billed as f64),
    },
    KeyFigure {
        label: "used",
        meaning: "of these, in an answer that somebody read",
        unit: Unit::Count,
        better: Better::Neither,
        of: |v| Some(v.tokens.used as f64),
    },
    KeyFigure {
        label: "wasted",
        meaning: "billed and not used",
        unit: Unit::Count,
        better: Better::Lower,
        of: |v| Some(v.tokens.wasted as f64),
    },
    KeyFigure {
        label: "wasted %",
        meaning: "wasted of billed",
        unit: Unit::Share,
        better: Better::Lower,
        of: |v| (v.tokens.billed > 0).then_some(v.tokens.wasted_ratio),
    },
    KeyFigure {
        label: "cost",
        meaning: "what the providers bill, prompts included",
        unit: Unit::Usd,
        better: Better::Neither,
        of: |v| Some(v.cost_usd),
    },
    KeyFigure {
        label: "per answer",
        meaning: "cost of a valid answer: all that the providers bill, by valid answers",
        unit: Unit::Usd,
        better: Better::Lower,
        of: VariantRecord::cost_per_valid_usd,
    },
    KeyFigure {
        label: "cost wasted",
        meaning: "of this, for answers that nobody used",
        unit: Unit::Usd,
        better: Better::Lower,
        of: |v| Some(v.wasted_picodollars as f64 / 1e12),
    },
    KeyFigure {
        label: "attempts",
        meaning: "attempts at a provider per request sent",
        unit: Unit::Factor,
        better: Better::Neither,
        of: |v| (v.requests.sent > 0).then_some(v.attempts.amplification),
    },
    KeyFigure {
        label: "restarts",
        meaning: "processes started in place of others",
        unit: Unit::Count,
        better: Better::Lower,
        of: |v| (v.hosts.started > 0).then_some(v.hosts.restarts as f64),
    },
    KeyFigure {
        label: "replicas",
        meaning: "processes that serve requests, on average over the measured time",
        unit: Unit::Number,
        better: Better::Lower,
        of: |v| (v.hosts.started > 0 && v.duration_s > 0.0).then(|| v.hosts.replica_seconds / v.duration_s),
    },
];

/// Those that at least one of the variants has.
pub(crate) fn present<'v>(variants: impl IntoIterator<Item = &'v VariantRecord>) -> Vec<&'static KeyFigure> {
    let variants: Vec<_> = variants.into_iter().collect();
    let anybody = |figure: &&KeyFigure| variants.iter().any(|variant| (figure.of)(variant).is_some());
    let needed = |figure: &&KeyFigure| {
        let rare = RARE.iter().find(|(label, _)| *label == figure.label);
        rare.is_none_or(|(_, is_needed)| variants.iter().any(|variant| is_needed(variant)))
    };
    KEY_FIGURES.iter().filter(anybody).filter(needed).collect()
}
