//! Which prompts are asked for: how many there are, and how unevenly.

use toml::Spanned;

use super::super::{Context, Resolved};
use crate::file::PromptsBlock;
use crate::plan::PromptsPlan;
use crate::questions::meanings;

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
    if raw.questions == Some(true) {
        return questions(context, block, exponent);
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

fn questions(context: &Context<'_>, block: &Spanned<PromptsBlock>, exponent: f64) -> Resolved<PromptsPlan> {
    let all = meanings().len() as u64;
    let distinct = block.get_ref().distinct.unwrap_or(all);
    if !(1..=all).contains(&distinct) {
        return context.fail(
            block.span(),
            format!("there are {all} different questions"),
            format!("write distinct = {all} or less, or leave it out"),
        );
    }
    Ok(PromptsPlan::of_questions(distinct, exponent))
}
