//! Provider blocks to provider plans: the base of the file with the variant's changes on top, limits and price.

use toml::Spanned;

use super::{Context, Resolved, check_name, checked, fault};
use crate::distribution::Distribution;
use crate::file::{OnDisconnectBlock, PriceBlock, ProviderBlock, RateLimitBlock, Times, VariantBlock};
use crate::plan::{Dialect, OnDisconnect, Price, ProviderPlan, RateLimits};
use crate::prices;
use crate::units::{Micros, Share};

pub(super) fn provider(
    context: &Context<'_>,
    base: &Spanned<ProviderBlock>,
    variant: &VariantBlock,
) -> Resolved<ProviderPlan> {
    let raw = base.get_ref();
    let Some(name) = &raw.name else {
        return context.fail(
            base.span(),
            "a provider has no name",
            "write name = \"primary\" or the like",
        );
    };
    check_name(context, name, "provider")?;
    let none = ProviderBlock::default();
    let patch = variant
        .provider
        .iter()
        .find(|(key, _)| key.get_ref() == name.get_ref())
        .map_or(&none, |(_, patch)| patch);
    macro_rules! pick {
        ($field:ident) => {
            patch.$field.as_ref().or(raw.$field.as_ref())
        };
    }
    let required = |what: &str, example: &str| {
        context.source.error(
            base.span(),
            format!("provider `{}` has no {what}", name.get_ref()),
            format!("add {what} = {example}"),
        )
    };
    let Some(model) = pick!(model) else {
        return Err(Box::new(required("model", "\"gpt-4o-mini\"")));
    };
    let Some(first_token) = pick!(first_token) else {
        return Err(Box::new(required(
            "first_token",
            "{ kind = \"lognormal\", p50 = \"350ms\", p99 = \"1.2s\" }",
        )));
    };
    let times = |spanned: &Spanned<Times>| checked(context, &spanned.span(), &spanned.get_ref().0);
    let on_disconnect = pick!(on_disconnect).map_or(OnDisconnect::Stop { lag: Micros::ZERO }, |b| match b.get_ref() {
        OnDisconnectBlock::Stop { lag } => OnDisconnect::Stop { lag: *lag },
        OnDisconnectBlock::RunToCompletion => OnDisconnect::RunToCompletion,
    });
    Ok(ProviderPlan {
        name: name.get_ref().clone(),
        dialect: patch.dialect.or(raw.dialect).unwrap_or(Dialect::OpenAi),
        first_token: times(first_token)?,
        inter_token: pick!(inter_token).map_or(Ok(Distribution::Constant { value: 0.0 }), times)?,
        output_tokens: pick!(output_tokens).map_or(Ok(Distribution::Constant { value: 200.0 }), |s| {
            checked(context, &s.span(), &s.get_ref().0)
        })?,
        on_disconnect,
        limits: pick!(limits).map(|l| rate_limits(context, l)).transpose()?,
        faults: fault::faults(context, pick!(fault).map_or(&[], Vec::as_slice))?,
        price: price(context, model, pick!(price))?,
        model: model.get_ref().clone(),
    })
}

fn rate_limits(context: &Context<'_>, block: &Spanned<RateLimitBlock>) -> Resolved<RateLimits> {
    let raw = block.get_ref();
    let zero = raw.requests_per_minute == Some(0) || raw.tokens_per_minute == Some(0);
    let none = raw.requests_per_minute.is_none() && raw.tokens_per_minute.is_none();
    let burst = raw.burst.unwrap_or(Share::ALL);
    if zero || none || burst.get() == 0.0 {
        return context.fail(
            block.span(),
            "these rate limits limit nothing or admit nothing",
            "write requests_per_minute and/or tokens_per_minute above 0, and a burst above 0",
        );
    }
    Ok(RateLimits {
        requests_per_minute: raw.requests_per_minute,
        tokens_per_minute: raw.tokens_per_minute,
        burst,
    })
}

fn price(context: &Context<'_>, model: &Spanned<String>, block: Option<&Spanned<PriceBlock>>) -> Resolved<Price> {
    if let Some(block) = block {
        let raw = block.get_ref();
        let cached = raw.cached_usd_per_million.unwrap_or(raw.prompt_usd_per_million);
        let all = [raw.prompt_usd_per_million, cached, raw.completion_usd_per_million];
        if all.iter().any(|usd| !(0.0..=10_000.0).contains(usd)) {
            return context.fail(
                block.span(),
                "a price is below 0 or above 10000 US dollars per million tokens",
                "prices are in US dollars per million tokens, such as 0.15",
            );
        }
        let [prompt, cached, completion] = all.map(prices::per_million);
        return Ok(Price {
            prompt,
            cached,
            completion,
        });
    }
    match prices::list_price(model.get_ref()) {
        Some(row) => Ok(row.price),
        None => context.fail(
            model.span(),
            format!("the price of `{}` is not known", model.get_ref()),
            format!(
                "add price = {{ prompt_usd_per_million = ..., completion_usd_per_million = ... }}, or use one of: {}",
                prices::known_models().collect::<Vec<_>>().join(", ")
            ),
        ),
    }
}
