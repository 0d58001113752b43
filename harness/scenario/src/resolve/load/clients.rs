//! Kinds of clients: shares that make up the whole, keys that can be sent, and how each reads and leaves.

use std::ops::Range;

use toml::Spanned;

use super::super::{A_TASK, Context, Resolved, check_name, checked, is_task};
use crate::file::{AgainBlock, ClientBlock, DisconnectBlock, ReadBlock};
use crate::plan::{Again, ClientPlan, Disconnect, Endpoint, LeaveAfter, SlowRead};
use crate::units::Share;

const LONGEST_KEY: usize = 200;

pub(super) fn clients(
    context: &Context<'_>,
    endpoint: Endpoint,
    load: &Range<usize>,
    blocks: &[Spanned<ClientBlock>],
) -> Resolved<Vec<ClientPlan>> {
    let mut clients = Vec::with_capacity(blocks.len() + 1);
    let mut sum = 0.0;
    for block in blocks {
        sum += block.get_ref().share.get();
        clients.push(client(context, endpoint, block.get_ref())?);
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
            idempotent: false,
            task: None,
            reads: None,
            disconnect: None,
            again: None,
        });
    }
    Ok(clients)
}

fn client(context: &Context<'_>, endpoint: Endpoint, raw: &ClientBlock) -> Resolved<ClientPlan> {
    if let Some(name) = &raw.name {
        check_name(context, name, "kind of client")?;
    }
    if let Some(key) = raw.key.as_ref().filter(|key| !is_token(key.get_ref())) {
        return context.fail(
            key.span(),
            "this cannot be sent as an API key",
            format!("write 1 to {LONGEST_KEY} visible ASCII characters"),
        );
    }
    if let Some(task) = raw.task.as_ref().filter(|task| !is_task(task.get_ref())) {
        return context.fail(task.span(), "this cannot be sent as a task", A_TASK);
    }
    let leaves = raw.disconnect.as_ref().map(|d| disconnect(context, endpoint, d));
    Ok(ClientPlan {
        name: raw.name.as_ref().map(|name| name.get_ref().clone()),
        share: raw.share,
        key: raw.key.as_ref().map(|key| key.get_ref().clone()),
        idempotent: raw.idempotent.unwrap_or(false),
        task: raw.task.as_ref().map(|task| task.get_ref().clone()),
        reads: raw.read.as_ref().map(|read| reads(context, read)).transpose()?,
        disconnect: leaves.transpose()?,
        again: raw.again.as_ref().map(|block| again(context, block)).transpose()?,
    })
}

fn again(context: &Context<'_>, block: &Spanned<AgainBlock>) -> Resolved<Again> {
    let raw = block.get_ref();
    Ok(Again {
        after: checked(context, &block.span(), &raw.after.0)?,
        probability: raw.probability.unwrap_or(Share::ALL),
    })
}

fn is_token(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
}

fn reads(context: &Context<'_>, block: &Spanned<ReadBlock>) -> Resolved<SlowRead> {
    match (block.get_ref().bytes_per_second, block.get_ref().stops_after_bytes) {
        (Some(bytes_per_second @ 1..), None) => Ok(SlowRead::Rate { bytes_per_second }),
        (None, Some(after_bytes)) => Ok(SlowRead::Stops { after_bytes }),
        (Some(0), None) => context.fail(
            block.span(),
            "a client that reads no byte a second never reads its answer",
            "write bytes_per_second = 100, or stops_after_bytes = 0",
        ),
        _ => context.fail(
            block.span(),
            "a client reads slowly or stops reading",
            "write exactly one of bytes_per_second and stops_after_bytes",
        ),
    }
}

fn disconnect(context: &Context<'_>, endpoint: Endpoint, block: &Spanned<DisconnectBlock>) -> Resolved<Disconnect> {
    let raw = block.get_ref();
    let after = match (&raw.after_tokens, &raw.after) {
        (Some(tokens), None) if endpoint.is_stream() => LeaveAfter::Tokens(checked(context, &block.span(), &tokens.0)?),
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
