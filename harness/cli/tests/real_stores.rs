//! Runs on the real clock with the service's data in PostgreSQL and Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]
#![cfg(unix)]

#[path = "../../../service/tests/support/servers.rs"]
mod servers;

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use servers::Server;

/// Twenty jobs in four seconds, for two variants that must not see each other's.
const SCENARIO: &str = r#"
question = "Where is the data?"
seed = 1
duration = "4s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "100ms"
inter_token = "1ms"
output_tokens = 5

[load]
arrivals = { kind = "constant", rate = "5/s" }
endpoint = "jobs"
poll = "200ms"

[[variant]]
name = "one"
service = { design = "queued", database = { pool = 4 } }

[[variant]]
name = "two"
service = { design = "queued", replicas = 2, database = { pool = 4 } }
"#;

fn run(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("where.toml");
    std::fs::write(&scenario, SCENARIO).unwrap();
    Command::new(env!("CARGO_BIN_EXE_brownout"))
        .arg("run")
        .arg(&scenario)
        .args(["--json", "--out"])
        .arg(folder.path().join("out"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Plays the scenario; on a busy machine the harness may be late, which makes it invalid and is not the question here.
#[track_caller]
fn answers_all(arguments: &[&str], stores: &str) {
    let output = run(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 106)), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("hidden"), "the password is in the record");
    let record: Value = serde_json::from_str(&text).unwrap();
    let notes = record["environment"]["notes"].to_string();
    assert!(notes.contains(stores), "{notes}");
    for variant in record["results"]["variants"].as_array().unwrap() {
        let requests = &variant["requests"];
        assert_eq!(requests["answered"], requests["due"], "{variant}");
        assert_eq!(variant["books"]["balanced"], true, "{}", variant["books"]);
    }
}

#[test]
fn variants_share_a_postgres_and_a_redis_without_meeting() {
    let (Some(postgres), Some(redis)) = (Server::postgres(), Server::redis()) else {
        return;
    };
    let (database, queue) = (postgres.postgres_url("brownout:hidden", "postgres"), redis.redis_url());
    let real = ["--clock", "real", "--database-url", &database];
    answers_all(
        &[&real[..], &["--variant", "two"]].concat(),
        "loopback sockets, PostgreSQL.",
    );
    let both = [&real[..], &["--redis-url", &queue]].concat();
    answers_all(&both, "loopback sockets, PostgreSQL, the queue in Redis.");
}

#[test]
fn stores_are_for_the_real_clock_and_have_addresses() {
    for (arguments, words) in [
        (&["--database-url", "postgres://h/d"][..], "--clock real"),
        (
            &["--clock", "real", "--database-url", "mysql://u:hidden@h/d"],
            "database_url",
        ),
    ] {
        let output = run(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(words) && !text.contains("hidden"), "{text}");
    }
}
