//! Where answers come from: all in the settings that decides who answers a question.
//!
//! Instances that differ in it may share a store, for a while or for ever: a rolling change of providers, two services on one
//! server. Neither finds the answers of the other.

use super::{Key, Sum};
use crate::settings::{Price, ProviderSettings, Settings};

impl Key {
    /// Of everything that decides who answers.
    pub(crate) fn of_origin(settings: &Settings) -> Self {
        let mut sum = Sum::begin("origin");
        sum.text(&format!("{:?}", settings.route.policy));
        sum.number(settings.route.check_window.into());
        sum.number(settings.fallback.into());
        sum.number(settings.providers.len() as u64);
        for provider in &settings.providers {
            sum.provider(provider);
        }
        sum.end()
    }
}

impl Sum {
    fn provider(&mut self, provider: &ProviderSettings) {
        let ProviderSettings {
            name,
            base_url,
            model,
            api_key: _,
            prompt_price,
            completion_price,
            context_window,
            tasks,
            prefill: _,
        } = provider;
        for text in [name, base_url, model] {
            self.text(text);
        }
        for price in [prompt_price, completion_price] {
            self.perhaps(price.as_ref(), |sum, price: &Price| sum.number(price.nanos_for(1)));
        }
        self.perhaps(context_window.as_ref(), |sum, tokens| sum.number((*tokens).into()));
        self.number(tasks.len() as u64);
        for task in tasks {
            self.text(&task.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    fn origin(change: &Value) -> Key {
        let mut settings = json!({ "route": { "policy": "order" }, "fallback": true });
        let mut provider = json!({ "name": "a", "base_url": "http://a.sim", "model": "m", "api_key": "one" });
        for (key, value) in change.as_object().unwrap() {
            let place = if ["route", "fallback"].contains(&key.as_str()) {
                &mut settings
            } else {
                &mut provider
            };
            place[key] = value.clone();
        }
        settings["providers"] = json!([provider]);
        Key::of_origin(&Settings::from_map(settings.as_object().unwrap().clone()).unwrap())
    }

    #[test]
    fn whatever_decides_who_answers_makes_another_origin_and_a_new_credential_does_not() {
        let changes = [
            json!({}),
            json!({ "name": "b" }),
            json!({ "base_url": "http://b.sim" }),
            json!({ "model": "n" }),
            json!({ "context_window": 8_000 }),
            json!({ "tasks": ["code"] }),
            json!({ "prompt_usd_per_million": 1, "completion_usd_per_million": 2 }),
            json!({ "prompt_usd_per_million": 2, "completion_usd_per_million": 1 }),
            json!({ "fallback": false }),
            json!({ "route": { "policy": "cost" } }),
            json!({ "route": { "check_window": false } }),
        ];
        let origins: BTreeSet<Key> = changes.iter().map(origin).collect();
        assert_eq!(origins.len(), changes.len());
        assert_eq!(origin(&json!({ "api_key": "two" })), origin(&json!({})));
    }
}
