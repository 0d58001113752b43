//! What an attempt costs, worked out again from its tokens and the plan's prices.
//!
//! The provider prices its own rows; this is the second opinion.

use std::collections::BTreeMap;

use brownout_scenario::observe::LedgerRow;
use brownout_scenario::plan::{Price, ProviderPlan};

/// Prices by provider.
#[derive(Debug)]
pub(crate) struct Prices<'a>(BTreeMap<&'a str, Price>);

impl<'a> Prices<'a> {
    /// The plan's prices.
    pub(crate) fn of(providers: &'a [ProviderPlan]) -> Self {
        Self(
            providers
                .iter()
                .map(|provider| (provider.name.as_str(), provider.price))
                .collect(),
        )
    }

    /// Picodollars for the prompt and for one completion token of `row`; `None` for a provider that the plan lacks.
    pub(crate) fn of_row(&self, row: &LedgerRow) -> Option<RowPrice> {
        let price = self.0.get(row.provider.as_str())?;
        let cached = row.cached_tokens.min(row.billed_prompt);
        let prompt = (row.billed_prompt - cached) * price.prompt.0 + cached * price.cached.0;
        Some(RowPrice {
            prompt,
            per_token: price.completion.0,
        })
    }
}

/// The price of a row, in picodollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowPrice {
    /// The whole prompt.
    pub(crate) prompt: u64,
    /// A completion token.
    pub(crate) per_token: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{provider, row};

    #[test]
    fn cached_prompt_tokens_have_their_own_price() {
        let providers = [provider()];
        let row = LedgerRow {
            prompt_tokens: 10,
            billed_prompt: 10,
            cached_tokens: 4,
            ..row(1, 0, 1, 5)
        };
        let price = Prices::of(&providers).of_row(&row).expect("a known provider");
        assert_eq!(
            price,
            RowPrice {
                prompt: 6 * 150_000 + 4 * 75_000,
                per_token: 600_000
            }
        );
        assert_eq!(
            Prices::of(&providers).of_row(&LedgerRow {
                provider: "nobody".into(),
                ..row
            }),
            None
        );
    }
}
