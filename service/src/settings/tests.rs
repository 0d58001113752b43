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
    // Every key there is: the list is the code's.
    let unknown = "colour: unknown key; known here: preset, design, ";
    let unknown = found.iter().find(|line| line.starts_with(unknown)).unwrap().clone();
    assert_eq!(
        found,
        [
            "design: \"asynchronous\" does not fit: write one of blocking, coupled, background, queued",
            "blocking_workers: 0 does not fit: write a whole number from 1 to 500",
            "database.pool: \"many\" does not fit: write a whole number from 1 to 10000",
            "retry.max_atempts: unknown key; did you mean max_attempts?",
            "deadline.total: 60 does not fit: write a number and its unit (us, ms, s, m, h, d), such as \"350ms\" or \
             \"1.5s\", or \"off\" for no limit",
            "providers[0].base_url: is missing",
            "providers[0].model: is missing",
            "providers[0].modell: unknown key; did you mean model?",
            &unknown,
            "jobs.heartbeat: is not shorter than jobs.lease, so every job would be taken from its worker; use a third \
             of the lease",
            "retry.base: is longer than retry.cap; raise the cap or lower the base",
        ]
    );
}

#[test]
fn webhooks_need_a_good_secret_and_hosts_that_mean_something() {
    let found = problems(json!({
        "jobs": { "backlog": 0, "coalesce": "yes" },
        "webhooks": { "hosts": ["*", "a b", 7, "hooks.example.com"], "secret": "short", "timeout": "30s" },
    }));
    let keys: Vec<&str> = found.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    let expected = [
        "jobs.backlog",
        "jobs.coalesce",
        "webhooks.hosts[0]",
        "webhooks.hosts[1]",
        "webhooks.hosts[2]",
        "webhooks.secret",
        "webhooks.timeout",
    ];
    assert_eq!(keys, expected, "{found:#?}");
    let found = problems(json!({ "webhooks": { "hosts": ["hooks.example.com"], "timeout": "30s", "attempts": 50 } }));
    let keys: Vec<&str> = found.iter().map(|problem| problem.split(':').next().unwrap()).collect();
    assert_eq!(
        keys,
        ["webhooks.secret", "webhooks.timeout", "webhooks.attempts"],
        "{found:#?}"
    );
    // Without hosts there are no webhooks, and nothing can be wrong with them.
    assert!(Settings::from_map(map(json!({ "webhooks": { "attempts": 50 } }))).is_ok());
}

#[test]
fn what_is_written_for_a_child_is_what_it_reads() {
    let value = json!({
        "preset": "naive", "design": "queued", "retry": { "budget_ratio": 0.35 }, "deadline": { "total": "1500ms" },
        "jobs": { "backlog": 9 },
        "webhooks": { "hosts": ["*.example.com", "127.0.0.1:9000"], "secret": "a-secret-that-is-long-enough" },
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
    for secret in ["sk-1", "long-enough"] {
        assert!(settings.to_toml(Secrets::Included).contains(secret));
        assert!(!settings.to_toml(Secrets::Excluded).contains(secret));
        assert!(!format!("{settings:?}").contains(secret));
    }
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
fn what_is_shared_has_to_be_somewhere_unless_the_host_brings_it() {
    let shared = |key: &str| json!({ key: { "store": "shared" } });
    for key in ["limits", "cache"] {
        assert!(Settings::from_map(map(shared(key))).is_ok(), "on the virtual clock");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("service.toml");
        std::fs::write(&path, toml::to_string(&shared(key)).unwrap()).unwrap();
        let refused = Settings::load(Some(&path), []).unwrap_err().to_string();
        assert!(
            refused.starts_with(&format!("{key}.store: is to be shared")),
            "{refused}"
        );
        let url = ("BROWNOUT_SERVICE__REDIS_URL".to_owned(), "redis://h:6379".to_owned());
        assert!(Settings::load(Some(&path), [url]).is_ok());
    }
}

#[test]
fn what_would_do_nothing_or_harm_is_refused() {
    let price = json!([{ "name": "a", "base_url": "http://a", "model": "m", "prompt_usd_per_million": 1,
        "completion_usd_per_million": 1 }]);
    let key = json!([{ "name": "k", "sha256": "ab".repeat(32), "budget_usd": 5 }]);
    let cases = [
        (
            json!({ "providers": price, "keys": key }),
            "keys[0].budget_usd: is never kept",
        ),
        (
            json!({ "cache": { "semantic": true, "threshold": 0 } }),
            "cache.threshold: is 0",
        ),
        (
            json!({ "cache": { "threshold": 1.5 } }),
            "cache.threshold: 1.5 does not fit: write a number from 0 to 1",
        ),
    ];
    for (value, expected) in cases {
        let found = problems(value);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
        assert!(!found[0].ends_with("no bound"), "{found:?}");
    }
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

#[test]
fn lists_in_the_environment_may_be_json_or_toml() {
    let json = r#"[{"name": "a", "base_url": "http://a", "model": "m", "api_key": "sk-1"}]"#;
    let toml = r#"[{name="a", base_url="http://a", model="m", api_key="sk-1"}]"#;
    for list in [json, toml] {
        let env = [("BROWNOUT_SERVICE__PROVIDERS".to_owned(), list.to_owned())];
        let settings = Settings::load(None, env).unwrap();
        assert_eq!(settings.providers[0].base_url, "http://a");
        assert_eq!(settings.providers[0].api_key.as_ref().unwrap().expose_secret(), "sk-1");
    }
}

#[test]
fn what_is_wrong_with_keys_and_prices_is_said_all_at_once() {
    let sum = "ab".repeat(32);
    let found = problems(json!({
        "auth": "required",
        "providers": [{ "name": "a", "base_url": "a.sim", "model": "m", "prompt_usd_per_million": -1 }],
        "keys": [
            { "name": "one", "sha256": sum, "disabled": true },
            { "name": "one", "sha256": sum, "tenant": "a/b", "disabled": true },
            { "name": "no sum", "disabled": true },
            { "name": "two", "sha256": "sk-the-key-itself", "concurrent": 0, "budget_usd": 0, "disabled": true },
            { "name": "three", "sha256": "cd".repeat(32), "budget_usd": 5, "budget_window": "1d", "disabled": true },
        ],
    }));
    let expected = [
        "providers[0].prompt_usd_per_million: -1 does not fit: write dollars for a million tokens, from 0 to 10000, in \
         steps of a thousandth",
        "keys[2].sha256: is missing: `brownout serve --hash-key` makes it from a key",
        "keys[3].sha256: does not fit: write the SHA-256 of the key as 64 hexadecimal digits; `brownout serve --hash-key` \
         makes it",
        "keys[3].concurrent: 0 does not fit: write a whole number from 1 to 1000000, or \"off\" for no limit",
        "keys[3].budget_usd: 0 does not fit: write dollars, from 0.000001 to 1000000000",
        "providers[0].base_url: is no address: write scheme and host, for example http://localhost:4318 or \
         https://api.openai.com/v1",
        "auth: is required, but no key is enabled, so nobody could call: add [[keys]] with name and sha256",
        "keys[1].tenant: does not fit: write 1 to 64 letters, digits, dots, hyphens or underscores",
        "keys[1].name: is the name of another key too: write another name",
        "keys[1].sha256: is the sum of another key too: who shows it could be either; make a key of its own",
        "keys[2].name: does not fit: write 1 to 64 letters, digits, dots, hyphens or underscores",
        "providers[0].prompt_usd_per_million: is missing: a key has a budget_usd, which cannot be kept without prices",
        "providers[0].completion_usd_per_million: is missing: a key has a budget_usd, which cannot be kept without prices",
    ];
    assert_eq!(found, expected);
}

/// Settings with a secret in every place that takes one.
fn with_secrets() -> Value {
    json!({
        "auth": "required",
        "providers": [{ "name": "a", "base_url": "http://a", "model": "m", "api_key": "sk-secret" }],
        "keys": [{ "name": "k", "sha256": "5ec2e7".repeat(11)[..64] }],
    })
}

#[test]
fn secrets_come_back_when_they_are_asked_for_and_are_shown_to_nobody() {
    let settings = Settings::from_map(map(with_secrets())).unwrap();
    let written = settings.to_toml(Secrets::Included);
    assert!(written.contains("sk-secret") && written.contains("5ec2e7"));
    let shown = format!("{settings:?}{}", settings.to_toml(Secrets::Excluded));
    assert!(!shown.contains("sk-secret") && !shown.contains("5ec2e7"), "{shown}");
}

#[test]
fn errors_do_not_quote_what_may_be_a_secret() {
    let mut bad = with_secrets();
    bad["keys"][0]["sha256"] = json!("sk-secret");
    bad["providers"][0]["api_key"] = json!(["sk-secret"]);
    bad["retry"] = json!("sk-secret");
    let mut errors = problems(bad);
    assert_eq!(errors.len(), 3, "{errors:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.toml");
    for broken in ["[[providers]]\napi_key = \"sk-secret\nname = 1", "api_key = sk-secret"] {
        std::fs::write(&path, broken).unwrap();
        errors.push(Settings::load(Some(&path), []).unwrap_err().to_string());
    }
    let env = (
        "BROWNOUT_SERVICE__PROVIDERS".to_owned(),
        "[{\"api_key\": \"sk-secret\"".to_owned(),
    );
    errors.push(Settings::load(None, [env]).unwrap_err().to_string());
    for error in errors {
        assert!(!error.contains("sk-secret"), "{error}");
    }
}
