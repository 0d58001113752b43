//! The models of a provider, and what each costs.

use std::ops::Range;

use toml::Spanned;

use super::layers::Layers;
use super::{Context, Resolved};
use crate::file::{PriceBlock, ServedBlock};
use crate::plan::{Dialect, ModelPlan, Price};
use crate::prices;
use crate::units::Picodollars;

/// Bounds a provider's list of models, which goes out in one piece.
const MOST_FURTHER_MODELS: usize = 64;
const LONGEST_NAME: usize = 200;
const DEAREST_USD_PER_MILLION: f64 = 10_000.0;
const DEAREST_CALL_USD: f64 = 100.0;

/// The provider's own model, then the further ones.
pub(super) fn models(
    context: &Context<'_>,
    layers: &Layers<'_>,
    dialect: Dialect,
    own: &Spanned<String>,
) -> Resolved<Vec<ModelPlan>> {
    let name = checked_name(context, own.span(), own.get_ref())?;
    let window = layers.pick(|block| block.context_window.as_ref());
    let family = layers.pick(|block| block.family.as_ref());
    let block = layers.pick(|block| block.price.as_ref());
    let mut models = vec![ModelPlan {
        family: match family {
            Some((context, family)) => checked_name(context, family.span(), family.get_ref())?,
            None => name.clone(),
        },
        context_window: match window {
            Some((context, window)) => Some(checked_window(context, window.span(), *window.get_ref())?),
            None => None,
        },
        price: price(context, dialect, (&name, own.span()), block.map(|(_, block)| block))?,
        name,
    }];
    if let Some((context, list)) = layers.pick(|block| block.also_serves.as_ref()) {
        if list.get_ref().len() > MOST_FURTHER_MODELS {
            return context.fail(
                list.span(),
                format!("{} further models are too many", list.get_ref().len()),
                format!("a provider also serves at most {MOST_FURTHER_MODELS} models: write a second [[provider]]"),
            );
        }
        for block in list.get_ref() {
            let further = further(context, dialect, block)?;
            if models.iter().any(|model| model.name == further.name) {
                return context.fail(
                    block.span(),
                    format!("the provider serves `{}` already", further.name),
                    "name every model once; `model` is the first of them",
                );
            }
            models.push(further);
        }
    }
    Ok(models)
}

fn further(context: &Context<'_>, dialect: Dialect, block: &Spanned<ServedBlock>) -> Resolved<ModelPlan> {
    let raw = block.get_ref();
    let name = checked_name(context, block.span(), &raw.model)?;
    Ok(ModelPlan {
        family: match &raw.family {
            Some(family) => checked_name(context, block.span(), family)?,
            None => name.clone(),
        },
        context_window: raw
            .context_window
            .map(|window| checked_window(context, block.span(), window))
            .transpose()?,
        price: price(context, dialect, (&name, block.span()), raw.price.as_ref())?,
        name,
    })
}

/// Names travel in paths, headers and JSON.
fn checked_name(context: &Context<'_>, span: Range<usize>, name: &str) -> Resolved<String> {
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(name.to_owned());
    }
    context.fail(
        span,
        format!("`{name}` cannot be the name of a model or of a family of models"),
        format!("write from 1 to {LONGEST_NAME} characters of printable ASCII without blanks, as in requests"),
    )
}

fn checked_window(context: &Context<'_>, span: Range<usize>, window: u64) -> Resolved<u64> {
    if window == 0 {
        return context.fail(
            span,
            "nothing fits into a context window of 0 tokens",
            "write a number above 0, such as 128_000, or leave context_window out: then anything fits",
        );
    }
    Ok(window)
}

fn price(
    context: &Context<'_>,
    dialect: Dialect,
    (model, span): (&str, Range<usize>),
    block: Option<&Spanned<PriceBlock>>,
) -> Resolved<Price> {
    if let Some(block) = block {
        return own_price(context, block);
    }
    if dialect == Dialect::Ollama {
        // It runs on the caller's own machine.
        let free = Picodollars(0);
        return Ok(Price {
            prompt: free,
            cached: free,
            cache_write: free,
            completion: free,
            per_call: free,
        });
    }
    match prices::list_price(model) {
        Some(row) => Ok(row.price),
        None => context.fail(
            span,
            format!("the price of `{model}` is not known"),
            format!(
                "add price = {{ prompt_usd_per_million = ..., completion_usd_per_million = ... }}, or use one of: {}",
                prices::known_models().collect::<Vec<_>>().join(", ")
            ),
        ),
    }
}

fn own_price(context: &Context<'_>, block: &Spanned<PriceBlock>) -> Resolved<Price> {
    let raw = block.get_ref();
    let prompt = raw.prompt_usd_per_million;
    let all = [
        prompt,
        raw.cached_usd_per_million.unwrap_or(prompt),
        raw.cache_write_usd_per_million.unwrap_or(prompt),
        raw.completion_usd_per_million,
    ];
    if all.iter().any(|usd| !(0.0..=DEAREST_USD_PER_MILLION).contains(usd)) {
        return context.fail(
            block.span(),
            "a price is below 0 or above 10000 US dollars per million tokens",
            "prices are in US dollars per million tokens, such as 0.15",
        );
    }
    let per_call = raw.per_call_usd.unwrap_or(0.0);
    if !(0.0..=DEAREST_CALL_USD).contains(&per_call) {
        return context.fail(
            block.span(),
            "a price for a call is below 0 or above 100 US dollars",
            "per_call_usd is in US dollars for one call, such as 0.0005",
        );
    }
    let [prompt, cached, cache_write, completion] = all.map(prices::per_million);
    Ok(Price {
        prompt,
        cached,
        cache_write,
        completion,
        per_call: Picodollars(libm::round(per_call * 1e12) as u64),
    })
}
