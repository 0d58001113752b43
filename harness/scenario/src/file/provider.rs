//! The shapes of a provider block, without its faults.

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use super::{Counts, FaultBlock, Times};
use crate::plan::{Beginnings, Dialect};
use crate::units::{Micros, Share};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderBlock {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) profile: Option<Spanned<String>>,
    pub(crate) model_class: Option<Spanned<String>>,
    pub(crate) dialect: Option<Spanned<Dialect>>,
    pub(crate) model: Option<Spanned<String>>,
    pub(crate) family: Option<Spanned<String>>,
    pub(crate) context_window: Option<Spanned<u64>>,
    pub(crate) tasks: Option<Spanned<Vec<String>>>,
    pub(crate) also_serves: Option<Spanned<Vec<Spanned<ServedBlock>>>>,
    pub(crate) first_token: Option<Spanned<Times>>,
    pub(crate) inter_token: Option<Spanned<Times>>,
    pub(crate) prefill: Option<Spanned<Micros>>,
    pub(crate) output_tokens: Option<Spanned<Counts>>,
    pub(crate) reasoning_tokens: Option<Spanned<Counts>>,
    pub(crate) tool_calls: Option<Spanned<Share>>,
    pub(crate) slow_periods: Option<Spanned<SlowPeriodsBlock>>,
    pub(crate) capacity: Option<Spanned<CapacityBlock>>,
    pub(crate) prompt_cache: Option<Spanned<PromptCacheBlock>>,
    pub(crate) beginnings: Option<Spanned<Beginnings>>,
    pub(crate) on_disconnect: Option<Spanned<OnDisconnectBlock>>,
    pub(crate) bill_broken: Option<Spanned<bool>>,
    pub(crate) limits: Option<Spanned<RateLimitBlock>>,
    pub(crate) price: Option<Spanned<PriceBlock>>,
    pub(crate) fault: Option<Vec<Spanned<FaultBlock>>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SlowPeriodsBlock {
    pub(crate) every: Times,
    pub(crate) lasts: Times,
    pub(crate) factor: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CapacityBlock {
    pub(crate) slots: u32,
    pub(crate) queue: Option<u32>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PromptCacheBlock {
    pub(crate) min_tokens: Option<u64>,
    pub(crate) granularity: Option<u64>,
    pub(crate) ttl: Option<Micros>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum OnDisconnectBlock {
    Stop { lag: Micros },
    RunToCompletion,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitBlock {
    pub(crate) requests_per_minute: Option<u64>,
    pub(crate) tokens_per_minute: Option<u64>,
    pub(crate) input_tokens_per_minute: Option<u64>,
    pub(crate) output_tokens_per_minute: Option<u64>,
    pub(crate) burst: Option<Share>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceBlock {
    pub(crate) prompt_usd_per_million: f64,
    pub(crate) cached_usd_per_million: Option<f64>,
    pub(crate) cache_write_usd_per_million: Option<f64>,
    pub(crate) completion_usd_per_million: f64,
    pub(crate) per_call_usd: Option<f64>,
}

/// A further model: its name, or a table.
#[derive(Debug, Clone)]
pub(crate) struct ServedBlock {
    pub(crate) model: String,
    pub(crate) family: Option<String>,
    pub(crate) context_window: Option<u64>,
    pub(crate) price: Option<Spanned<PriceBlock>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServedTable {
    model: String,
    family: Option<String>,
    context_window: Option<u64>,
    price: Option<Spanned<PriceBlock>>,
}

impl<'de> Deserialize<'de> for ServedBlock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameOrTable)
    }
}

/// Reads a model's name or its table. An untagged enum would lose the line of a mistake.
struct NameOrTable;

impl<'de> Visitor<'de> for NameOrTable {
    type Value = ServedBlock;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the name of a model, or a table such as { model = \"gpt-4o\", family = \"gpt-4o\" }")
    }

    fn visit_str<E>(self, name: &str) -> Result<ServedBlock, E> {
        Ok(ServedBlock {
            model: name.to_owned(),
            family: None,
            context_window: None,
            price: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ServedBlock, A::Error> {
        let table = ServedTable::deserialize(MapAccessDeserializer::new(map))?;
        Ok(ServedBlock {
            model: table.model,
            family: table.family,
            context_window: table.context_window,
            price: table.price,
        })
    }
}
