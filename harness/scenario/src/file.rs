//! The shapes serde reads from a scenario file. Nothing here is valid yet: `resolve` makes it so.
//!
//! Keys are strict. A block that a variant may patch has all its keys optional and is used for both.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::distribution::{Distribution, Part};
use crate::plan::{Dialect, Endpoint, HangUp};
use crate::units::{Micros, PerSecond, Share};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) question: Spanned<String>,
    pub(crate) claim: Option<String>,
    pub(crate) seed: Option<u64>,
    pub(crate) warmup: Option<Spanned<Micros>>,
    pub(crate) duration: Spanned<Micros>,
    pub(crate) drain: Option<Spanned<Micros>>,
    #[serde(default)]
    pub(crate) limits: LimitsBlock,
    #[serde(default)]
    pub(crate) provider: Vec<Spanned<ProviderBlock>>,
    pub(crate) gateway: Option<Spanned<GatewayBlock>>,
    pub(crate) load: Spanned<LoadBlock>,
    #[serde(default)]
    pub(crate) variant: Vec<Spanned<VariantBlock>>,
    #[serde(default)]
    pub(crate) expect: Vec<Spanned<ExpectBlock>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBlock {
    pub(crate) lateness_p99: Option<Micros>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderBlock {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) dialect: Option<Dialect>,
    pub(crate) model: Option<Spanned<String>>,
    pub(crate) first_token: Option<Spanned<Times>>,
    pub(crate) inter_token: Option<Spanned<Times>>,
    pub(crate) output_tokens: Option<Spanned<Counts>>,
    pub(crate) on_disconnect: Option<Spanned<OnDisconnectBlock>>,
    pub(crate) limits: Option<Spanned<RateLimitBlock>>,
    pub(crate) price: Option<Spanned<PriceBlock>>,
    pub(crate) fault: Option<Vec<Spanned<FaultBlock>>>,
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
    pub(crate) burst: Option<Share>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_field_names,
    reason = "these are the keys of the file, and a price without its unit is a trap"
)]
pub(crate) struct PriceBlock {
    pub(crate) prompt_usd_per_million: f64,
    pub(crate) cached_usd_per_million: Option<f64>,
    pub(crate) completion_usd_per_million: f64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultBlock {
    pub(crate) kind: Spanned<FaultKind>,
    pub(crate) from: Option<Spanned<Micros>>,
    pub(crate) until: Option<Spanned<Micros>>,
    pub(crate) probability: Option<Share>,
    pub(crate) first: Option<u64>,
    pub(crate) status: Option<Spanned<u16>>,
    pub(crate) retry_after: Option<Spanned<Micros>>,
    pub(crate) first_token: Option<Spanned<Times>>,
    pub(crate) inter_token: Option<Spanned<Times>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FaultKind {
    Status,
    LatencySpike,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayBlock {
    pub(crate) request_timeout: Option<Micros>,
    pub(crate) idle_timeout: Option<Micros>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoadBlock {
    pub(crate) arrivals: Option<Spanned<ArrivalsBlock>>,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) poll: Option<Spanned<Micros>>,
    pub(crate) prompt_tokens: Option<Spanned<Counts>>,
    pub(crate) max_tokens: Option<Spanned<u64>>,
    pub(crate) patience: Option<Micros>,
    pub(crate) client: Option<Vec<Spanned<ClientBlock>>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum ArrivalsBlock {
    Constant { rate: PerSecond },
    Poisson { rate: PerSecond },
    Ramp { from: PerSecond, to: PerSecond },
    Closed { users: u32, think: Times },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientBlock {
    pub(crate) share: Share,
    pub(crate) disconnect: Option<Spanned<DisconnectBlock>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisconnectBlock {
    pub(crate) after_tokens: Option<Counts>,
    pub(crate) after: Option<Times>,
    #[serde(default)]
    pub(crate) how: HangUp,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VariantBlock {
    pub(crate) name: Spanned<String>,
    #[serde(default)]
    pub(crate) service: toml::Table,
    pub(crate) load: Option<LoadBlock>,
    pub(crate) gateway: Option<GatewayBlock>,
    #[serde(default)]
    pub(crate) provider: BTreeMap<Spanned<String>, ProviderBlock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectBlock {
    pub(crate) because: Option<String>,
    pub(crate) variant: Option<Spanned<String>>,
    pub(crate) metric: Spanned<String>,
    pub(crate) phase: Option<Spanned<String>>,
    pub(crate) compare: Option<Spanned<String>>,
    pub(crate) at_least: Option<f64>,
    pub(crate) at_most: Option<f64>,
}

/// A distribution of durations: `"350ms"`, or a table with a `kind`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Times(pub(crate) Distribution);

/// A distribution of counts: `200`, or a table with a `kind`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts(pub(crate) Distribution);

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        distribution::<D, Micros>(deserializer, |us| us.0 as f64).map(Self)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        distribution::<D, u64>(deserializer, |n| n as f64).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum DistributionBlock<T> {
    Constant { value: T },
    Uniform { min: T, max: T },
    Exponential { mean: T },
    Normal { mean: T, deviation: T },
    Lognormal { p50: T, p99: T, shift: Option<T> },
    Empirical { values: Vec<T> },
    Mixture { parts: Vec<PartBlock> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBlock {
    weight: f64,
    of: toml::Value,
}

fn distribution<'de, D, T>(deserializer: D, number: fn(T) -> f64) -> Result<Distribution, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = toml::Value::deserialize(deserializer)?;
    read(value, number).map_err(D::Error::custom)
}

fn read<T: DeserializeOwned>(value: toml::Value, number: fn(T) -> f64) -> Result<Distribution, String> {
    if !value.is_table() {
        let value = T::deserialize(value).map_err(|e| e.message().to_owned())?;
        return Ok(Distribution::Constant { value: number(value) });
    }
    let block = DistributionBlock::<T>::deserialize(value).map_err(|e| e.message().to_owned())?;
    Ok(match block {
        DistributionBlock::Constant { value } => Distribution::Constant { value: number(value) },
        DistributionBlock::Uniform { min, max } => Distribution::Uniform {
            min: number(min),
            max: number(max),
        },
        DistributionBlock::Exponential { mean } => Distribution::Exponential { mean: number(mean) },
        DistributionBlock::Normal { mean, deviation } => Distribution::Normal {
            mean: number(mean),
            deviation: number(deviation),
        },
        DistributionBlock::Lognormal { p50, p99, shift } => Distribution::Lognormal {
            p50: number(p50),
            p99: number(p99),
            shift: shift.map_or(0.0, number),
        },
        DistributionBlock::Empirical { values } => {
            let mut values: Vec<f64> = values.into_iter().map(number).collect();
            values.sort_by(f64::total_cmp);
            Distribution::Empirical { values }
        }
        DistributionBlock::Mixture { parts } => Distribution::Mixture {
            parts: parts
                .into_iter()
                .map(|part| {
                    Ok(Part {
                        weight: part.weight,
                        of: read(part.of, number)?,
                    })
                })
                .collect::<Result<_, String>>()?,
        },
    })
}
