//! Settings back to maps and TOML, for a host that passes them on to a child process. Secrets only when asked for.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::entries::Amount;
use super::fields::{self, Choice, Entry, Visitor};
use super::{Digest, Settings, unit};
use crate::storage::without_password;

/// What happens to keys, their sums, and passwords in addresses.
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
    writer.map
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

    fn bound(&mut self, key: &'static str, _: RangeInclusive<u32>, value: &mut Option<u32>) {
        self.put(key, value.map_or_else(|| "off".into(), Value::from));
    }

    fn ratio(&mut self, key: &'static str, value: &mut Option<f64>) {
        self.put(key, value.map_or_else(|| "off".into(), Value::from));
    }

    fn share(&mut self, key: &'static str, value: &mut f64) {
        self.put(key, *value);
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

    fn needed(&mut self, key: &'static str, value: &mut String) {
        self.put(key, value.clone());
    }

    fn secret(&mut self, key: &'static str, value: &mut Option<SecretString>) {
        if let (Secrets::Included, Some(secret)) = (self.secrets, value) {
            self.put(key, secret.expose_secret());
        }
    }

    fn digest(&mut self, key: &'static str, value: &mut Digest) {
        if self.secrets == Secrets::Included {
            self.put(key, value.to_hex());
        }
    }

    fn amount<T: Amount>(&mut self, key: &'static str, value: &mut Option<T>) {
        if let Some(amount) = value {
            self.put(key, amount.to_number());
        }
    }

    fn texts<T: FromStr<Err: Display> + Display>(&mut self, key: &'static str, _: usize, texts: &mut Vec<T>) {
        self.put(key, texts.iter().map(T::to_string).collect::<Vec<_>>());
    }

    /// An empty list is left out: it says nothing.
    fn list<T: Entry>(&mut self, key: &'static str, _: usize, entries: &mut Vec<T>) {
        if entries.is_empty() {
            return;
        }
        let written = entries.iter_mut().map(|entry| {
            let mut table = Self::new(self.secrets);
            entry.visit(&mut table);
            Value::Object(table.map)
        });
        let written: Value = written.collect();
        self.put(key, written);
    }

    fn table(&mut self, key: &'static str, visit: impl FnOnce(&mut Self)) {
        let mut table = Self::new(self.secrets);
        visit(&mut table);
        self.put(key, table.map);
    }
}
