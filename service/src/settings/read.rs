//! Settings from maps, files and the environment. Collects every problem; stops at none.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::fields::{self, Choice, Visitor};
use super::{Preset, ProviderSettings, QueueStore, Settings, SettingsError, SettingsProblem, unit};
use crate::storage::Place;

/// What the names of the settings in the environment begin with.
const PREFIX: &str = "BROWNOUT_SERVICE__";
/// Providers in a chain.
const PROVIDERS: usize = 8;

/// See [`Settings::load`].
pub(super) fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    let mut figment = Figment::new();
    if let Some(path) = path {
        figment = figment.merge(Toml::file_exact(path));
    }
    let figment = figment.merge(Serialized::globals(from_env(env)));
    let map = figment.extract::<Map<String, Value>>().map_err(|error| SettingsError {
        problems: error
            .into_iter()
            .map(|error| SettingsProblem {
                key: path.map_or_else(|| "environment".to_owned(), |path| path.display().to_string()),
                problem: error.to_string(),
            })
            .collect(),
    })?;
    from_map(map)
}

/// The settings in the environment as nested maps. Values are read as TOML would read them, and as text otherwise.
fn from_env(env: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, text) in env {
        let Some(keys) = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
            continue;
        };
        let Ok(parsed) = text.parse::<figment::value::Value>();
        let value = serde_json::to_value(parsed).unwrap_or(Value::String(text));
        insert(&mut map, &keys, value);
    }
    map
}

fn insert(map: &mut Map<String, Value>, keys: &str, value: Value) {
    let Some((key, rest)) = keys.split_once("__") else {
        map.insert(keys.to_owned(), value);
        return;
    };
    let entry = map.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    if let Value::Object(inner) = entry {
        insert(inner, rest, value);
    }
}

/// See [`Settings::from_map`].
pub(super) fn from_map(map: Map<String, Value>) -> Result<Settings, SettingsError> {
    let mut reader = Reader::new(String::new(), map);
    let mut preset = Preset::Resilient;
    if let Some(word) = reader.map.get("preset").and_then(Value::as_str) {
        preset = word_of(word).unwrap_or(preset);
    }
    let mut settings = Settings::preset(preset);
    fields::visit(&mut settings, &mut reader);
    settings.providers = reader.providers();
    reader.refuse_unknown();
    let mut problems = reader.problems;
    contradictions(&settings, &mut problems);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(SettingsError { problems })
    }
}

/// Values that are valid each but not together.
fn contradictions(settings: &Settings, problems: &mut Vec<SettingsProblem>) {
    let mut check = |holds: bool, key: &str, problem: &str| {
        if !holds {
            problems.push(SettingsProblem {
                key: key.to_owned(),
                problem: problem.to_owned(),
            });
        }
    };
    let (jobs, retry) = (&settings.jobs, &settings.retry);
    check(
        jobs.heartbeat < jobs.lease,
        "jobs.heartbeat",
        "is not shorter than jobs.lease, so every job would be taken from its worker; use a third of the lease",
    );
    check(
        jobs.retry_base <= jobs.retry_cap,
        "jobs.retry_base",
        "is longer than jobs.retry_cap; raise the cap or lower the base",
    );
    check(
        retry.base <= retry.cap,
        "retry.base",
        "is longer than retry.cap; raise the cap or lower the base",
    );
    stores(settings, &mut check);
}

/// Addresses are never quoted back: they may hold passwords.
fn stores(settings: &Settings, check: &mut impl FnMut(bool, &str, &str)) {
    let database = settings.database_url.as_ref().map(ExposeSecret::expose_secret);
    check(
        database.is_none_or(|url| Place::of(url).is_some()),
        "database_url",
        "is no such address; write sqlite:PATH or postgres://USER:PASSWORD@HOST:5432/NAME",
    );
    check(
        database.is_none() || settings.database_path.is_none(),
        "database_path",
        "says the same as database_url; keep one of them",
    );
    let redis = settings.redis_url.as_ref().map(ExposeSecret::expose_secret);
    check(
        redis.is_none_or(|url| ["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme))),
        "redis_url",
        "is no such address; write redis://:PASSWORD@HOST:6379/0, or rediss:// for TLS",
    );
    check(
        settings.queue == QueueStore::Database || redis.is_some(),
        "queue",
        "is to be kept in Redis, and redis_url is missing; name the server, or write queue = \"database\"",
    );
    check(
        settings.namespace.as_deref().is_none_or(is_namespace),
        "namespace",
        "does not fit: write a letter, then letters, digits or _, all small, 48 at most",
    );
}

/// A name that PostgreSQL takes without quotes.
fn is_namespace(name: &str) -> bool {
    name.len() <= 48
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn word_of<T: Choice>(word: &str) -> Option<T> {
    T::WORDS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, value)| *value)
}

/// Reads one table.
struct Reader {
    path: String,
    map: Map<String, Value>,
    known: Vec<&'static str>,
    problems: Vec<SettingsProblem>,
}

impl Reader {
    const fn new(path: String, map: Map<String, Value>) -> Self {
        Self {
            path,
            map,
            known: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.map.remove(key)
    }

    fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        self.problems.push(SettingsProblem {
            key: format!("{}{key}", self.path),
            problem: problem.into(),
        });
    }

    /// Takes `key` through `read`, or says what was `expected` of it.
    fn read<T>(&mut self, key: &'static str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Option<T> {
        let value = self.take(key)?;
        let result = read(&value);
        if result.is_none() {
            self.refuse(key, format!("{value} does not fit: {expected}"));
        }
        result
    }

    fn refuse_unknown(&mut self) {
        let unknown: Vec<String> = self.map.keys().cloned().collect();
        for key in unknown {
            let near = self.known.iter().copied().min_by_key(|known| distance(&key, known));
            let problem = match near {
                Some(near) if distance(&key, near) <= 1 + near.len() / 4 => {
                    format!("unknown key; did you mean {near}?")
                }
                _ => format!("unknown key; known here: {}", self.known.join(", ")),
            };
            self.refuse(&key, problem);
        }
    }

    fn providers(&mut self) -> Vec<ProviderSettings> {
        let Some(value) = self.take("providers") else {
            return Vec::new();
        };
        let Value::Array(entries) = value else {
            self.refuse("providers", "is not a list: write one [[providers]] table for each");
            return Vec::new();
        };
        if entries.len() > PROVIDERS {
            self.refuse(
                "providers",
                format!("more than {PROVIDERS}: a chain that long outlasts every deadline"),
            );
        }
        let entries = entries.into_iter().enumerate();
        entries.filter_map(|(n, entry)| self.provider(n, entry)).collect()
    }

    fn provider(&mut self, n: usize, entry: Value) -> Option<ProviderSettings> {
        let Value::Object(map) = entry else {
            self.refuse(
                &format!("providers[{n}]"),
                "is not a table: write name, base_url and model",
            );
            return None;
        };
        let mut table = Self::new(format!("{}providers[{n}].", self.path), map);
        let (mut name, mut base_url, mut model, mut key) = (None, None, None, None);
        for (field, value) in [("name", &mut name), ("base_url", &mut base_url), ("model", &mut model)] {
            let given = table.map.contains_key(field);
            table.text(field, value);
            if !given {
                table.refuse(field, "is missing");
            }
        }
        table.text("api_key", &mut key);
        table.refuse_unknown();
        self.problems.append(&mut table.problems);
        Some(ProviderSettings {
            name: name?,
            base_url: base_url?,
            model: model?,
            api_key: key.map(Into::into),
        })
    }
}

impl Visitor for Reader {
    fn duration(&mut self, key: &'static str, value: &mut Duration) {
        let read = |given: &Value| given.as_str().and_then(unit::parse).filter(|read| !read.is_zero());
        if let Some(read) = self.read(key, &format!("{}, more than nothing", unit::EXPECTED), read) {
            *value = read;
        }
    }

    fn limit(&mut self, key: &'static str, value: &mut Option<Duration>) {
        let expected = format!("{}, or \"off\" for no limit", unit::EXPECTED);
        let read = |given: &Value| match given.as_str()? {
            "off" => Some(None),
            text => unit::parse(text).filter(|read| !read.is_zero()).map(Some),
        };
        if let Some(read) = self.read(key, &expected, read) {
            *value = read;
        }
    }

    fn pause(&mut self, key: &'static str, value: &mut Duration) {
        if let Some(read) = self.read(key, unit::EXPECTED, |given| given.as_str().and_then(unit::parse)) {
            *value = read;
        }
    }

    fn count(&mut self, key: &'static str, range: RangeInclusive<u32>, value: &mut u32) {
        let expected = format!("write a whole number from {} to {}", range.start(), range.end());
        let read = |given: &Value| u32::try_from(given.as_u64()?).ok().filter(|read| range.contains(read));
        if let Some(read) = self.read(key, &expected, read) {
            *value = read;
        }
    }

    fn ratio(&mut self, key: &'static str, value: &mut Option<f64>) {
        let read = |given: &Value| match given {
            Value::String(text) if text == "off" => Some(None),
            given => given.as_f64().filter(|read| (0.0..=1.0).contains(read)).map(Some),
        };
        if let Some(read) = self.read(key, "write a number from 0 to 1, or \"off\" for no bound", read) {
            *value = read;
        }
    }

    fn flag(&mut self, key: &'static str, value: &mut bool) {
        if let Some(read) = self.read(key, "write true or false", Value::as_bool) {
            *value = read;
        }
    }

    fn choice<T: Choice>(&mut self, key: &'static str, value: &mut T) {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let expected = format!("write one of {}", words.join(", "));
        if let Some(read) = self.read(key, &expected, |given| word_of(given.as_str()?)) {
            *value = read;
        }
    }

    fn text(&mut self, key: &'static str, value: &mut Option<String>) {
        let read = |given: &Value| given.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let Some(given) = self.take(key) else { return };
        match read(&given) {
            Some(text) => *value = Some(text),
            // Not quoted back: it may be a secret.
            None => self.refuse(key, "does not fit: write a text"),
        }
    }

    fn address(&mut self, key: &'static str, value: &mut Option<SecretString>) {
        let mut given = None;
        self.text(key, &mut given);
        if let Some(given) = given {
            *value = Some(given.into());
        }
    }

    fn table(&mut self, key: &'static str, visit: impl FnOnce(&mut Self)) {
        let map = match self.take(key) {
            None => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => {
                self.refuse(key, format!("{other} does not fit: write a table, [{key}]"));
                return;
            }
        };
        let mut table = Self::new(format!("{}{key}.", self.path), map);
        visit(&mut table);
        table.refuse_unknown();
        self.problems.append(&mut table.problems);
    }
}

/// How many letters have to change to make one word of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
