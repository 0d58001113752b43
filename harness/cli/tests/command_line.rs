//! The command as a stranger meets it: exit codes, words, and what is left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]
#![expect(
    clippy::disallowed_methods,
    reason = "it waits for processes, which live in real time"
)]
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn brownout(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_brownout"));
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn output(args: &[&str]) -> Output {
    brownout(args).output().unwrap()
}

#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "`{word}` is not in: {text}");
    }
}

#[test]
fn a_scenario_that_is_wrong_or_missing_ends_with_102() {
    let dir = tempfile::tempdir().unwrap();
    let good = include_str!("../../../scenarios/pool-exhaustion.toml");
    for (from, to, words) in [
        ("warmup = \"6s\"", "warmup = \"6\"", ["bad.toml:4", "not a duration"]),
        ("pool = 20", "pol = 20", ["service.database.pol", "pool"]),
        ("latency.p99_ms", "latency.p9_ms", ["latency.p9_ms", "latency.p95_ms"]),
    ] {
        let file = dir.path().join("bad.toml");
        std::fs::write(&file, good.replacen(from, to, 1)).unwrap();
        says(&output(&["check", file.to_str().unwrap()]), 102, &words[..1]);
        says(&output(&["run", file.to_str().unwrap()]), 102, &words[1..]);
    }
    says(
        &output(&["check", "rate-limited", "scenarios"]),
        102,
        &["two scenarios are called rate-limited"],
    );
    says(
        &output(&["run", "no-such-scenario"]),
        102,
        &["no-such-scenario", "rate-limited"],
    );
    says(&output(&["run", "--clock", "lunar"]), 2, &["lunar", "virtual"]);
    says(
        &output(&["run", "rate-limited", "--variant", "brave"]),
        2,
        &["no such variant", "resilient"],
    );
}

#[test]
fn an_address_in_use_and_an_output_folder_that_cannot_be_are_told_and_leave_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    says(
        &output(&["provider", "--listen", &address]),
        104,
        &[&address, "--listen"],
    );
    says(
        &output(&["serve", "--listen", &address, "--config", "service/example.toml"]),
        103,
        &[&address, "--listen"],
    );
    says(&output(&["serve"]), 2, &["[[providers]]", "service/example.toml"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = file.path().join("runs");
    says(
        &output(&["run", "pool-exhaustion", "--out", out.to_str().unwrap()]),
        1,
        &["--out", "cannot be written"],
    );
}

#[test]
fn a_run_can_be_gated_compared_and_redrawn() {
    let dir = tempfile::tempdir().unwrap();
    let (run, base) = (dir.path().join("run"), dir.path().join("base"));
    let (run, base) = (run.to_str().unwrap(), base.to_str().unwrap());
    let json = output(&[
        "run",
        "pool-exhaustion",
        "--variant",
        "released",
        "--json",
        "--out",
        run,
    ]);
    assert_eq!(json.status.code(), Some(0));
    let record: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(record["results"]["verdict"], "passed");
    says(&output(&["baseline", run, "--write", base]), 0, &[]);
    says(&output(&["gate", run, "--baseline", base]), 0, &[]);

    let file = Path::new(base).join("pool-exhaustion.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let answered = record["results"]["variants"][0]["requests"]["answered"]
        .as_u64()
        .unwrap();
    let moved = text.replace(
        &format!("\"requests.answered\": {answered}"),
        "\"requests.answered\": 1",
    );
    assert_ne!(text, moved);
    std::fs::write(&file, moved).unwrap();
    let gate = output(&["gate", run, "--baseline", base]);
    let words = String::from_utf8_lossy(&gate.stdout);
    assert_eq!(gate.status.code(), Some(108), "{words}");
    assert!(
        words.contains("pool-exhaustion / released: requests.answered was 1, is"),
        "{words}"
    );

    let index = Path::new(run).join("pool-exhaustion/index.html");
    let before = std::fs::read(&index).unwrap();
    std::fs::remove_file(&index).unwrap();
    says(&output(&["report", run]), 0, &[]);
    assert_eq!(
        std::fs::read(&index).unwrap(),
        before,
        "a report is a pure function of its record"
    );
    says(&output(&["compare", run, run]), 0, &[]);
}

/// A real-clock run that has begun: its variant's requests are on their way.
fn begun(out: &Path) -> Child {
    let scenario = out.join("pool-exhaustion.toml");
    let without_warmup = include_str!("../../../scenarios/pool-exhaustion.toml")
        .replacen("warmup = \"6s\"", "", 1)
        .replacen("\"36s\"", "\"8s\"", 1);
    std::fs::write(&scenario, without_warmup).unwrap();
    let (scenario, out) = (scenario.to_str().unwrap(), out.to_str().unwrap());
    let args = [
        "run",
        scenario,
        "--clock",
        "real",
        "--variant",
        "released",
        "--out",
        out,
    ];
    let child = brownout(&args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| !children_of(child.id()).is_empty(), "the service to start");
    std::thread::sleep(Duration::from_secs(3));
    child
}

fn children_of(parent: u32) -> Vec<u32> {
    let listed = Command::new("ps")
        .args(["-o", "pid=", "--ppid", &parent.to_string()])
        .output()
        .unwrap();
    String::from_utf8_lossy(&listed.stdout)
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

fn signal(name: &str, pid: u32) {
    assert!(
        Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

fn is_alive(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool, what: &str) {
    for _ in 0..600 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited 30 s for {what}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_real_run_writes_what_it_has_and_leaves_no_child() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = begun(dir.path());
    let children = children_of(run.id());
    signal("-INT", run.id());
    assert_eq!(run.wait().unwrap().code(), Some(105));
    wait_until(|| !children.iter().any(|pid| is_alive(*pid)), "the children to end");
    let record = std::fs::read(dir.path().join("pool-exhaustion/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["interrupted"], true);
    assert!(record["results"]["variants"][0]["requests"]["sent"].as_u64().unwrap() > 0);
    assert_eq!(record["results"]["variants"][0]["books"]["balanced"], true);
}

#[cfg(target_os = "linux")]
#[test]
fn a_harness_that_is_killed_takes_its_children_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = begun(dir.path());
    let children = children_of(run.id());
    assert!(!children.is_empty());
    signal("-KILL", run.id());
    run.wait().unwrap();
    wait_until(|| !children.iter().any(|pid| is_alive(*pid)), "the children to end");
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_that_dies_in_the_middle_is_told_and_what_was_measured_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = begun(dir.path());
    for child in children_of(run.id()) {
        signal("-KILL", child);
    }
    assert_eq!(run.wait().unwrap().code(), Some(103));
    let record = std::fs::read_to_string(dir.path().join("pool-exhaustion/run.json")).unwrap();
    assert!(record.contains("service-0 ended in the middle of the run"), "{record}");
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let variant = &record["results"]["variants"][0];
    assert!(
        variant["errors"]["connect"].as_u64().unwrap() > 0,
        "{}",
        variant["errors"]
    );
    assert_eq!(variant["books"]["balanced"], true, "{}", variant["books"]);
}
