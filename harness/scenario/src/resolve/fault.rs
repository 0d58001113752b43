//! Fault blocks to fault plans: the window, the share, and the keys that belong to the kind.

use toml::Spanned;

use super::{Context, Resolved, checked};
use crate::file::{FaultBlock, FaultKind};
use crate::plan::{FaultEffect, FaultPlan};
use crate::units::{Micros, Share};

pub(super) fn faults(context: &Context<'_>, blocks: &[Spanned<FaultBlock>]) -> Resolved<Vec<FaultPlan>> {
    blocks
        .iter()
        .enumerate()
        .map(|(position, block)| fault(context, position, block))
        .collect()
}

fn fault(context: &Context<'_>, position: usize, block: &Spanned<FaultBlock>) -> Resolved<FaultPlan> {
    let raw = block.get_ref();
    let from = raw.from.as_ref().map_or(Micros::ZERO, |f| *f.get_ref());
    let until = raw.until.as_ref().map_or(context.duration, |u| *u.get_ref());
    let span = |bound: &Option<Spanned<Micros>>| bound.as_ref().map_or_else(|| block.span(), Spanned::span);
    if from >= context.duration {
        return context.fail(
            span(&raw.from),
            format!(
                "this fault begins at {from}, but the run ends at {}: it can never happen",
                context.duration
            ),
            "begin it earlier, or make the run longer",
        );
    }
    if until <= from {
        return context.fail(
            span(&raw.until),
            format!("this fault ends at {until} and begins at {from}: it can never happen"),
            "until is an instant seen from the start of the run, not a length: write one after from",
        );
    }
    if until > context.duration {
        return context.fail(
            span(&raw.until),
            format!(
                "this fault ends at {until}, after the end of the run at {}",
                context.duration
            ),
            "end it within the run, or leave until out",
        );
    }
    let probability = raw.probability.unwrap_or(Share::ALL);
    if probability.get() == 0.0 || raw.first == Some(0) {
        return context.fail(
            block.span(),
            "this fault hits nothing",
            "give it a probability above 0 and first above 0, or remove it",
        );
    }
    let kind = *raw.kind.get_ref();
    foreign_keys(context, kind, raw)?;
    let (name, effect) = match kind {
        FaultKind::Status => ("status", status(context, block)?),
        FaultKind::LatencySpike => ("latency_spike", latency_spike(context, block)?),
    };
    Ok(FaultPlan {
        id: format!("{name}#{position}"),
        effect,
        from,
        until,
        probability,
        first: raw.first,
    })
}

fn status(context: &Context<'_>, block: &Spanned<FaultBlock>) -> Resolved<FaultEffect> {
    let Some(status) = &block.get_ref().status else {
        return context.fail(
            block.span(),
            "a status fault has no status",
            "add status = 503 or the like",
        );
    };
    if !(400..=599).contains(status.get_ref()) {
        return context.fail(
            status.span(),
            format!("{} is not an error status", status.get_ref()),
            "write a status from 400 to 599",
        );
    }
    let retry_after = block.get_ref().retry_after.as_ref().map(|r| *r.get_ref());
    Ok(FaultEffect::Status {
        status: *status.get_ref(),
        retry_after,
    })
}

fn latency_spike(context: &Context<'_>, block: &Spanned<FaultBlock>) -> Resolved<FaultEffect> {
    let raw = block.get_ref();
    let times = |spanned: &Option<Spanned<crate::file::Times>>| {
        spanned
            .as_ref()
            .map(|s| checked(context, &s.span(), &s.get_ref().0))
            .transpose()
    };
    let (first_token, inter_token) = (times(&raw.first_token)?, times(&raw.inter_token)?);
    if first_token.is_none() && inter_token.is_none() {
        return context.fail(
            block.span(),
            "a latency spike that changes no latency",
            "add first_token, inter_token or both",
        );
    }
    Ok(FaultEffect::LatencySpike {
        first_token,
        inter_token,
    })
}

/// A key of another kind is a misunderstanding, not decoration.
fn foreign_keys(context: &Context<'_>, kind: FaultKind, raw: &FaultBlock) -> Resolved<()> {
    let found = match kind {
        FaultKind::Status => raw
            .first_token
            .as_ref()
            .map(|k| (k.span(), "first_token"))
            .or(raw.inter_token.as_ref().map(|k| (k.span(), "inter_token"))),
        FaultKind::LatencySpike => raw
            .status
            .as_ref()
            .map(|k| (k.span(), "status"))
            .or(raw.retry_after.as_ref().map(|k| (k.span(), "retry_after"))),
    };
    match found {
        None => Ok(()),
        Some((span, key)) => context.fail(
            span,
            format!("`{key}` has no meaning for this kind of fault"),
            "remove it, or write a second [[provider.fault]] of the kind that has it",
        ),
    }
}
