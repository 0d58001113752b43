use std::time::Duration;

use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use super::*;

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other}"),
    }
}

fn problems(value: Value) -> Vec<String> {
    let error = Settings::from_map(map(value)).unwrap_err();
    error.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_preset_sets_every_switch_and_keys_override_it() {
    let naive = Settings::from_map(map(json!({ "preset": "naive" }))).unwrap();
    assert!(naive.database.hold_connection && !naive.fallback);
    assert_eq!(naive.disconnect, DisconnectPolicy::RunOn);
    assert_eq!(naive.deadline.first_token, None);
    assert_eq!(naive.deadline.total, Some(Duration::from_mins(1)));
    let mixed = json!({ "preset": "naive", "database": { "hold_connection": false }, "deadline": { "idle": "2s" } });
    let mixed = Settings::from_map(map(mixed)).unwrap();
    assert!(!mixed.database.hold_connection && !mixed.fallback);
    assert_eq!(mixed.deadline.idle, Some(Duration::from_secs(2)));
    let resilient = Settings::from_map(Map::new()).unwrap();
    assert!(resilient.fallback && !resilient.database.hold_connection);
    assert_eq!(resilient.retry.max_attempts, 5);
}

#[test]
fn a_preset_can_be_switched_off_in_part() {
    let value = json!({ "deadline": { "first_token": "off" }, "retry": { "budget_ratio": "off" } });
    let settings = Settings::from_map(map(value)).unwrap();
    assert_eq!(
        (settings.deadline.first_token, settings.retry.budget_ratio),
        (None, None)
    );
}

#[test]
fn every_problem_is_listed_with_its_key_and_a_remedy() {
    let found = problems(json!({
        "design": "asynchronous",
        "blocking_workers": 0,
        "database": { "pool": "many" },
        "retry": { "max_atempts": 3, "base": "10s" },
        "deadline": { "total": 60 },
        "jobs": { "heartbeat": "30s" },
        "colour": "red",
        "providers": [{ "name": "a", "api_key": "sk-1", "modell": "m" }],
    }));
    // A key that is like no other is answered with all there are; the list itself would change with every key.
    let found: Vec<String> = found
        .into_iter()
        .map(|problem| match problem.split_once("known here: preset, design, ") {
            Some((before, _)) => format!("{before}known here: the list of all keys"),
            None => problem,
        })
        .collect();
    assert_eq!(
        found,
        [
            "design: \"asynchronous\" does not fit: write one of blocking, coupled, background, queued",
            "blocking_workers: 0 does not fit: write a whole number from 1 to 500",
            "database.pool: \"many\" does not fit: write a whole number from 1 to 10000",
            "retry.max_atempts: unknown key; did you mean max_attempts?",
            "deadline.total: 60 does not fit: write a number and its unit (us, ms, s, m, h), such as \"350ms\" or \
             \"1.5s\", or \"off\" for no limit",
            "providers[0].base_url: is missing",
            "providers[0].model: is missing",
            "providers[0].modell: unknown key; did you mean model?",
            "colour: unknown key; known here: the list of all keys",
            "jobs.heartbeat: is not shorter than jobs.lease, so every job would be taken from its worker; use a third \
             of the lease",
            "retry.base: is longer than retry.cap; raise the cap or lower the base",
        ]
    );
}

#[test]
fn what_is_written_for_a_child_is_what_it_reads() {
    let value = json!({
        "preset": "naive", "design": "queued", "retry": { "budget_ratio": 0.35 }, "deadline": { "total": "1500ms" },
        "database": { "query_time": "0s" }, "otlp_endpoint": "http://otlp.sim",
        "providers": [{ "name": "a", "base_url": "http://a.sim/v1", "model": "m", "api_key": "sk-1" }],
    });
    let settings = Settings::from_map(map(value)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("child.toml");
    std::fs::write(&path, settings.to_toml(Secrets::Included)).unwrap();
    let read = Settings::load(Some(&path), []).unwrap();
    assert_eq!(read.to_map(Secrets::Included), settings.to_map(Secrets::Included));
    assert_eq!(read.providers[0].api_key.as_ref().unwrap().expose_secret(), "sk-1");
    assert!(!settings.to_toml(Secrets::Excluded).contains("sk-1"));
    assert!(!format!("{settings:?}").contains("sk-1"));
}

#[test]
fn addresses_keep_their_passwords_to_themselves() {
    let value = json!({
        "database_url": "postgres://u:hidden@h/d", "redis_url": "redis://:hidden@h:6379", "queue": "redis",
    });
    let settings = Settings::from_map(map(value)).unwrap();
    let shown = settings.to_map(Secrets::Excluded);
    assert_eq!(
        (&shown["database_url"], &shown["redis_url"]),
        (&json!("postgres://u:***@h/d"), &json!("redis://:***@h:6379"))
    );
    assert!(!format!("{settings:?}").contains("hidden"));
    let written = settings.to_map(Secrets::Included);
    let read = Settings::from_map(written.clone()).unwrap();
    assert_eq!(read.to_map(Secrets::Included), written);
    assert_eq!(written["database_url"], json!("postgres://u:hidden@h/d"));
    let refused = problems(json!({
        "database_url": "mysql://u:hidden@h/d", "database_path": "a.db", "redis_url": "h:hidden", "namespace": "A B",
    }));
    assert!(!refused.join(" ").contains("hidden"));
    let keys: Vec<_> = refused.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(keys, ["database_url", "database_path", "redis_url", "namespace"]);
    assert_eq!(problems(json!({ "queue": "redis" })).len(), 1);
}

#[test]
fn the_environment_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.toml");
    std::fs::write(
        &path,
        "design = \"blocking\"\n[retry]\nmax_attempts = 2\nbase = \"1s\"\n",
    )
    .unwrap();
    let env = [
        ("BROWNOUT_SERVICE__RETRY__MAX_ATTEMPTS", "4"),
        ("BROWNOUT_SERVICE__FALLBACK", "false"),
        ("BROWNOUT_SERVICE__DEADLINE__TOTAL", "20s"),
        (
            "BROWNOUT_SERVICE__PROVIDERS",
            "[{name=\"a\", base_url=\"http://a\", model=\"m\"}]",
        ),
        ("PATH", "/bin"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::load(Some(&path), env).unwrap();
    assert_eq!(settings.design, Design::Blocking);
    assert_eq!(
        (settings.retry.max_attempts, settings.retry.base),
        (4, Duration::from_secs(1))
    );
    assert!(!settings.fallback);
    assert_eq!(settings.deadline.total, Some(Duration::from_secs(20)));
    assert_eq!(settings.providers[0].name, "a");
}

#[test]
fn a_file_that_is_not_there_or_no_toml_is_named() {
    let error = Settings::load(Some(Path::new("nowhere.toml")), []).unwrap_err();
    assert_eq!(error.problems[0].key, "nowhere.toml");
}
