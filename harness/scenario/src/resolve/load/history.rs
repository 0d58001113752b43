//! What was said before each prompt: how many turns, and how long they are.

use toml::Spanned;

use super::super::{Context, Resolved, checked};
use super::MOST_TOKENS;
use crate::conversation::MOST_TURNS;
use crate::distribution::Distribution;
use crate::file::HistoryBlock;
use crate::plan::HistoryPlan;

const DEFAULT_TOKENS: f64 = 100.0;

pub(super) fn history(context: &Context<'_>, block: &Spanned<HistoryBlock>) -> Resolved<HistoryPlan> {
    let turns = block.get_ref().turns;
    if !turns.is_multiple_of(2) || !(2..=MOST_TURNS).contains(&turns) {
        return context.fail(
            block.span(),
            format!("a history of {turns} turns cannot be: user and assistant alternate, and the assistant spoke last"),
            format!("write an even number from 2 to {MOST_TURNS}"),
        );
    }
    let tokens = match &block.get_ref().tokens {
        None => Distribution::Constant { value: DEFAULT_TOKENS },
        Some(tokens) => checked(context, &block.span(), &tokens.0)?,
    };
    if tokens.upper() * f64::from(turns) > MOST_TOKENS {
        return context.fail(
            block.span(),
            "a history above a million tokens",
            "keep turns times tokens below a million",
        );
    }
    Ok(HistoryPlan { turns, tokens })
}
