//! Child processes live and die on the real clock as tasks do on the virtual one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]
#![cfg(unix)]

#[path = "../../../service/tests/support/servers.rs"]
mod servers;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use servers::Server;

const CALM: &str = r#"
question = "Who survives?"
seed = 3
duration = "6s"

[limits]
lateness_p99 = "2s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "300ms"
output_tokens = 20

[load]
arrivals = { kind = "poisson", rate = "10/s" }
"#;

fn run(dir: &Path, world: &str) -> Output {
    run_with(dir, world, &[])
}

fn run_with(dir: &Path, world: &str, options: &[&str]) -> Output {
    let file = dir.join("world.toml");
    std::fs::write(&file, format!("{CALM}{world}")).unwrap();
    Command::new(env!("CARGO_BIN_EXE_brownout"))
        .args(["run", "--clock", "real", "--quiet", "--out"])
        .arg(dir.join("out"))
        .args(options)
        .arg(file)
        .output()
        .unwrap()
}

fn variants(dir: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.join("out/world/run.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    record["results"]["variants"].as_array().unwrap().clone()
}

#[test]
fn children_are_killed_terminated_rolled_and_restarted() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(
        dir.path(),
        r#"
[[variant]]
name = "queued"
service = { preset = "naive", design = "queued", replicas = 2, queue_workers = 2, jobs = { lease = "1s", heartbeat = "300ms" } }
load = { endpoint = "jobs", poll = "100ms" }
event = [
    { kind = "kill", host = "worker-0", at = "2s", restart_after = "500ms" },
    { kind = "terminate", host = "worker-1", at = "3s" },
    { kind = "kill", host = "service-1", at = "5500ms", restart_after = "100ms" },
    { kind = "rolling_restart", at = "4s" },
]

[[variant]]
name = "restarted"
service = { preset = "naive", design = "coupled" }
orchestrator = { start_time = "200ms", liveness = { path = "/nowhere", every = "300ms", unhealthy_after = 2 } }
"#,
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let variants = variants(dir.path());
    let (queued, restarted) = (&variants[0], &variants[1]);
    assert_eq!(queued["books"]["balanced"], true, "{}", queued["books"]);
    // A submission that was under way to the killed replica may be lost; a job that was taken on is not.
    assert!(
        queued["requests"]["failed"].as_u64().unwrap() <= 3,
        "{}",
        queued["errors"]
    );
    let hosts = &queued["hosts"];
    assert_eq!([&hosts["started"], &hosts["restarts"]], [8, 4], "{hosts}");
    assert_eq!([&hosts["killed"], &hosts["terminated"]], [2, 3], "{hosts}");
    assert!(
        restarted["hosts"]["failed_liveness"].as_u64().unwrap() >= 1,
        "{restarted}"
    );
    assert!(restarted["hosts"]["restarts"].as_u64().unwrap() >= 1, "{restarted}");
    assert!(
        restarted["probes"]["liveness"]["failed"].as_u64().unwrap() >= 2,
        "{restarted}"
    );
}

#[test]
fn what_child_processes_do_not_have_is_refused_before_anything_is_started() {
    for (world, words) in [
        (
            "[[variant]]\nname = \"cut\"\ndependency_fault = [{ dependency = \"database\", kind = \"down\" }]",
            ["`cut` cannot be played", "SQLite"],
        ),
        (
            "[[variant]]\nname = \"many\"\nservice = { replicas = 17 }",
            ["replicas asks for 17 processes", "--clock virtual"],
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let output = run(dir.path(), world);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(102), "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn a_redis_that_hangs_for_a_while_delays_jobs_and_loses_none() {
    let Some(server) = Server::redis() else { return };
    let dir = tempfile::tempdir().unwrap();
    let world = r#"
[[dependency_fault]]
dependency = "queue"
kind = "hang"
from = "2s"
until = "3500ms"

[[variant]]
name = "queued"
service = { preset = "resilient", design = "queued", queue_workers = 1 }
load = { endpoint = "jobs", poll = "100ms" }
"#;
    let output = run_with(dir.path(), world, &["--redis-url", &server.redis_url()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let variant = &variants(dir.path())[0];
    assert_eq!(
        variant["requests"]["answered"], variant["requests"]["due"],
        "{}",
        variant["errors"]
    );
    let slowest = variant["ack"]["max_ms"].as_f64().unwrap();
    assert!((1_000.0..6_000.0).contains(&slowest), "{slowest}");
}

#[test]
fn a_postgres_that_is_slow_and_then_gone_makes_answers_late_and_then_none() {
    let Some(server) = Server::postgres() else { return };
    let dir = tempfile::tempdir().unwrap();
    let world = r#"
[[dependency_fault]]
dependency = "database"
kind = "slow"
latency = "400ms"
from = "1s"
until = "3s"

[[dependency_fault]]
dependency = "database"
kind = "down"
from = "4s"
until = "5s"
hosts = ["service-1"]

[[variant]]
name = "coupled"
service = { preset = "resilient", design = "coupled", replicas = 2, database = { acquire_timeout = "500ms" } }
"#;
    let url = server.postgres_url("brownout", "postgres");
    let output = run_with(dir.path(), world, &["--database-url", &url]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let variant = &variants(dir.path())[0];
    let (failed, due) = (&variant["requests"]["failed"], &variant["requests"]["due"]);
    assert!(failed.as_u64().unwrap() >= 1, "{}", variant["errors"]);
    assert!(
        failed.as_u64().unwrap() * 2 < due.as_u64().unwrap(),
        "{}",
        variant["errors"]
    );
    assert!(
        variant["latency"]["max_ms"].as_f64().unwrap() > 700.0,
        "{}",
        variant["latency"]
    );
}
