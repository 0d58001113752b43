//! Load blocks to load plans: the base of the file with the variant's changes on top.
//!
//! `arrivals`, `clients`, `prompts` and `history` have files of their own; `unread` refuses what these leave no meaning.

mod arrivals;
mod clients;
mod history;
mod prompts;
mod unread;

use toml::Spanned;

use super::{Context, Resolved, checked};
use crate::distribution::Distribution;
use crate::file::LoadBlock;
use crate::plan::{Endpoint, LoadPlan};
use crate::units::Micros;

const DEFAULT_POLL: Micros = Micros::from_millis(500);
const DEFAULT_PROMPT_TOKENS: f64 = 100.0;
const DEFAULT_MAX_TOKENS: u64 = 4096;
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
    unread::check(
        context,
        endpoint,
        &unread::Keys {
            prompts: pick!(prompts).map(Spanned::get_ref),
            prompt_tokens: pick!(prompt_tokens).map(Spanned::span),
            history: pick!(history).map(Spanned::span),
            max_tokens: pick!(max_tokens).map(Spanned::span),
            output: pick!(output),
            clients: pick!(client).map_or(&[], Vec::as_slice),
        },
    )?;
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
        arrivals: arrivals::arrivals(context, arrivals)?,
        endpoint,
        watch: patch.watch.or(raw.watch).unwrap_or_default(),
        poll,
        output: pick!(output).map(|output| *output.get_ref()).unwrap_or_default(),
        prompts: pick!(prompts)
            .map(|block| prompts::prompts(context, block))
            .transpose()?,
        prompt_tokens,
        history: pick!(history)
            .map(|block| history::history(context, block))
            .transpose()?,
        max_tokens,
        patience: patch.patience.or(raw.patience),
        clients: clients::clients(
            context,
            endpoint,
            &base.span(),
            pick!(client).map_or(&[], Vec::as_slice),
        )?,
    })
}
