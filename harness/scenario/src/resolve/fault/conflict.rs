//! Faults that stand in each other's way: what can never happen, and what two claim at once.
//!
//! Only what is certain is refused. A fault with a probability, a count or lengths to draw leaves room for others.

use super::{Placed, Resolved};
use crate::plan::{FaultEffect, FaultPlan, Scope, Timetable};
use crate::units::{Micros, Share};

type Span = (Micros, Micros);

pub(super) fn check(faults: &[Placed<'_>]) -> Resolved<()> {
    for (position, later) in faults.iter().enumerate() {
        for earlier in &faults[..position] {
            // Whoever is not let in meets no other fault, wherever it stands in the file.
            if refuses(&later.plan) && !refuses(&earlier.plan) {
                pair(later, earlier)?;
            } else {
                pair(earlier, later)?;
            }
        }
    }
    Ok(())
}

/// Refuses `loser` for what `winner` takes away from it.
fn pair(winner: &Placed<'_>, loser: &Placed<'_>) -> Resolved<()> {
    let taken = winner.plan.scope == Scope::default() || winner.plan.scope == loser.plan.scope;
    if !is_certain(&winner.plan) || !taken {
        return Ok(());
    }
    let (claimed, wanted) = (spans(&winner.plan), spans(&loser.plan));
    let (locked_out, winner, plan) = (refuses(&winner.plan), &winner.plan.id, &loser.plan);
    if wanted
        .iter()
        .all(|wanted| claimed.iter().any(|claimed| contains(*claimed, *wanted)))
    {
        return loser.context.fail(
            loser.span.clone(),
            format!(
                "{} from {} to {} can never happen: {winner} takes every attempt of that time before it",
                plan.id,
                plan.from,
                instant(plan.until)
            ),
            if locked_out {
                format!("give it a time of its own: while {winner} is there, nobody is let in")
            } else {
                format!(
                    "give it a time of its own, put it before {winner}, or give {winner} a probability, first, every or scope"
                )
            },
        );
    }
    let in_part = wanted
        .iter()
        .flat_map(|wanted| claimed.iter().filter_map(|claimed| shared(*claimed, *wanted)))
        .next();
    if let Some((from, until)) = in_part.filter(|_| is_certain(plan)) {
        return loser.context.fail(
            loser.span.clone(),
            format!(
                "{winner} and {} both claim every attempt from {from} to {}",
                plan.id,
                instant(until)
            ),
            format!(
                "{winner} would win: end one where the other begins, or give one a probability, first, every or scope"
            ),
        );
    }
    Ok(())
}

/// An instant for people: providers that stand alone have no end.
fn instant(at: Micros) -> String {
    match at {
        Micros(u64::MAX) => "the end of time".to_owned(),
        at => at.to_string(),
    }
}

fn refuses(fault: &FaultPlan) -> bool {
    fault.effect == FaultEffect::RefuseConnection
}

/// Whether every attempt that it concerns suffers while it is there.
fn is_certain(fault: &FaultPlan) -> bool {
    let spares_some = matches!(
        fault.effect,
        FaultEffect::MissingDone | FaultEffect::DuplicateFrame { .. } | FaultEffect::GarbageOutput
    );
    let always_there = !matches!(fault.timetable, Timetable::OnOff { .. });
    fault.probability == Share::ALL && fault.first.is_none() && fault.every.is_none() && always_there && !spares_some
}

/// When it may be there.
fn spans(fault: &FaultPlan) -> Vec<Span> {
    match &fault.timetable {
        Timetable::Windows(windows) => windows.clone(),
        Timetable::Throughout | Timetable::OnOff { .. } => vec![(fault.from, fault.until)],
    }
}

fn contains(outer: Span, inner: Span) -> bool {
    outer.0 <= inner.0 && inner.1 <= outer.1
}

/// What two spans share, where each has something of its own too. A short fault within a longer one that stands after it
/// in the file is an exception from that, not a conflict.
fn shared(claimed: Span, wanted: Span) -> Option<Span> {
    let both = (claimed.0.max(wanted.0), claimed.1.min(wanted.1));
    (both.0 < both.1 && !contains(wanted, claimed)).then_some(both)
}
