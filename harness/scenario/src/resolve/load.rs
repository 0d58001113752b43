//! Load blocks to load plans: the base of the file with the variant's changes on top.

use std::ops::Range;

use toml::Spanned;

use super::{Context, Resolved, checked};
use crate::distribution::Distribution;
use crate::file::{ArrivalsBlock, ClientBlock, DisconnectBlock, LoadBlock, StepBlock};
use crate::plan::{Arrivals, ClientPlan, Disconnect, Endpoint, LeaveAfter, LoadPlan};
use crate::units::{Micros, PerSecond, Share};

const DEFAULT_POLL: Micros = Micros::from_millis(500);
const DEFAULT_PROMPT_TOKENS: f64 = 100.0;
const DEFAULT_MAX_TOKENS: u64 = 4096;
/// Bounds the schedule, and with it memory.
const MOST_REQUESTS: f64 = 5e6;
const MOST_USERS: u32 = 10_000;
const MOST_TOKENS: f64 = 1e6;

pub(super) fn load(context: &Context<'_>, base: &Spanned<LoadBlock>, patch: &LoadBlock) -> Resolved<LoadPlan> {
    let raw = base.get_ref();
    macro_rules! pick {
        ($field:ident) => {
            patch.$field.as_ref().or(raw.$field.as_ref())
        };
    }
    let Some(arrivals) = pick!(arrivals) else {
        return context.fail(
            base.span(),
            "the load has no arrivals",
            "add arrivals = { kind = \"poisson\", rate = \"5/s\" }",
        );
    };
    let endpoint = patch.endpoint.or(raw.endpoint).unwrap_or(Endpoint::Chat);
    let poll = pick!(poll).map_or(DEFAULT_POLL, |p| *p.get_ref());
    if let Some(spanned) = pick!(poll).filter(|_| poll < Micros::from_millis(1)) {
        return context.fail(
            spanned.span(),
            "this poll interval is below a millisecond",
            "write 1ms or more",
        );
    }
    let prompt_tokens = match pick!(prompt_tokens) {
        None => Distribution::Constant {
            value: DEFAULT_PROMPT_TOKENS,
        },
        Some(spanned) => checked(context, &spanned.span(), &spanned.get_ref().0)?,
    };
    if let Some(spanned) = pick!(prompt_tokens).filter(|_| prompt_tokens.upper() > MOST_TOKENS) {
        return context.fail(
            spanned.span(),
            "prompts above a million tokens",
            "keep prompts below a million tokens",
        );
    }
    let max_tokens = pick!(max_tokens).map_or(DEFAULT_MAX_TOKENS, |m| *m.get_ref());
    if let Some(spanned) = pick!(max_tokens).filter(|_| max_tokens == 0 || max_tokens as f64 > MOST_TOKENS) {
        return context.fail(
            spanned.span(),
            "max_tokens is out of range",
            "write a number from 1 to a million",
        );
    }
    Ok(LoadPlan {
        arrivals: self::arrivals(context, arrivals)?,
        endpoint,
        watch: patch.watch.or(raw.watch).unwrap_or_default(),
        poll,
        prompt_tokens,
        max_tokens,
        patience: patch.patience.or(raw.patience),
        clients: clients(
            context,
            endpoint,
            &base.span(),
            pick!(client).map_or(&[], Vec::as_slice),
        )?,
    })
}

fn arrivals(context: &Context<'_>, block: &Spanned<ArrivalsBlock>) -> Resolved<Arrivals> {
    let (resolved, mean) = match block.get_ref() {
        ArrivalsBlock::Constant { rate } => (Arrivals::Constant { rate: *rate }, rate.0),
        ArrivalsBlock::Poisson { rate } => (Arrivals::Poisson { rate: *rate }, rate.0),
        ArrivalsBlock::Ramp { from, to } => (Arrivals::Ramp { from: *from, to: *to }, f64::midpoint(from.0, to.0)),
        ArrivalsBlock::Steps { steps } => return self::steps(context, block, steps),
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

fn clients(
    context: &Context<'_>,
    endpoint: Endpoint,
    load: &Range<usize>,
    blocks: &[Spanned<ClientBlock>],
) -> Resolved<Vec<ClientPlan>> {
    let mut clients = Vec::with_capacity(blocks.len() + 1);
    let mut sum = 0.0;
    for block in blocks {
        sum += block.get_ref().share.get();
        let disconnect = block
            .get_ref()
            .disconnect
            .as_ref()
            .map(|d| disconnect(context, endpoint, d))
            .transpose()?;
        clients.push(ClientPlan {
            name: None,
            share: block.get_ref().share,
            key: None,
            reads: None,
            disconnect,
        });
    }
    let rest = 1.0 - sum;
    if rest < -1e-9 {
        let span = blocks.last().map_or_else(|| load.clone(), Spanned::span);
        return context.fail(
            span,
            format!("the shares of the clients sum to {sum:.3}, more than all of them"),
            "shares are parts of 1; what is left over are patient clients",
        );
    }
    if rest > 1e-9 {
        // The share is rounded so that 1 - 0.1 reads 0.9 in the plan.
        let share = Share::try_from(libm::round(rest * 1e9) / 1e9).unwrap_or(Share::ALL);
        clients.push(ClientPlan {
            name: None,
            share,
            key: None,
            reads: None,
            disconnect: None,
        });
    }
    Ok(clients)
}

fn disconnect(context: &Context<'_>, endpoint: Endpoint, block: &Spanned<DisconnectBlock>) -> Resolved<Disconnect> {
    let raw = block.get_ref();
    let after = match (&raw.after_tokens, &raw.after) {
        (Some(tokens), None) if matches!(endpoint, Endpoint::Stream | Endpoint::CompletionsStream) => {
            LeaveAfter::Tokens(checked(context, &block.span(), &tokens.0)?)
        }
        (Some(_), None) => {
            return context.fail(
                block.span(),
                "after_tokens needs a stream: other answers arrive whole",
                "set endpoint = \"stream\", or leave after a time: disconnect = { after = \"2s\" }",
            );
        }
        (None, Some(time)) => LeaveAfter::Time(checked(context, &block.span(), &time.0)?),
        _ => {
            return context.fail(
                block.span(),
                "a client leaves after a number of tokens or after a time",
                "write exactly one of after_tokens and after",
            );
        }
    };
    Ok(Disconnect { after, how: raw.how })
}
