//! What happens to processes at stated times: events, and faults of what they depend on.

use std::ops::Range;

use toml::Spanned;

use super::super::{Context, Resolved};
use crate::file::{DependencyFaultBlock, DependencyWord, EventBlock, EventWord};
use crate::plan::{DependencyEffect, DependencyFaultPlan, EventKind, EventPlan};
use crate::units::Micros;

/// Bounds a plan.
const MOST_EVENTS: usize = 1_000;
const MOST_FAULTS: usize = 256;

/// The processes there can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostNames {
    pub(super) replicas: u32,
    pub(super) workers: u32,
}

impl HostNames {
    fn check(self, context: &Context<'_>, name: &Spanned<String>) -> Resolved<String> {
        let among = |prefix: &str, count: u32| {
            let number = name.get_ref().strip_prefix(prefix)?.parse::<u32>().ok()?;
            Some(number < count && *name.get_ref() == format!("{prefix}{number}"))
        };
        if among("service-", self.replicas).or(among("worker-", self.workers)) == Some(true) {
            return Ok(name.get_ref().clone());
        }
        let some = |prefix: &str, count: u32| match count {
            0 => None,
            1 => Some(format!("{prefix}0")),
            _ => Some(format!("{prefix}0 to {prefix}{}", count - 1)),
        };
        let known: Vec<String> = [some("service-", self.replicas), some("worker-", self.workers)]
            .into_iter()
            .flatten()
            .collect();
        context.fail(
            name.span(),
            format!("there is no process `{}` in this variant", name.get_ref()),
            format!(
                "it has {}; a variant can write its own list, such as event = [...]",
                known.join(" and ")
            ),
        )
    }
}

/// In the order of time; those of one instant in the order of the file.
pub(super) fn events(
    context: &Context<'_>,
    hosts: HostNames,
    blocks: &[Spanned<EventBlock>],
) -> Resolved<Vec<EventPlan>> {
    if let Some(block) = blocks.get(MOST_EVENTS) {
        return context.fail(
            block.span(),
            format!("this is event number {}", MOST_EVENTS + 1),
            format!("a run has at most {MOST_EVENTS} events"),
        );
    }
    let mut events = blocks
        .iter()
        .map(|block| event(context, hosts, block))
        .collect::<Resolved<Vec<_>>>()?;
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn event(context: &Context<'_>, hosts: HostNames, block: &Spanned<EventBlock>) -> Resolved<EventPlan> {
    let raw = block.get_ref();
    let at = *raw.at.get_ref();
    if at >= context.duration {
        return context.fail(
            raw.at.span(),
            format!(
                "this happens at {at}, but the run ends at {}: it can never happen",
                context.duration
            ),
            "let it happen earlier, or make the run longer",
        );
    }
    let (kind, own) = match raw.kind.get_ref() {
        EventWord::RollingRestart => ("rolling_restart", &["pause"][..]),
        EventWord::Terminate => ("terminate", &["host", "restart_after"][..]),
        EventWord::Kill => ("kill", &["host", "restart_after"][..]),
        EventWord::Flush => ("flush", &[][..]),
    };
    for (key, span) in raw.keys_of_kinds() {
        if let Some(span) = span.filter(|_| !own.contains(&key)) {
            return meaningless(context, span, key, kind, own);
        }
    }
    let host = || match &raw.host {
        Some(name) => hosts.check(context, name),
        None => context.fail(
            block.span(),
            format!("the event `{kind}` does not say whom it concerns"),
            "add host = \"service-0\", or another process of the variant",
        ),
    };
    let restart_after = raw.restart_after.as_ref().map(|after| *after.get_ref());
    let what = match raw.kind.get_ref() {
        EventWord::RollingRestart => EventKind::RollingRestart {
            pause: raw.pause.as_ref().map_or(Micros::ZERO, |pause| *pause.get_ref()),
        },
        EventWord::Terminate => EventKind::Terminate {
            host: host()?,
            restart_after,
        },
        EventWord::Kill => EventKind::Kill {
            host: host()?,
            restart_after,
        },
        EventWord::Flush => EventKind::Flush,
    };
    Ok(EventPlan { at, what })
}

fn meaningless<T>(context: &Context<'_>, span: Range<usize>, key: &str, kind: &str, own: &[&str]) -> Resolved<T> {
    let taken = if own.is_empty() {
        "nothing but at".to_owned()
    } else {
        own.join(" and ")
    };
    context.fail(
        span,
        format!("`{key}` has no meaning for `{kind}`"),
        format!("remove it; `{kind}` takes {taken}"),
    )
}

pub(super) fn dependency_faults(
    context: &Context<'_>,
    hosts: HostNames,
    blocks: &[Spanned<DependencyFaultBlock>],
) -> Resolved<Vec<DependencyFaultPlan>> {
    if let Some(block) = blocks.get(MOST_FAULTS) {
        return context.fail(
            block.span(),
            format!("this is dependency fault number {}", MOST_FAULTS + 1),
            format!("a run has at most {MOST_FAULTS}"),
        );
    }
    blocks
        .iter()
        .map(|block| dependency_fault(context, hosts, block))
        .collect()
}

fn dependency_fault(
    context: &Context<'_>,
    hosts: HostNames,
    block: &Spanned<DependencyFaultBlock>,
) -> Resolved<DependencyFaultPlan> {
    let raw = block.get_ref();
    let effect = match (raw.kind.get_ref(), &raw.latency) {
        (DependencyWord::Down, None) => DependencyEffect::Down,
        (DependencyWord::Hang, None) => DependencyEffect::Hang,
        (DependencyWord::Slow, Some(latency)) if *latency.get_ref() > Micros::ZERO => DependencyEffect::Slow {
            latency: *latency.get_ref(),
        },
        (DependencyWord::Slow, latency) => {
            return context.fail(
                latency.as_ref().map_or_else(|| raw.kind.span(), Spanned::span),
                "a slow dependency does not say how slow it is",
                "add latency = \"2s\": how much later every answer comes",
            );
        }
        (_, Some(latency)) => {
            return context.fail(
                latency.span(),
                "latency has no meaning here: this dependency does not answer at all",
                "remove it, or write kind = \"slow\"",
            );
        }
    };
    let (from, until) = window(context, block)?;
    if let Some(nobody) = raw.hosts.as_ref().filter(|names| names.get_ref().is_empty()) {
        return context.fail(
            nobody.span(),
            "this list has nobody in it",
            "name processes, or leave hosts out: then all suffer",
        );
    }
    let names = raw.hosts.iter().flat_map(Spanned::get_ref);
    Ok(DependencyFaultPlan {
        dependency: raw.dependency,
        effect,
        from,
        until,
        hosts: names.map(|name| hosts.check(context, name)).collect::<Resolved<_>>()?,
    })
}

fn window(context: &Context<'_>, block: &Spanned<DependencyFaultBlock>) -> Resolved<(Micros, Micros)> {
    let raw = block.get_ref();
    let from = raw.from.as_ref().map_or(Micros::ZERO, |from| *from.get_ref());
    let until = raw.until.as_ref().map_or(context.duration, |until| *until.get_ref());
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
    if until <= from || until > context.duration {
        return context.fail(
            span(&raw.until),
            format!(
                "this fault ends at {until}; it begins at {from}, and the run ends at {}",
                context.duration
            ),
            "until is an instant seen from the start of the run: write one after from and within the run, or leave it out",
        );
    }
    Ok((from, until))
}
