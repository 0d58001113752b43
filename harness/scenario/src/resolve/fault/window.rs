//! When a fault is there: from, until, and windows in between.

use toml::Spanned;

use super::{Context, Resolved};
use crate::file::FaultBlock;
use crate::plan::Timetable;
use crate::units::Micros;

/// Bounds a plan.
const MOST_WINDOWS: usize = 1_000;

/// The time of a fault.
pub(super) struct Window {
    pub(super) from: Micros,
    pub(super) until: Micros,
    pub(super) timetable: Timetable,
}

/// Without `from` and `until`, windows say by themselves where it begins and ends.
pub(super) fn window(context: &Context<'_>, block: &Spanned<FaultBlock>) -> Resolved<Window> {
    let raw = block.get_ref();
    let windows = raw.windows.as_ref().map(|windows| windows.get_ref().as_slice());
    if let Some(spanned) = &raw.windows {
        ascending(context, spanned)?;
    }
    let first = windows.and_then(|w| w.first()).map_or(Micros::ZERO, |w| w.0);
    let last = windows.and_then(|w| w.last()).map_or(context.duration, |w| w.1);
    let from = raw.from.as_ref().map_or(first, |f| *f.get_ref());
    let until = raw.until.as_ref().map_or(last, |u| *u.get_ref());
    within_the_run(context, block, from, until)?;
    if let Some(spanned) = raw.windows.as_ref().filter(|_| first < from || last > until) {
        return context.fail(
            spanned.span(),
            format!("a window lies outside the time from {from} to {until}"),
            "windows are instants seen from the start of the run, between from and until where these are there",
        );
    }
    Ok(Window {
        from,
        until,
        timetable: windows.map_or(Timetable::Throughout, |w| Timetable::Windows(w.to_vec())),
    })
}

fn within_the_run(context: &Context<'_>, block: &Spanned<FaultBlock>, from: Micros, until: Micros) -> Resolved<()> {
    let raw = block.get_ref();
    let span = |bound: &Option<Spanned<Micros>>| match (bound, &raw.windows) {
        (Some(bound), _) => bound.span(),
        (None, Some(windows)) => windows.span(),
        (None, None) => block.span(),
    };
    let end = context.duration;
    if from >= end {
        return context.fail(
            span(&raw.from),
            format!("this fault begins at {from}, but the run ends at {end}: it can never happen"),
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
    if until > end {
        return context.fail(
            span(&raw.until),
            format!("this fault ends at {until}, after the end of the run at {end}"),
            "end it within the run, or leave until out",
        );
    }
    Ok(())
}

fn ascending(context: &Context<'_>, spanned: &Spanned<Vec<(Micros, Micros)>>) -> Resolved<()> {
    let windows = spanned.get_ref();
    let in_order = windows.windows(2).all(|pair| pair[0].1 <= pair[1].0);
    if windows.is_empty() || windows.len() > MOST_WINDOWS || windows.iter().any(|w| w.0 >= w.1) || !in_order {
        return context.fail(
            spanned.span(),
            format!(
                "these windows are none, more than {MOST_WINDOWS}, without length, out of order, or they overlap"
            ),
            "write windows = [[\"10s\", \"12s\"], [\"20s\", \"21s\"]]: pairs of instants, each beginning where the one before has ended or later",
        );
    }
    Ok(())
}
