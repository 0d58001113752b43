//! What a page is told beside what it asks for: the facts in its data block.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::settings::Settings;

/// The facts that the chat page shows figures by.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    /// What a provider charges, by its name; those of unknown price are left out.
    prices: BTreeMap<String, Price>,
}

/// Dollars for a million tokens.
#[derive(Debug, Serialize)]
struct Price {
    prompt_usd_per_million: f64,
    completion_usd_per_million: f64,
}

impl Facts {
    pub(super) fn of(_settings: &Settings) -> Self {
        Self::default()
    }

    /// As JSON that may stand in a script element: nothing in it can end that.
    pub(super) fn to_block(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned());
        json.replace('<', "\\u003c")
    }
}
