//! The shapes of distributions: a bare value is always that value, a table has a `kind`.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};

use crate::distribution::{Distribution, Part};
use crate::units::Micros;

/// A distribution of durations: `"350ms"`, or a table with a `kind`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Times(pub(crate) Distribution);

/// A distribution of counts: `200`, or a table with a `kind`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counts(pub(crate) Distribution);

impl AsRef<Distribution> for Times {
    fn as_ref(&self) -> &Distribution {
        &self.0
    }
}

impl AsRef<Distribution> for Counts {
    fn as_ref(&self) -> &Distribution {
        &self.0
    }
}

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
    Gamma { mean: T, shape: f64 },
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
        DistributionBlock::Gamma { mean, shape } => Distribution::Gamma {
            mean: number(mean),
            shape,
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
