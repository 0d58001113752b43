//! Arrivals: rates that can be drawn from, and neither no request nor too many.

use toml::Spanned;

use super::super::{Context, Resolved, SHORTEST_STRETCH, checked};
use crate::file::{ArrivalsBlock, StepBlock};
use crate::plan::Arrivals;
use crate::units::{Micros, PerSecond};

/// Bounds the schedule, and with it memory.
const MOST_REQUESTS: f64 = 5e6;
const MOST_USERS: u32 = 10_000;
/// Shapes of the gamma distribution from 0.01 to 100.
const BURSTINESS: std::ops::RangeInclusive<f64> = 0.01..=100.0;

pub(super) fn arrivals(context: &Context<'_>, block: &Spanned<ArrivalsBlock>) -> Resolved<Arrivals> {
    let (resolved, mean) = match block.get_ref() {
        ArrivalsBlock::Constant { rate } => (Arrivals::Constant { rate: *rate }, rate.0),
        ArrivalsBlock::Poisson { rate } => (Arrivals::Poisson { rate: *rate }, rate.0),
        ArrivalsBlock::Ramp { from, to } => (Arrivals::Ramp { from: *from, to: *to }, f64::midpoint(from.0, to.0)),
        ArrivalsBlock::Steps { steps } => return self::steps(context, block, steps),
        ArrivalsBlock::Gamma { rate, burstiness } => {
            if !BURSTINESS.contains(burstiness) {
                let (least, most) = (BURSTINESS.start(), BURSTINESS.end());
                return context.fail(
                    block.span(),
                    format!("arrivals cannot be drawn with a burstiness of {burstiness}"),
                    format!(
                        "write a burstiness from {least} to {most}: 1 is as independent arrivals, 4 comes in clusters"
                    ),
                );
            }
            let (rate, burstiness) = (*rate, *burstiness);
            (Arrivals::Gamma { rate, burstiness }, rate.0)
        }
        ArrivalsBlock::Spike {
            rate,
            peak,
            from,
            until,
        } => return spike(context, block, (*rate, *peak), (*from, *until)),
        ArrivalsBlock::OnOff { rate, on, off } => {
            if *on < SHORTEST_STRETCH || *off < SHORTEST_STRETCH {
                return context.fail(
                    block.span(),
                    format!("arrivals cannot come for {on} and stay away for {off}"),
                    format!("write times of {SHORTEST_STRETCH} and more"),
                );
            }
            let share = on.as_secs_f64() / on.plus(*off).as_secs_f64();
            let (rate, on, off) = (*rate, *on, *off);
            (Arrivals::OnOff { rate, on, off }, rate.0 * share)
        }
        ArrivalsBlock::Closed { users, think } => {
            if *users == 0 || *users > MOST_USERS {
                return context.fail(
                    block.span(),
                    format!("{users} users cannot be played"),
                    format!("write users from 1 to {MOST_USERS}"),
                );
            }
            let think = checked(context, &block.span(), &think.0)?;
            return Ok(Arrivals::Closed { users: *users, think });
        }
    };
    bounded(context, block, mean)?;
    Ok(resolved)
}

fn steps(context: &Context<'_>, block: &Spanned<ArrivalsBlock>, steps: &[StepBlock]) -> Resolved<Arrivals> {
    let total: Micros = steps.iter().fold(Micros::ZERO, |sum, step| sum.plus(step.lasts));
    if steps.is_empty() || steps.iter().any(|step| step.lasts == Micros::ZERO) || total > context.duration {
        return context.fail(
            block.span(),
            format!("steps of {total} in all do not fit a run of {}", context.duration),
            "write at least one { rate, lasts }, each longer than nothing, together no longer than the duration",
        );
    }
    let requests: f64 = steps.iter().map(|step| step.rate.0 * step.lasts.as_secs_f64()).sum();
    let rest = context.duration.since(total).as_secs_f64() * steps.last().map_or(0.0, |step| step.rate.0);
    bounded(context, block, (requests + rest) / context.duration.as_secs_f64())?;
    let steps = steps.iter().map(|step| (step.lasts, step.rate)).collect();
    Ok(Arrivals::Steps { steps })
}

fn spike(
    context: &Context<'_>,
    block: &Spanned<ArrivalsBlock>,
    (rate, peak): (PerSecond, PerSecond),
    (from, until): (Micros, Micros),
) -> Resolved<Arrivals> {
    if from >= until || until > context.duration {
        return context.fail(
            block.span(),
            format!(
                "a spike from {from} until {until} does not fit a run of {}",
                context.duration
            ),
            "write from and until, one after the other, within the duration",
        );
    }
    let share = until.since(from).as_secs_f64() / context.duration.as_secs_f64();
    bounded(context, block, rate.0 + (peak.0 - rate.0) * share)?;
    Ok(Arrivals::Spike {
        rate,
        peak,
        from,
        until,
    })
}

/// Refuses a load of no request or too many.
fn bounded(context: &Context<'_>, block: &Spanned<ArrivalsBlock>, mean: f64) -> Resolved<()> {
    let requests = mean * context.duration.as_secs_f64();
    if !(requests > 0.0 && requests <= MOST_REQUESTS) {
        return context.fail(
            block.span(),
            format!(
                "{} for {} makes {requests:.0} requests",
                PerSecond(mean),
                context.duration
            ),
            format!("a run plays from one to {MOST_REQUESTS:.0} requests: change the rate or the duration"),
        );
    }
    Ok(())
}
