//! What an attempt costs, worked out again from its tokens and the plan's prices.
//!
//! The provider prices its own rows; this is the second opinion.

use std::collections::BTreeMap;

use brownout_scenario::observe::LedgerRow;
use brownout_scenario::plan::{Price, ProviderPlan};

/// Prices by provider and model.
#[derive(Debug)]
pub(crate) struct Prices<'a>(BTreeMap<&'a str, BTreeMap<&'a str, Price>>);

impl<'a> Prices<'a> {
    /// The plan's prices.
    pub(crate) fn of(providers: &'a [ProviderPlan]) -> Self {
        let models = |provider: &'a ProviderPlan| {
            let models = provider.models.iter();
            models.map(|model| (model.name.as_str(), model.price)).collect()
        };
        Self(
            providers
                .iter()
                .map(|provider| (provider.name.as_str(), models(provider)))
                .collect(),
        )
    }

    /// What `row` is to be charged with; `None` for a provider that the plan lacks. A model that its provider lacks is
    /// free: an attempt at it is refused.
    pub(crate) fn of_row(&self, row: &LedgerRow) -> Option<RowPrice> {
        let models = self.0.get(row.provider.as_str())?;
        let Some(price) = models.get(row.model.as_str()) else {
            return Some(RowPrice::default());
        };
        // All three are bounded by what is billed, so that a prompt that goes unbilled is free.
        let cached = row.cached_tokens.min(row.billed_prompt);
        let written = row.cache_write_tokens.min(row.billed_prompt - cached);
        let plain = row.billed_prompt - cached - written;
        let call = if row.is_call() && row.billed_prompt > 0 {
            price.per_call.0
        } else {
            0
        };
        Some(RowPrice {
            prompt: plain * price.prompt.0 + cached * price.cached.0 + written * price.cache_write.0 + call,
            per_token: price.completion.0,
        })
    }

    /// Whether the plan's provider has the model that `row` was to be answered by.
    pub(crate) fn knows_model(&self, row: &LedgerRow) -> bool {
        let models = self.0.get(row.provider.as_str());
        models.is_some_and(|models| models.contains_key(row.model.as_str()))
    }
}

/// The price of a row, in picodollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RowPrice {
    /// The whole prompt, and the call itself.
    pub(crate) prompt: u64,
    /// A completion token.
    pub(crate) per_token: u64,
}

#[cfg(test)]
mod tests {
    use brownout_scenario::units::Picodollars;

    use super::*;
    use crate::testing::{provider, row};

    /// Four of ten prompt tokens were read from the cache, three were written to it.
    fn cached() -> LedgerRow {
        LedgerRow {
            cached_tokens: 4,
            cache_write_tokens: 3,
            ..row(1, 0, 1, 5)
        }
    }

    fn price(providers: &[ProviderPlan], row: &LedgerRow) -> Option<(u64, u64)> {
        let price = Prices::of(providers).of_row(row)?;
        Some((price.prompt, price.per_token))
    }

    #[test]
    fn prompt_tokens_read_from_the_cache_or_written_to_it_have_their_own_price() {
        let expected = 3 * 150_000 + 4 * 75_000 + 3 * 187_500;
        assert_eq!(price(&[provider()], &cached()), Some((expected, 600_000)));
    }

    #[test]
    fn a_prompt_that_is_not_billed_costs_nothing_whatever_the_cache_did() {
        let unbilled = LedgerRow {
            billed_prompt: 0,
            ..cached()
        };
        assert_eq!(price(&[provider()], &unbilled), Some((0, 600_000)));
    }

    #[test]
    fn each_model_of_a_provider_has_its_own_prices() {
        let mut provider = provider();
        let mut large = provider.models[0].clone();
        large.name = "large".to_owned();
        large.price.prompt = Picodollars(2_000_000);
        large.price.completion = Picodollars(9_000_000);
        provider.models.push(large);
        let to_large = LedgerRow {
            model: "large".to_owned(),
            ..row(1, 0, 1, 5)
        };
        let providers = [provider];
        assert_eq!(price(&providers, &row(1, 0, 1, 5)), Some((1_500_000, 600_000)));
        assert_eq!(price(&providers, &to_large), Some((20_000_000, 9_000_000)));
        assert!(Prices::of(&providers).knows_model(&to_large));
    }

    #[test]
    fn an_unknown_model_is_free_and_an_unknown_provider_has_no_price() {
        let no_model = LedgerRow {
            model: "nothing".to_owned(),
            ..cached()
        };
        let nobody = LedgerRow {
            provider: "nobody".to_owned(),
            ..cached()
        };
        let providers = [provider()];
        assert_eq!(price(&providers, &no_model), Some((0, 0)));
        assert_eq!(price(&providers, &nobody), None);
        let prices = Prices::of(&providers);
        assert!(!prices.knows_model(&no_model) && !prices.knows_model(&nobody));
    }
}
