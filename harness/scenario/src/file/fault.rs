//! The shape of a fault block: the keys of all kinds side by side, with the span that says which are there.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::{Counts, Times};
use crate::units::{Micros, Share};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultBlock {
    pub(crate) kind: Spanned<FaultKind>,
    // Keys of every kind.
    pub(crate) from: Option<Spanned<Micros>>,
    pub(crate) until: Option<Spanned<Micros>>,
    pub(crate) windows: Option<Spanned<Vec<(Micros, Micros)>>>,
    pub(crate) probability: Option<Spanned<Share>>,
    pub(crate) first: Option<Spanned<u64>>,
    pub(crate) every: Option<Spanned<u64>>,
    pub(crate) models: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) keys: Option<Spanned<Vec<Spanned<String>>>>,
    pub(crate) header: Option<Spanned<HeaderBlock>>,
    // Keys of some kinds.
    pub(crate) status: Option<Spanned<u16>>,
    pub(crate) retry_after: Option<Spanned<Micros>>,
    pub(crate) retry_after_text: Option<Spanned<String>>,
    pub(crate) code: Option<Spanned<String>>,
    pub(crate) first_token: Option<Spanned<Times>>,
    pub(crate) inter_token: Option<Spanned<Times>>,
    pub(crate) after_tokens: Option<Spanned<Counts>>,
    pub(crate) lasts: Option<Spanned<Times>>,
    pub(crate) bytes: Option<Spanned<u64>>,
    pub(crate) pause: Option<Spanned<Micros>>,
    pub(crate) body: Option<Spanned<BodyWord>>,
    pub(crate) down: Option<Spanned<Times>>,
    pub(crate) up: Option<Spanned<Times>>,
    pub(crate) answer: Option<Spanned<OutageWord>>,
}

impl FaultBlock {
    /// The keys of some kinds, each with its place where the block has it.
    pub(crate) fn keys_of_kinds(&self) -> [(&'static str, Option<Range<usize>>); 14] {
        [
            ("status", span(self.status.as_ref())),
            ("retry_after", span(self.retry_after.as_ref())),
            ("retry_after_text", span(self.retry_after_text.as_ref())),
            ("code", span(self.code.as_ref())),
            ("first_token", span(self.first_token.as_ref())),
            ("inter_token", span(self.inter_token.as_ref())),
            ("after_tokens", span(self.after_tokens.as_ref())),
            ("lasts", span(self.lasts.as_ref())),
            ("bytes", span(self.bytes.as_ref())),
            ("pause", span(self.pause.as_ref())),
            ("body", span(self.body.as_ref())),
            ("down", span(self.down.as_ref())),
            ("up", span(self.up.as_ref())),
            ("answer", span(self.answer.as_ref())),
        ]
    }

    /// The keys that choose among attempts, each with its place where the block has it.
    pub(crate) fn keys_of_choice(&self) -> [(&'static str, Option<Range<usize>>); 6] {
        [
            ("probability", span(self.probability.as_ref())),
            ("first", span(self.first.as_ref())),
            ("every", span(self.every.as_ref())),
            ("models", span(self.models.as_ref())),
            ("keys", span(self.keys.as_ref())),
            ("header", span(self.header.as_ref())),
        ]
    }
}

fn span<T>(key: Option<&Spanned<T>>) -> Option<Range<usize>> {
    key.map(Spanned::span)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    Status,
    LatencySpike,
    Stall,
    Blackhole,
    RefuseConnection,
    ResetBeforeHeaders,
    ErrorEvent,
    CleanEof,
    FinWithoutTerminator,
    ResetMidStream,
    MalformedFrame,
    MissingDone,
    DuplicateFrame,
    Trickle,
    #[serde(rename = "html_200")]
    Html200,
    #[serde(rename = "empty_200")]
    Empty200,
    GarbageOutput,
    ContentFilter,
    ContextLength,
    Outage,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderBlock {
    pub(crate) name: Spanned<String>,
    pub(crate) value: Option<Spanned<String>>,
}

/// What an `empty_200` answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BodyWord {
    #[default]
    Nothing,
    Object,
}

/// What callers meet in an outage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutageWord {
    #[default]
    Status,
    Silence,
    Refuse,
    Reset,
}
