//! List prices, each with its date and source. A scenario's own `price` overrides them.

use crate::plan::Price;
use crate::units::Picodollars;

/// A row of the price table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListPrice {
    /// The model's name on the wire.
    pub model: &'static str,
    /// Its price.
    pub price: Price,
    /// When it was read.
    pub date: &'static str,
    /// Where.
    pub source: &'static str,
}

/// US dollars per million tokens as picodollars per token. Exact for prices with up to six decimals.
pub fn per_million(usd: f64) -> Picodollars {
    Picodollars(libm::round(usd * 1e6) as u64)
}

const SOURCE: &str = "LiteLLM 1.109.1 model price table (MIT)";
const DATE: &str = "2026-11-20";

/// In millionths of a dollar per million tokens, which is picodollars per token: prompt, cached, completion.
const TABLE: [(&str, u64, u64, u64); 7] = [
    ("gpt-4o", 2_500_000, 1_250_000, 10_000_000),
    ("gpt-4o-mini", 150_000, 75_000, 600_000),
    ("gpt-4.1", 2_000_000, 500_000, 8_000_000),
    ("gpt-4.1-mini", 400_000, 100_000, 1_600_000),
    ("gpt-5", 1_250_000, 125_000, 10_000_000),
    ("gpt-5-mini", 250_000, 25_000, 2_000_000),
    ("gpt-5.5", 5_000_000, 500_000, 30_000_000),
];

/// The list price of `model`, if the table has it.
pub fn list_price(model: &str) -> Option<ListPrice> {
    TABLE
        .iter()
        .find(|row| row.0 == model)
        .map(|&(model, prompt, cached, completion)| ListPrice {
            model,
            price: Price {
                prompt: Picodollars(prompt),
                cached: Picodollars(cached),
                completion: Picodollars(completion),
            },
            date: DATE,
            source: SOURCE,
        })
}

/// The models the table has, for error messages.
pub fn known_models() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|row| row.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_cost_their_list_price() {
        let price = list_price("gpt-4o-mini").unwrap().price;
        assert!((Picodollars(price.completion.0 * 1_000_000).as_usd() - 0.6).abs() < 1e-12);
        assert_eq!(per_million(0.15), price.prompt);
    }
}
