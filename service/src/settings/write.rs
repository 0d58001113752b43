//! Settings back to maps and TOML, for a host that passes them on to a child process. Secrets only when asked for.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::fields::{self, Choice, Visitor};
use super::{Settings, unit};
use crate::storage::without_password;

/// What happens to the providers' keys, and to passwords in addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// They are left out (`***` in an address): for people and records.
    Excluded,
    /// They are written: for a child process's own file, never for a log.
    Included,
}

/// See [`Settings::to_toml`].
pub(super) fn to_toml(settings: &Settings, secrets: Secrets) -> String {
    toml::to_string(&to_map(settings, secrets)).unwrap_or_default()
}

/// See [`Settings::to_map`].
pub(super) fn to_map(settings: &Settings, secrets: Secrets) -> Map<String, Value> {
    let mut writer = Writer::new(secrets);
    fields::visit(&mut settings.clone(), &mut writer);
    let mut map = writer.map;
    if !settings.providers.is_empty() {
        let providers = settings.providers.iter().map(|provider| {
            let mut entry = Map::new();
            let mut put = |key: &str, value: &str| entry.insert(key.to_owned(), value.into());
            put("name", &provider.name);
            put("base_url", &provider.base_url);
            put("model", &provider.model);
            if let (Secrets::Included, Some(key)) = (secrets, &provider.api_key) {
                put("api_key", key.expose_secret());
            }
            Value::Object(entry)
        });
        map.insert("providers".to_owned(), providers.collect());
    }
    map
}

struct Writer {
    map: Map<String, Value>,
    secrets: Secrets,
}

impl Writer {
    fn new(secrets: Secrets) -> Self {
        let map = Map::new();
        Self { map, secrets }
    }

    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.map.insert(key.to_owned(), value.into());
    }
}

impl Visitor for Writer {
    fn duration(&mut self, key: &'static str, value: &mut Duration) {
        self.put(key, unit::format(*value));
    }

    fn limit(&mut self, key: &'static str, value: &mut Option<Duration>) {
        self.put(key, value.map_or_else(|| "off".to_owned(), unit::format));
    }

    fn pause(&mut self, key: &'static str, value: &mut Duration) {
        self.put(key, unit::format(*value));
    }

    fn count(&mut self, key: &'static str, _: RangeInclusive<u32>, value: &mut u32) {
        self.put(key, *value);
    }

    fn ratio(&mut self, key: &'static str, value: &mut Option<f64>) {
        self.put(key, value.map_or_else(|| "off".into(), Value::from));
    }

    fn flag(&mut self, key: &'static str, value: &mut bool) {
        self.put(key, *value);
    }

    fn choice<T: Choice>(&mut self, key: &'static str, value: &mut T) {
        let word = T::WORDS.iter().find(|(_, known)| known == value);
        if let Some((word, _)) = word {
            self.put(key, *word);
        }
    }

    fn text(&mut self, key: &'static str, value: &mut Option<String>) {
        if let Some(text) = value {
            self.put(key, text.clone());
        }
    }

    fn address(&mut self, key: &'static str, value: &mut Option<SecretString>) {
        let Some(address) = value else { return };
        let address = address.expose_secret();
        match self.secrets {
            Secrets::Excluded => self.put(key, without_password(address)),
            Secrets::Included => self.put(key, address),
        }
    }

    fn table(&mut self, key: &'static str, visit: impl FnOnce(&mut Self)) {
        let mut table = Self::new(self.secrets);
        visit(&mut table);
        self.put(key, table.map);
    }
}
