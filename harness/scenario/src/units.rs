//! Newtypes for time, money, rates and shares, and how each is written in a scenario file.
//!
//! Does not know any file: a parse error says what was expected, the caller adds line and key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

/// A duration, or an instant as a distance from the start of the run, in whole microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(transparent)]
pub struct Micros(pub u64);

impl Micros {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Whole milliseconds as microseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1_000)
    }

    /// Whole seconds as microseconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000)
    }

    /// Seconds, for people and for charts.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Milliseconds, for people and for charts.
    pub fn as_millis_f64(self) -> f64 {
        self.0 as f64 / 1e3
    }

    /// The distance from `earlier` to here; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// The sum, saturating at the end of time.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<Micros> for std::time::Duration {
    fn from(value: Micros) -> Self {
        Self::from_micros(value.0)
    }
}

impl From<std::time::Duration> for Micros {
    fn from(value: std::time::Duration) -> Self {
        Self(u64::try_from(value.as_micros()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us >= 1_000_000 => write!(f, "{}s", trimmed(us as f64 / 1e6)),
            us if us >= 1_000 => write!(f, "{}ms", trimmed(us as f64 / 1e3)),
            us => write!(f, "{us}us"),
        }
    }
}

/// At most three decimals, without trailing zeros.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text that is not the unit it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct UnitError {
    text: String,
    expected: &'static str,
}

impl UnitError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.to_owned(),
            expected,
        }
    }
}

/// Splits `1.5s` into its number and its unit.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    Some((number.parse().ok()?, unit.trim()))
}

impl FromStr for Micros {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const EXPECTED: &str =
            "a duration: write a number and its unit, such as \"350ms\", \"1.2s\", \"5m\" or \"80us\"";
        let error = || UnitError::new(text, EXPECTED);
        let (number, unit) = number_and_unit(text).ok_or_else(error)?;
        let scale = match unit {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            "m" | "min" => 6e7,
            "h" => 3.6e9,
            _ => return Err(error()),
        };
        Ok(Self(libm::round(number * scale) as u64))
    }
}

/// Events per second.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct PerSecond(pub f64);

impl FromStr for PerSecond {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const EXPECTED: &str = "a rate: write a number per unit of time, such as \"5/s\" or \"300/min\"";
        let error = || UnitError::new(text, EXPECTED);
        let (number, unit) = number_and_unit(text).ok_or_else(error)?;
        let seconds = match unit {
            "/s" => 1.0,
            "/m" | "/min" => 60.0,
            "/h" => 3600.0,
            _ => return Err(error()),
        };
        Ok(Self(number / seconds))
    }
}

impl fmt::Display for PerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", trimmed(self.0))
    }
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Share(f64);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// The share as a number from 0 to 1.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Share {
    type Error = UnitError;

    fn try_from(value: f64) -> Result<Self, UnitError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(UnitError::new(
                &value.to_string(),
                "a share: write a number from 0 to 1, such as 0.1 for one in ten",
            ))
        }
    }
}

/// Money in integer picodollars: 10^12 to the US dollar, so that list prices per token stay whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Picodollars(pub u64);

impl Picodollars {
    /// Dollars, for people.
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

/// The identity of a prompt: what joins a request, the provider's ledger and the delivered words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptId(pub u64);

impl fmt::Display for PromptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

macro_rules! deserialize_from_text {
    ($($unit:ty),*) => {$(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
deserialize_from_text!(Micros, PerSecond);

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_their_unit() {
        assert_eq!("350ms".parse(), Ok(Micros(350_000)));
        assert_eq!("1.2s".parse(), Ok(Micros(1_200_000)));
        assert_eq!("5m".parse(), Ok(Micros::from_secs(300)));
        for bad in ["350", "ms", "1.2 parsecs", "", "-3s"] {
            assert!(bad.parse::<Micros>().is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_per_time() {
        assert_eq!("300/min".parse(), Ok(PerSecond(5.0)));
        assert!("5".parse::<PerSecond>().is_err());
        assert!("5s".parse::<PerSecond>().is_err());
    }

    #[test]
    fn shares_stay_between_none_and_all() {
        assert!(Share::try_from(1.01).is_err());
        assert!(Share::try_from(-0.01).is_err());
        assert!(Share::try_from(f64::NAN).is_err());
        assert_eq!(Share::try_from(1.0), Ok(Share::ALL));
    }
}
