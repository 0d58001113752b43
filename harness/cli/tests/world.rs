//! Processes live and die as the scenario says, and what follows from it is what follows from it in the real world.

mod support;

use std::sync::Arc;

use brownout::mount::ReferenceService;
use brownout_measure::record::{RunRecord, VariantRecord};
use brownout_scenario::{Plan, Scenario};
use support::play;

/// Five requests a second for 40 s, each answered after a second of streaming.
const CALM: &str = r#"
question = "Who survives?"
seed = 3
duration = "40s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "500ms"
inter_token = "10ms"
output_tokens = 50

[load]
arrivals = { kind = "poisson", rate = "5/s" }
"#;

fn plan(world: &str) -> Plan {
    Scenario::parse("world.toml", &format!("{CALM}{world}"))
        .unwrap_or_else(|error| panic!("{error}; {}", error.remedy()))
        .plan
}

fn played(world: &str) -> RunRecord {
    play(&plan(world), &Arc::new(ReferenceService))
}

fn variant<'a>(record: &'a RunRecord, name: &str) -> &'a VariantRecord {
    let variant = record.results.variants.iter().find(|variant| variant.name == name);
    let variant = variant.unwrap_or_else(|| panic!("no variant {name}"));
    assert!(variant.books.balanced, "{name}: {:#?}", variant.books.discrepancies);
    variant
}

#[test]
fn a_killed_worker_loses_no_job_of_the_queue_and_a_killed_service_all_that_were_in_its_memory() {
    let record = played(
        r#"
[[variant]]
name = "queued"
service = { preset = "naive", design = "queued", queue_workers = 2, jobs = { lease = "5s", heartbeat = "1s" } }
load = { endpoint = "jobs" }
event = [{ kind = "kill", host = "worker-0", at = "10s", restart_after = "2s" }, { kind = "kill", host = "worker-1", at = "20s" }]

[[variant]]
name = "background"
service = { preset = "naive", design = "background" }
load = { endpoint = "jobs" }
event = [{ kind = "kill", host = "service-0", at = "10s", restart_after = "1s" }]
"#,
    );
    let queued = variant(&record, "queued");
    assert_eq!(queued.requests.answered, queued.requests.due, "{:?}", queued.errors);
    assert!(
        queued.tokens.wasted > 0,
        "what the killed ones were generating was paid for"
    );
    let background = variant(&record, "background");
    assert!(background.requests.failed >= 5, "{:?}", background.errors);
    assert!(background.requests.answered > 100, "{:?}", background.requests);
}

#[test]
fn a_killed_service_resets_its_clients_and_hangs_up_on_its_provider() {
    let record = played(
        r#"
[[variant]]
name = "alone"
service = { preset = "naive", design = "coupled" }
load = { endpoint = "stream" }
event = [{ kind = "kill", host = "service-0", at = "10s", restart_after = "2s" }]

[[variant]]
name = "for-good"
service = { preset = "naive", design = "coupled" }
load = { endpoint = "stream" }
event = [{ kind = "kill", host = "service-0", at = "10s" }]
"#,
    );
    let alone = variant(&record, "alone");
    assert!(alone.errors["connection_lost"] >= 2, "{:?}", alone.errors);
    assert!(
        alone.errors["bad_gateway"] >= 3,
        "two seconds of nobody: {:?}",
        alone.errors
    );
    assert_eq!(alone.requests.answered + alone.requests.failed, alone.requests.due);
    assert!(alone.requests.answered > 150, "it came back: {:?}", alone.requests);
    let for_good = variant(&record, "for-good");
    assert!(for_good.requests.answered < 60, "{:?}", for_good.requests);
}

#[test]
fn a_rolling_restart_of_two_replicas_cuts_nobody() {
    let record = played(
        r#"
[orchestrator]
start_time = "3s"

[[event]]
kind = "rolling_restart"
at = "10s"
pause = "1s"

[[variant]]
name = "two"
service = { preset = "resilient", design = "coupled", replicas = 2 }
load = { endpoint = "stream" }

[[variant]]
name = "one"
service = { preset = "resilient", design = "coupled" }
load = { endpoint = "stream" }
"#,
    );
    let two = variant(&record, "two");
    assert_eq!(two.requests.answered, two.requests.due, "{:?}", two.errors);
    let hosts = &two.hosts;
    assert_eq!((hosts.terminated, hosts.restarts), (2, 2), "{hosts:?}");
    assert_eq!((hosts.least_ready, hosts.most_ready), (1, 2), "one after the other");
    let one = variant(&record, "one");
    let unavailable = one.requests.failed;
    assert!(
        (10..=40).contains(&unavailable),
        "while the only one is away: {:?}",
        one.errors
    );
    assert!(
        !one.errors.contains_key("connection_lost"),
        "nobody is cut: {:?}",
        one.errors
    );
}

#[test]
fn an_orchestrator_restarts_who_fails_its_probe_and_who_was_killed() {
    let record = played(
        r#"
[orchestrator]
start_time = "1s"
liveness = { path = "/readyz", every = "1s", timeout = "500ms", unhealthy_after = 2 }
grace = "2s"

[[dependency_fault]]
dependency = "database"
kind = "down"
from = "10s"
until = "14s"
hosts = ["service-0"]

[[variant]]
name = "restarted"
service = { preset = "resilient", design = "coupled", replicas = 2 }

[[variant]]
name = "killed"
service = { preset = "resilient", design = "coupled", replicas = 2 }
dependency_fault = []
event = [{ kind = "kill", host = "service-1", at = "20s" }]
"#,
    );
    let restarted = variant(&record, "restarted");
    assert!(
        restarted.requests.failed > 0,
        "one in two meets a replica without a database"
    );
    assert!(restarted.requests.answered > 150, "{:?}", restarted.requests);
    assert!(restarted.hosts.failed_liveness >= 1, "{:?}", restarted.hosts);
    assert!(restarted.probes.liveness.failed >= 2, "{:?}", restarted.probes);
    let killed = variant(&record, "killed");
    assert_eq!(
        (killed.hosts.killed, killed.hosts.restarts),
        (1, 1),
        "{:?}",
        killed.hosts
    );
    assert_eq!(killed.hosts.failed_liveness, 0, "{:?}", killed.hosts);
    assert!(killed.requests.failed <= 10, "{:?}", killed.errors);
}

#[test]
fn a_load_balancer_that_probes_sends_nobody_to_a_replica_that_is_not_ready() {
    let record = played(
        r#"
[gateway]
health = { every = "1s", timeout = "500ms", unhealthy_after = 1 }

[[dependency_fault]]
dependency = "database"
kind = "down"
from = "10s"
until = "30s"
hosts = ["service-1"]

[[variant]]
name = "ejecting"
service = { preset = "resilient", design = "coupled", replicas = 2 }

[[variant]]
name = "trusting"
service = { preset = "naive", design = "coupled", replicas = 2 }
gateway = { health = { path = "/livez" } }
"#,
    );
    let (ejecting, trusting) = (variant(&record, "ejecting"), variant(&record, "trusting"));
    assert!(
        ejecting.requests.failed <= 10,
        "at most two seconds' worth: {:?}",
        ejecting.errors
    );
    assert!(
        trusting.requests.failed > 30,
        "half of twenty seconds: {:?}",
        trusting.errors
    );
}

#[test]
fn a_service_scaled_to_zero_makes_the_first_request_wait_for_its_start() {
    let record = played(
        r#"
[orchestrator]
start_time = "2s"
scale = { min = 0, max = 8, target_in_flight = 4, every = "100ms", idle = "5s" }

[[variant]]
name = "scaled"
service = { preset = "resilient", design = "coupled" }
"#,
    );
    let scaled = variant(&record, "scaled");
    assert_eq!(scaled.requests.answered, scaled.requests.due, "{:?}", scaled.errors);
    assert_eq!(scaled.hosts.least_ready, 0, "{:?}", scaled.hosts);
    assert!(scaled.hosts.most_ready >= 2, "{:?}", scaled.hosts);
    let slowest = scaled.latency.max_ms;
    assert!(
        (2_900.0..3_400.0).contains(&slowest),
        "1 s of answer after 2 s of start: {slowest}"
    );
}

#[test]
fn worlds_give_the_same_results_to_the_last_byte() {
    let world = r#"
[gateway]
health = { every = "1s", timeout = "500ms" }

[orchestrator]
start_time = { kind = "lognormal", p50 = "1s", p99 = "4s" }
liveness = { every = "2s" }
scale = { min = 1, max = 6, target_in_flight = 2, every = "500ms", idle = "3s" }

[[event]]
kind = "kill"
at = "12s"
host = "service-0"

[[event]]
kind = "rolling_restart"
at = "15s"

[[dependency_fault]]
dependency = "database"
kind = "hang"
from = "25s"
until = "28s"

[[variant]]
name = "naive"
service = { preset = "naive", design = "coupled" }
load = { endpoint = "stream" }

[[variant]]
name = "queued"
service = { preset = "resilient", design = "queued", queue_workers = 2 }
load = { endpoint = "jobs" }
event = [{ kind = "kill", at = "12s", host = "worker-1" }, { kind = "terminate", at = "13s", host = "worker-0" }]
"#;
    let (first, second) = (played(world), played(world));
    assert_eq!(first.results, second.results);
    assert_eq!(first.results_fingerprint, second.results_fingerprint);
    for name in ["naive", "queued"] {
        assert!(variant(&first, name).requests.answered > 100);
    }
}
