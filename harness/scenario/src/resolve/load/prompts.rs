//! Which prompts are asked for: how many there are, and how unevenly.

use toml::Spanned;

use super::super::{Context, Resolved};
use crate::file::PromptsBlock;
use crate::plan::PromptsPlan;

/// Bounds the table that popularity is drawn from: 8 MB.
const MOST_DISTINCT: u64 = 1_000_000;
const STEEPEST: f64 = 5.0;
const DEFAULT_EXPONENT: f64 = 1.0;

pub(super) fn prompts(context: &Context<'_>, block: &Spanned<PromptsBlock>) -> Resolved<PromptsPlan> {
    let raw = block.get_ref();
    let exponent = raw.exponent.unwrap_or(DEFAULT_EXPONENT);
    if !(0.0..=STEEPEST).contains(&exponent) {
        return context.fail(
            block.span(),
            "the exponent of the prompts' popularity is out of range",
            "write a number from 0 (all alike) to 5 (nearly always the same); 1.0 is Zipf's law",
        );
    }
    let Some(distinct) = raw.distinct.filter(|distinct| (1..=MOST_DISTINCT).contains(distinct)) else {
        return context.fail(
            block.span(),
            "how many different prompts there are is missing or out of range",
            "write distinct = 200, or another number from 1 to a million",
        );
    };
    Ok(PromptsPlan::new(distinct, exponent))
}
