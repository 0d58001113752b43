//! Provider blocks to provider plans: every key from the uppermost layer that has it, within its bounds.

use std::collections::BTreeMap;

use toml::Spanned;

use super::layers::Layers;
use super::{A_TASK, Context, Resolved, check_name, checked, fault, is_task, lasting, models};
use crate::distribution::Distribution;
use crate::file::{
    CapacityBlock, OnDisconnectBlock, PromptCacheBlock, ProviderBlock, RateLimitBlock, SlowPeriodsBlock,
};
use crate::plan::{Capacity, Dialect, OnDisconnect, PromptCache, ProviderPlan, RateLimits, SlowPeriods};
use crate::units::{Micros, Share};

const DEFAULT_OUTPUT_TOKENS: f64 = 200.0;
/// A provider that needs longer than this for a prompt token is a typing error.
const LONGEST_PREFILL: Micros = Micros::from_secs(1);
const MOST_TASKS: usize = 16;
const SLOWEST: f64 = 1_000.0;
const MOST_SLOTS: u32 = 1_000_000;
/// What hosted providers keep of a prompt, and for how long, unless told otherwise.
const CACHE_DEFAULT: PromptCache = PromptCache {
    min_tokens: 1_024,
    granularity: 128,
    ttl: Micros::from_secs(300),
};

type Found<'a, T> = Option<(&'a Context<'a>, &'a Spanned<T>)>;

pub(super) fn provider(
    context: &Context<'_>,
    base: &Spanned<ProviderBlock>,
    patches: &BTreeMap<Spanned<String>, ProviderBlock>,
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
    let patch = patches
        .iter()
        .find(|(key, _)| key.get_ref() == name.get_ref())
        .map_or(&none, |(_, patch)| patch);
    let layers = Layers::of(context, patch, raw)?;
    macro_rules! pick {
        ($field:ident) => {
            layers.pick(|block| block.$field.as_ref())
        };
    }
    let missing = |what: &str, remedy: &str| {
        let message = format!("provider `{}` has no {what}", name.get_ref());
        Box::new(context.source.error(base.span(), message, remedy))
    };
    let (model_context, model) = pick!(model).ok_or_else(|| missing("model", "add model = \"gpt-4o-mini\""))?;
    let first_token = drawn(pick!(first_token))?.ok_or_else(|| {
        missing(
            "first_token",
            "add first_token = { kind = \"lognormal\", p50 = \"350ms\", p99 = \"1.2s\" }, or a model_class, such as model_class = \"hosted\"",
        )
    })?;
    let dialect = pick!(dialect).map_or(Dialect::OpenAi, |(_, dialect)| *dialect.get_ref());
    let models = models::models(model_context, &layers, dialect, model)?;
    let served = fault::Served {
        dialect,
        models: &models,
    };
    let constant = |value| Distribution::Constant { value };
    Ok(ProviderPlan {
        name: name.get_ref().clone(),
        dialect,
        tasks: tasks(pick!(tasks))?,
        first_token,
        inter_token: drawn(pick!(inter_token))?.unwrap_or(constant(0.0)),
        prefill: prefill(pick!(prefill))?,
        output_tokens: drawn(pick!(output_tokens))?.unwrap_or(constant(DEFAULT_OUTPUT_TOKENS)),
        reasoning_tokens: drawn(pick!(reasoning_tokens))?.unwrap_or(constant(0.0)),
        tool_calls: pick!(tool_calls).map_or(Share::ALL, |(_, share)| *share.get_ref()),
        slow_periods: slow_periods(pick!(slow_periods))?,
        capacity: capacity(pick!(capacity))?,
        prompt_cache: prompt_cache(pick!(prompt_cache))?,
        beginnings: pick!(beginnings).map_or_else(Default::default, |(_, word)| *word.get_ref()),
        on_disconnect: pick!(on_disconnect).map_or(OnDisconnect::Stop { lag: Micros::ZERO }, |(_, block)| match block
            .get_ref()
        {
            OnDisconnectBlock::Stop { lag } => OnDisconnect::Stop { lag: *lag },
            OnDisconnectBlock::RunToCompletion => OnDisconnect::RunToCompletion,
        }),
        bill_broken: pick!(bill_broken).is_none_or(|(_, bill)| *bill.get_ref()),
        limits: rate_limits(pick!(limits))?,
        faults: fault::faults(served, layers.faults())?,
        models,
    })
}

fn drawn<T: AsRef<Distribution>>(found: Found<'_, T>) -> Resolved<Option<Distribution>> {
    found
        .map(|(context, d)| checked(context, &d.span(), d.get_ref().as_ref()))
        .transpose()
}

fn tasks(found: Found<'_, Vec<String>>) -> Resolved<Vec<String>> {
    let Some((context, tasks)) = found else {
        return Ok(Vec::new());
    };
    if tasks.get_ref().len() <= MOST_TASKS && tasks.get_ref().iter().all(|task| is_task(task)) {
        return Ok(tasks.get_ref().clone());
    }
    context.fail(
        tasks.span(),
        "this does not say what a provider is meant for",
        format!("write at most {MOST_TASKS} words, such as tasks = [\"code\", \"summary\"]; {A_TASK}"),
    )
}

fn prefill(found: Found<'_, Micros>) -> Resolved<Micros> {
    match found {
        None => Ok(Micros::ZERO),
        Some((_, prefill)) if *prefill.get_ref() <= LONGEST_PREFILL => Ok(*prefill.get_ref()),
        Some((context, prefill)) => context.fail(
            prefill.span(),
            format!(
                "a prefill of {} for every token of the prompt is too long",
                prefill.get_ref()
            ),
            format!("it is the time of one token, such as \"250us\": write at most {LONGEST_PREFILL}"),
        ),
    }
}

fn slow_periods(found: Found<'_, SlowPeriodsBlock>) -> Resolved<Option<SlowPeriods>> {
    let Some((context, block)) = found else {
        return Ok(None);
    };
    let raw = block.get_ref();
    // A NaN is not above 0 either.
    if !(raw.factor > 0.0 && raw.factor <= SLOWEST) {
        return context.fail(
            block.span(),
            format!("slow periods cannot take {} times as long", raw.factor),
            format!("write a factor above 0 and up to {SLOWEST}, such as 5.0"),
        );
    }
    Ok(Some(SlowPeriods {
        every: lasting(context, &block.span(), raw.every.as_ref())?,
        lasts: lasting(context, &block.span(), raw.lasts.as_ref())?,
        factor: raw.factor,
    }))
}

fn capacity(found: Found<'_, CapacityBlock>) -> Resolved<Option<Capacity>> {
    let Some((context, block)) = found else {
        return Ok(None);
    };
    let (slots, queue) = (block.get_ref().slots, block.get_ref().queue.unwrap_or(0));
    if !(1..=MOST_SLOTS).contains(&slots) || queue > MOST_SLOTS {
        return context.fail(
            block.span(),
            format!("a provider cannot work with {slots} slots and a queue of {queue}"),
            format!(
                "write slots from 1 and a queue from 0, both up to {MOST_SLOTS}; without capacity there is no bound"
            ),
        );
    }
    Ok(Some(Capacity { slots, queue }))
}

fn prompt_cache(found: Found<'_, PromptCacheBlock>) -> Resolved<Option<PromptCache>> {
    let Some((context, block)) = found else {
        return Ok(None);
    };
    let raw = block.get_ref();
    let cache = PromptCache {
        min_tokens: raw.min_tokens.unwrap_or(CACHE_DEFAULT.min_tokens),
        granularity: raw.granularity.unwrap_or(CACHE_DEFAULT.granularity),
        ttl: raw.ttl.unwrap_or(CACHE_DEFAULT.ttl),
    };
    if cache.granularity == 0 || cache.ttl == Micros::ZERO {
        return context.fail(
            block.span(),
            "a prompt cache that counts in steps of 0 tokens or forgets at once",
            "write a granularity of 1 or more and a ttl above 0, or leave prompt_cache out: then nothing is cached",
        );
    }
    Ok(Some(cache))
}

fn rate_limits(found: Found<'_, RateLimitBlock>) -> Resolved<Option<RateLimits>> {
    let Some((context, block)) = found else {
        return Ok(None);
    };
    let raw = block.get_ref();
    let all = [
        raw.requests_per_minute,
        raw.tokens_per_minute,
        raw.input_tokens_per_minute,
        raw.output_tokens_per_minute,
    ];
    let burst = raw.burst.unwrap_or(Share::ALL);
    if all.contains(&Some(0)) || all.iter().all(Option::is_none) || burst.get() == 0.0 {
        return context.fail(
            block.span(),
            "these rate limits limit nothing or admit nothing",
            "write requests_per_minute, tokens_per_minute, input_tokens_per_minute or output_tokens_per_minute above 0, and a burst above 0",
        );
    }
    Ok(Some(RateLimits {
        requests_per_minute: raw.requests_per_minute,
        tokens_per_minute: raw.tokens_per_minute,
        input_tokens_per_minute: raw.input_tokens_per_minute,
        output_tokens_per_minute: raw.output_tokens_per_minute,
        burst,
    }))
}
