//! Settings from maps, files and the environment. Collects every problem; stops at none.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::entries::Amount;
use super::fields::{self, Choice, Entry, Visitor};
use super::{Digest, Preset, Settings, SettingsError, SettingsProblem, rules, unit};

/// What the names of the settings in the environment begin with.
const PREFIX: &str = "BROWNOUT_SERVICE__";

/// See [`Settings::load`].
pub(super) fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Settings, SettingsError> {
    let mut map = path.map_or_else(|| Ok(Map::new()), from_file)?;
    merge(&mut map, from_env(env));
    checked(map, |settings, problems| {
        rules::check(settings, problems);
        rules::check_stores(settings, problems);
    })
}

/// The settings in a file. Its text is never quoted in an error: it may hold keys.
fn from_file(path: &Path) -> Result<Map<String, Value>, SettingsError> {
    let problem = |problem: String| SettingsError {
        problems: vec![SettingsProblem {
            key: path.display().to_string(),
            problem,
        }],
    };
    let text = std::fs::read_to_string(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    toml::from_str(&text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        problem(format!(
            "is no TOML: line {}: {}",
            before.matches('\n').count() + 1,
            error.message()
        ))
    })
}

/// Lays `over` on `map`: tables are merged, everything else is replaced.
fn merge(map: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (map.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => merge(known, more),
            (_, value) => {
                map.insert(key, value);
            }
        }
    }
}

/// The settings in the environment as nested maps. Lists and tables may be JSON; other values are read as TOML would read
/// them, and as text otherwise.
fn from_env(env: impl IntoIterator<Item = (String, String)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, text) in env {
        let Some(keys) = name.strip_prefix(PREFIX).map(str::to_ascii_lowercase) else {
            continue;
        };
        insert(&mut map, &keys, from_variable(text));
    }
    map
}

fn from_variable(text: String) -> Value {
    if text.trim_start().starts_with(['[', '{'])
        && let Ok(value) = serde_json::from_str(&text)
    {
        return value;
    }
    let Ok(parsed) = text.parse::<figment::value::Value>();
    serde_json::to_value(parsed).unwrap_or(Value::String(text))
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
    checked(map, rules::check)
}

/// Settings whose values are valid each, and together by `rules`.
fn checked(
    map: Map<String, Value>,
    rules: impl FnOnce(&Settings, &mut Vec<SettingsProblem>),
) -> Result<Settings, SettingsError> {
    let mut reader = Reader::new(String::new(), map);
    let mut preset = Preset::Resilient;
    if let Some(word) = reader.map.get("preset").and_then(Value::as_str) {
        preset = word_of(word).unwrap_or(preset);
    }
    let mut settings = Settings::preset(preset);
    fields::visit(&mut settings, &mut reader);
    reader.refuse_unknown();
    let mut problems = reader.problems;
    rules(&settings, &mut problems);
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(SettingsError { problems })
    }
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

    /// A text that is not empty. What does not fit is not quoted back: it may be a secret.
    fn words(&mut self, key: &'static str) -> Option<String> {
        let given = self.take(key)?;
        let read = given.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if read.is_none() {
            self.refuse(key, "does not fit: write a text");
        }
        read
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

    fn share(&mut self, key: &'static str, value: &mut f64) {
        let read = |given: &Value| given.as_f64().filter(|read| (0.0..=1.0).contains(read));
        if let Some(read) = self.read(key, "write a number from 0 to 1", read) {
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
        if let Some(read) = self.words(key) {
            *value = Some(read);
        }
    }

    fn needed(&mut self, key: &'static str, value: &mut String) {
        if !self.map.contains_key(key) {
            self.known.push(key);
            self.refuse(key, "is missing");
        } else if let Some(read) = self.words(key) {
            *value = read;
        }
    }

    fn secret(&mut self, key: &'static str, value: &mut Option<SecretString>) {
        if let Some(read) = self.words(key) {
            *value = Some(read.into());
        }
    }

    fn digest(&mut self, key: &'static str, value: &mut Digest) {
        let given = self.take(key);
        match given.as_ref().map(|given| given.as_str().and_then(Digest::from_hex)) {
            Some(Some(read)) => *value = read,
            // Not quoted back: it may be the key itself.
            Some(None) => self.refuse(
                key,
                "does not fit: write the SHA-256 of the key as 64 hexadecimal digits; `brownout serve --hash-key` makes it",
            ),
            None => self.refuse(key, "is missing: `brownout serve --hash-key` makes it from a key"),
        }
    }

    fn bound(&mut self, key: &'static str, range: RangeInclusive<u32>, value: &mut Option<u32>) {
        let expected = format!(
            "write a whole number from {} to {}, or \"off\" for no limit",
            range.start(),
            range.end()
        );
        let read = |given: &Value| match given {
            Value::String(text) if text == "off" => Some(None),
            given => u32::try_from(given.as_u64()?)
                .ok()
                .filter(|read| range.contains(read))
                .map(Some),
        };
        if let Some(read) = self.read(key, &expected, read) {
            *value = read;
        }
    }

    fn amount<T: Amount>(&mut self, key: &'static str, value: &mut Option<T>) {
        if let Some(read) = self.read(key, T::EXPECTED, |given| T::from_number(given.as_f64()?)) {
            *value = Some(read);
        }
    }

    fn list<T: Entry>(&mut self, key: &'static str, most: usize, entries: &mut Vec<T>) {
        let Some(given) = self.take(key) else { return };
        let Value::Array(given) = given else {
            self.refuse(key, format!("is not a list: write one [[{key}]] table for each"));
            return;
        };
        if given.len() > most {
            self.refuse(key, format!("has {} entries: at most {most} fit", given.len()));
        }
        // One more than fit are read, so that what is wrong with them is said as well.
        for (n, entry) in given.into_iter().take(most + 1).enumerate() {
            let Value::Object(map) = entry else {
                self.refuse(
                    &format!("{key}[{n}]"),
                    format!("is not a table: write [[{key}]] and its keys"),
                );
                continue;
            };
            let mut table = Self::new(format!("{}{key}[{n}].", self.path), map);
            let mut read = T::blank();
            read.visit(&mut table);
            table.refuse_unknown();
            self.problems.append(&mut table.problems);
            entries.push(read);
        }
    }

    fn address(&mut self, key: &'static str, value: &mut Option<SecretString>) {
        self.secret(key, value);
    }

    fn texts<T: FromStr<Err: Display> + Display>(&mut self, key: &'static str, most: usize, texts: &mut Vec<T>) {
        let Some(given) = self.take(key) else { return };
        let Value::Array(given) = given else {
            self.refuse(key, format!("{given} does not fit: write a list of texts, [\"...\"]"));
            return;
        };
        if given.len() > most {
            self.refuse(key, format!("has {} entries: at most {most} fit", given.len()));
        }
        texts.clear();
        for (n, entry) in given.iter().take(most + 1).enumerate() {
            match entry.as_str().map(str::parse) {
                Some(Ok(read)) => texts.push(read),
                Some(Err(error)) => self.refuse(&format!("{key}[{n}]"), format!("{entry} does not fit: {error}")),
                None => self.refuse(&format!("{key}[{n}]"), format!("{entry} does not fit: write a text")),
            }
        }
    }

    fn table(&mut self, key: &'static str, visit: impl FnOnce(&mut Self)) {
        let map = match self.take(key) {
            None => Map::new(),
            Some(Value::Object(map)) => map,
            Some(_) => {
                self.refuse(key, format!("is not a table: write [{key}] and its keys below it"));
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
