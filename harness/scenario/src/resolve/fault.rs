//! Fault blocks to fault plans: the keys that belong to the kind, and how faults stand to each other.
//!
//! `effect` is what an attempt suffers, `window` when, `scope` whom it concerns, `conflict` what can never happen.

mod conflict;
mod effect;
mod scope;
mod window;

use std::ops::Range;

use toml::Spanned;

use super::{Context, Resolved};
use crate::file::{FaultBlock, FaultKind};
use crate::plan::{Dialect, FaultEffect, FaultPlan, ModelPlan};
use crate::units::Share;

/// Bounds the work per attempt, which asks every fault.
const MOST_FAULTS: usize = 256;

/// What faults are resolved against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Served<'a> {
    pub(super) dialect: Dialect,
    pub(super) models: &'a [ModelPlan],
}

/// A fault with the place in the file that answers for it.
struct Placed<'a> {
    context: &'a Context<'a>,
    span: Range<usize>,
    plan: FaultPlan,
}

/// The kinds: name, and the keys that not every kind has.
const KINDS: [(FaultKind, &str, &[&str]); 20] = [
    (
        FaultKind::Status,
        "status",
        &["status", "retry_after", "retry_after_text", "code"],
    ),
    (
        FaultKind::LatencySpike,
        "latency_spike",
        &["first_token", "inter_token"],
    ),
    (FaultKind::Stall, "stall", &["after_tokens", "lasts"]),
    (FaultKind::Blackhole, "blackhole", &[]),
    (FaultKind::RefuseConnection, "refuse_connection", &[]),
    (FaultKind::ResetBeforeHeaders, "reset_before_headers", &[]),
    (FaultKind::ErrorEvent, "error_event", &["after_tokens", "status"]),
    (FaultKind::CleanEof, "clean_eof", &["after_tokens"]),
    (
        FaultKind::FinWithoutTerminator,
        "fin_without_terminator",
        &["after_tokens"],
    ),
    (FaultKind::ResetMidStream, "reset_mid_stream", &["after_tokens"]),
    (FaultKind::MalformedFrame, "malformed_frame", &["after_tokens"]),
    (FaultKind::MissingDone, "missing_done", &[]),
    (FaultKind::DuplicateFrame, "duplicate_frame", &["after_tokens"]),
    (FaultKind::Trickle, "trickle", &["bytes", "pause"]),
    (FaultKind::Html200, "html_200", &[]),
    (FaultKind::Empty200, "empty_200", &["body"]),
    (FaultKind::GarbageOutput, "garbage_output", &[]),
    (FaultKind::ContentFilter, "content_filter", &["after_tokens"]),
    (FaultKind::ContextLength, "context_length", &[]),
    (
        FaultKind::Outage,
        "outage",
        &["down", "up", "answer", "status", "retry_after"],
    ),
];

/// The faults of `blocks`, in their order, checked against each other.
pub(super) fn faults<'a>(
    served: Served<'_>,
    blocks: impl Iterator<Item = (&'a Context<'a>, &'a Spanned<FaultBlock>)>,
) -> Resolved<Vec<FaultPlan>> {
    let mut placed = Vec::new();
    for (position, (context, block)) in blocks.enumerate() {
        if position == MOST_FAULTS {
            return context.fail(
                block.span(),
                format!("this is fault number {} of its provider", MOST_FAULTS + 1),
                format!("a provider has at most {MOST_FAULTS}: one fault with windows = [...] may replace many"),
            );
        }
        placed.push(Placed {
            context,
            span: block.span(),
            plan: fault(context, served, position, block)?,
        });
    }
    conflict::check(&placed)?;
    Ok(placed.into_iter().map(|placed| placed.plan).collect())
}

fn fault(
    context: &Context<'_>,
    served: Served<'_>,
    position: usize,
    block: &Spanned<FaultBlock>,
) -> Resolved<FaultPlan> {
    let raw = block.get_ref();
    let kind = raw.kind.get_ref();
    let (name, own_keys) = KINDS
        .iter()
        .find(|row| row.0 == *kind)
        .map_or(("fault", &[][..]), |row| (row.1, row.2));
    foreign_keys(context, raw, own_keys)?;
    let span = window::window(context, block)?;
    check_counts(context, raw)?;
    let scope = scope::scope(context, served, raw)?;
    let effect = effect::effect(context, served.dialect, block)?;
    needs_readers(context, raw, &effect)?;
    has_a_form(context, served.dialect, raw, &effect)?;
    Ok(FaultPlan {
        id: format!("{name}#{position}"),
        effect,
        from: span.from,
        until: span.until,
        timetable: match effect::comings_and_goings(context, block)? {
            Some(timetable) => timetable,
            None => span.timetable,
        },
        scope,
        probability: raw.probability.as_ref().map_or(Share::ALL, |p| *p.get_ref()),
        first: raw.first.as_ref().map(|n| *n.get_ref()),
        // Every first attempt is every attempt.
        every: raw.every.as_ref().map(|n| *n.get_ref()).filter(|n| *n > 1),
    })
}

/// A key of another kind is a misunderstanding, not decoration.
fn foreign_keys(context: &Context<'_>, raw: &FaultBlock, own_keys: &[&str]) -> Resolved<()> {
    for (key, span) in raw.keys_of_kinds() {
        if let Some(span) = span.filter(|_| !own_keys.contains(&key)) {
            let kinds: Vec<&str> = KINDS
                .iter()
                .filter(|row| row.2.contains(&key))
                .map(|row| row.1)
                .collect();
            return context.fail(
                span,
                format!("`{key}` has no meaning for this kind of fault"),
                format!(
                    "remove it, or write a second [[provider.fault]] of a kind that has it: {}",
                    kinds.join(", ")
                ),
            );
        }
    }
    Ok(())
}

/// Counts and shares that leave somebody to hit.
fn check_counts(context: &Context<'_>, raw: &FaultBlock) -> Resolved<()> {
    let none = raw.probability.as_ref().filter(|p| p.get_ref().get() == 0.0);
    let zero = [&raw.first, &raw.every]
        .into_iter()
        .flatten()
        .find(|n| *n.get_ref() == 0);
    if let Some(span) = none.map(Spanned::span).or(zero.map(Spanned::span)) {
        return context.fail(
            span,
            "this fault hits nothing",
            "give it a probability above 0, and first and every above 0, or remove it",
        );
    }
    if let (Some(first), Some(every)) = (&raw.first, &raw.every)
        && first.get_ref() < every.get_ref()
    {
        return context.fail(
            first.span(),
            format!(
                "of the first {} attempts none is number {}: this fault hits nothing",
                first.get_ref(),
                every.get_ref()
            ),
            "first counts all attempts that the fault concerns, hit or not: make it at least every",
        );
    }
    Ok(())
}

/// A connection that is never accepted tells nothing to choose by.
fn needs_readers(context: &Context<'_>, raw: &FaultBlock, effect: &FaultEffect) -> Resolved<()> {
    if *effect != FaultEffect::RefuseConnection {
        return Ok(());
    }
    for (key, span) in raw.keys_of_choice() {
        if let Some(span) = span {
            return context.fail(
                span,
                format!("`{key}` cannot choose among connections that are refused"),
                "remove it: nobody reads a request that is never accepted; reset_before_headers is the nearest kind that can choose",
            );
        }
    }
    Ok(())
}

/// Not every dialect can express every fault.
fn has_a_form(context: &Context<'_>, dialect: Dialect, raw: &FaultBlock, effect: &FaultEffect) -> Resolved<()> {
    let (message, remedy) = match (effect, dialect) {
        (FaultEffect::MissingDone, Dialect::Gemini) => (
            "streams of the dialect gemini have no terminator that could be missing",
            "write kind = \"clean_eof\": it leaves out the frame that says the answer is complete",
        ),
        (FaultEffect::ContentFilter { .. }, Dialect::Ollama) => (
            "the dialect ollama has no content filter",
            "remove this fault, or give the provider another dialect",
        ),
        _ => return Ok(()),
    };
    context.fail(raw.kind.span(), format!("{message}: this can never happen"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Named {
        kind: FaultKind,
    }

    #[test]
    fn every_kind_is_read_by_the_name_that_it_is_told_by() {
        for (kind, name, _) in KINDS {
            let read: Named = toml::from_str(&format!("kind = \"{name}\"")).unwrap();
            assert_eq!(read.kind, kind);
        }
    }
}
