//! Cures: which keys belong together when one asks what a cure is worth, with it and without it.
//!
//! A cure is a table of the settings, or a switch at their top, unless [`GROUPS`] says otherwise: so a new cure is known
//! here as soon as it has keys. Does not play anything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Keys that make one cure together though their names do not say so, and tables that hold more than one.
const GROUPS: [(&str, &[&str]); 7] = [
    ("disconnect", &["disconnect", "drain"]),
    ("shutdown", &["shutdown_grace", "drain_delay"]),
    ("database release", &["database.hold_connection"]),
    (
        "cache.exact",
        &[
            "cache.exact",
            "cache.ttl",
            "cache.entries",
            "cache.bytes",
            "cache.max_temperature",
            "cache.store",
            "cache.timeout",
            "cache.warm",
        ],
    ),
    (
        "cache.semantic",
        &["cache.semantic", "cache.threshold", "cache.guards", "cache.questions"],
    ),
    ("coalesce", &["cache.coalesce"]),
    ("jobs.backlog", &["jobs.backlog"]),
];

/// What is no cure: where defaults come from, and how a request meets the model at all.
const NO_CURES: [&str; 2] = ["preset", "design"];

/// The cure that a key such as `retry.max_attempts` belongs to; `None` for what is no cure.
pub fn cure_of(key: &str) -> Option<&str> {
    if NO_CURES.contains(&key) {
        return None;
    }
    let grouped = GROUPS
        .iter()
        .find(|(_, keys)| keys.iter().any(|whole| is_within(key, whole)));
    let table = || key.split_once('.').map_or(key, |(table, _)| table);
    Some(grouped.map_or_else(table, |(name, _)| *name))
}

/// A key, and the value that it is given; `None` where it is taken away.
pub type Change = (String, Option<Value>);

/// What turns the first settings into the second, by cure. Both are what [`super::Settings::to_map`] gives: with secrets, or
/// the change has none either.
pub fn differing_cures(from: &Map<String, Value>, to: &Map<String, Value>) -> BTreeMap<String, Vec<Change>> {
    let (from, mut to) = (flat(from), flat(to));
    let keys: BTreeSet<String> = from.keys().chain(to.keys()).cloned().collect();
    let mut cures: BTreeMap<String, Vec<Change>> = BTreeMap::new();
    for key in keys {
        let value = to.remove(&key);
        if from.get(&key) != value.as_ref()
            && let Some(cure) = cure_of(&key)
        {
            cures.entry(cure.to_owned()).or_default().push((key, value));
        }
    }
    cures
}

fn is_within(key: &str, whole: &str) -> bool {
    key.strip_prefix(whole)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Dotted keys and their values. Lists stay whole.
fn flat(map: &Map<String, Value>) -> BTreeMap<String, Value> {
    let mut keys = BTreeMap::new();
    for (key, value) in map {
        match value {
            Value::Object(table) => {
                let inner = flat(table).into_iter();
                keys.extend(inner.map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            value => {
                keys.insert(key.clone(), value.clone());
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Preset, Secrets, Settings};

    fn preset(preset: Preset) -> Map<String, Value> {
        Settings::preset(preset).to_map(Secrets::Excluded)
    }

    #[test]
    fn every_key_in_which_the_presets_differ_is_in_exactly_one_cure() {
        let (naive, resilient) = (preset(Preset::Naive), preset(Preset::Resilient));
        let cures = differing_cures(&naive, &resilient);
        let mut grouped: Vec<&String> = cures.values().flatten().map(|(key, _)| key).collect();
        grouped.sort();
        let (naive, resilient) = (flat(&naive), flat(&resilient));
        let differing: Vec<&String> = resilient
            .keys()
            .filter(|key| naive.get(*key) != resilient.get(*key) && !NO_CURES.contains(&key.as_str()))
            .collect();
        assert_eq!(grouped, differing);
        assert!(cures.len() > 8 && cures["retry"].len() > 2, "{:?}", cures.keys());
        assert_eq!(naive.keys().collect::<Vec<_>>(), resilient.keys().collect::<Vec<_>>());
    }

    #[test]
    fn what_only_one_of_two_has_is_taken_away_from_it_or_given_to_the_other() {
        let plain = preset(Preset::Naive);
        let mut named = plain.clone();
        named.insert("instance".to_owned(), "a".into());
        let change = |value| BTreeMap::from([("instance".to_owned(), vec![("instance".to_owned(), value)])]);
        assert_eq!(differing_cures(&plain, &named), change(Some("a".into())));
        assert_eq!(differing_cures(&named, &plain), change(None));
    }

    #[test]
    fn a_group_wins_over_a_table_and_no_key_is_in_two_groups() {
        assert_eq!(cure_of("retry.max_attempts"), Some("retry"));
        assert_eq!(cure_of("fallback"), Some("fallback"));
        assert_eq!(cure_of("drain.time"), Some("disconnect"));
        assert_eq!(cure_of("drain_delay"), Some("shutdown"));
        assert_eq!(cure_of("jobs.coalesce"), Some("jobs"));
        assert_eq!(cure_of("design"), None);
        for (name, keys) in GROUPS {
            for key in keys {
                assert_eq!(cure_of(key), Some(name));
                let others = GROUPS.iter().flat_map(|(_, keys)| *keys).filter(|other| other != &key);
                assert!(others.clone().all(|other| !is_within(other, key)), "{key}");
            }
        }
    }
}
