//! What a page is told beside what it asks for: the facts in its data block.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::settings::{Auth, Price, Settings};

/// Tokens that a price is told for.
const MILLION: u64 = 1_000_000;

/// The facts that the chat page goes by.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    /// Whether callers need a key.
    needs_key: bool,
    /// What a provider charges, by its name; those of unknown price are left out.
    prices: BTreeMap<String, Prices>,
}

/// Dollars for a million tokens.
#[derive(Debug, Serialize)]
struct Prices {
    prompt_usd_per_million: f64,
    completion_usd_per_million: f64,
}

impl Facts {
    pub(super) fn of(settings: &Settings) -> Self {
        let priced = settings.providers.iter().filter_map(|provider| {
            let prices = Prices {
                prompt_usd_per_million: usd_per_million(provider.prompt_price?),
                completion_usd_per_million: usd_per_million(provider.completion_price?),
            };
            Some((provider.name.clone(), prices))
        });
        Self {
            needs_key: settings.auth == Auth::Required,
            prices: priced.collect(),
        }
    }

    /// As JSON that may stand in a script element: nothing in it can end that.
    pub(super) fn to_block(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned());
        json.replace('<', "\\u003c")
    }
}

/// From billionths.
fn usd_per_million(price: Price) -> f64 {
    price.nanos_for(MILLION) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_block_can_end_it() {
        let prices = Prices {
            prompt_usd_per_million: 0.15,
            completion_usd_per_million: 0.6,
        };
        let facts = Facts {
            needs_key: false,
            prices: BTreeMap::from([("</script><script>alert(1)".to_owned(), prices)]),
        };
        let block = facts.to_block();
        assert!(!block.contains('<'), "{block}");
        let read: serde_json::Value = serde_json::from_str(&block).expect("JSON");
        assert_eq!(
            read["prices"]["</script><script>alert(1)"]["prompt_usd_per_million"],
            0.15
        );
    }
}
