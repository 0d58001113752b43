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

/// A published table of prices: where it is, and when it was read.
type Published = (&'static str, &'static str);

const LITELLM: Published = ("LiteLLM 1.109.1 model price table (MIT)", "2026-11-20");

/// In US dollars per million tokens: prompt, cached, written to the cache, completion. Where the source has no price for
/// writing to the cache, or has 0, writing costs what the prompt costs. Prices of long prompts and of batches are left
/// out.
const TABLE: [(&str, [f64; 4], Published); 20] = [
    ("gpt-4o", [2.5, 1.25, 2.5, 10.0], LITELLM),
    ("gpt-4o-mini", [0.15, 0.075, 0.15, 0.6], LITELLM),
    ("gpt-4.1", [2.0, 0.5, 2.0, 8.0], LITELLM),
    ("gpt-4.1-mini", [0.4, 0.1, 0.4, 1.6], LITELLM),
    ("gpt-5", [1.25, 0.125, 1.25, 10.0], LITELLM),
    ("gpt-5-mini", [0.25, 0.025, 0.25, 2.0], LITELLM),
    ("gpt-5.5", [5.0, 0.5, 5.0, 30.0], LITELLM),
    ("gpt-5.6", [4.0, 0.4, 5.0, 20.0], LITELLM),
    ("o4-mini", [1.1, 0.275, 1.1, 4.4], LITELLM),
    // Written for 5 minutes; an hour costs 2 times the prompt price and not 1.25 times.
    ("claude-opus-4-8", [5.0, 0.5, 6.25, 25.0], LITELLM),
    ("claude-sonnet-4-6", [3.0, 0.3, 3.75, 15.0], LITELLM),
    ("claude-sonnet-5", [2.0, 0.2, 2.5, 10.0], LITELLM),
    ("claude-haiku-4-5", [1.0, 0.1, 1.25, 5.0], LITELLM),
    ("gemini-2.5-pro", [1.25, 0.125, 1.25, 10.0], LITELLM),
    ("gemini-2.5-flash", [0.3, 0.03, 0.3, 2.5], LITELLM),
    ("gemini-2.5-flash-lite", [0.1, 0.01, 0.1, 0.4], LITELLM),
    ("gemini-3.1-pro-preview", [2.0, 0.2, 2.0, 12.0], LITELLM),
    ("deepseek-chat", [0.28, 0.028, 0.28, 0.42], LITELLM),
    ("mistral-large-2512", [0.5, 0.05, 0.5, 1.5], LITELLM),
    ("grok-4.3", [1.25, 0.2, 1.25, 2.5], LITELLM),
];

/// The list price of `model`, if the table has it.
pub fn list_price(model: &str) -> Option<ListPrice> {
    let (model, usd, (source, date)) = TABLE.iter().find(|row| row.0 == model)?;
    let [prompt, cached, cache_write, completion] = usd.map(per_million);
    Some(ListPrice {
        model,
        price: Price {
            prompt,
            cached,
            cache_write,
            completion,
            per_call: Picodollars(0),
        },
        date,
        source,
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

    #[test]
    fn reading_from_the_cache_is_never_dearer_and_writing_to_it_never_cheaper_than_the_prompt() {
        for model in known_models() {
            let price = list_price(model).unwrap().price;
            assert!(price.cached <= price.prompt, "{model}");
            assert!(price.cache_write >= price.prompt, "{model}");
            assert!(price.prompt < price.completion, "{model}");
        }
    }
}
