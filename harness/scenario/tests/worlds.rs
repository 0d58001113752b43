//! What stands around the service, as a file says it: defaults, patches of variants, and mistakes with their lines.

use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{DependencyEffect, EventKind, HealthCheckPlan, Variant};
use brownout_scenario::units::Micros;
use brownout_scenario::{Scenario, ScenarioError};

const HEAD: &str = "question = \"?\"\nduration = \"60s\"\n[[provider]]\nname = \"primary\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"1s\"\n[load]\narrivals = { kind = \"constant\", rate = \"1/s\" }\n";
const VARIANTS: &str = "\n[[variant]]\nname = \"only\"\n";

fn read(world: &str, variants: &str) -> Result<Vec<Variant>, Box<ScenarioError>> {
    let scenario = Scenario::parse("x.toml", &format!("{HEAD}{world}{variants}"))?;
    Ok(scenario.plan.variants)
}

#[track_caller]
fn only(world: &str) -> Variant {
    let variants = read(world, VARIANTS).unwrap_or_else(|error| panic!("{error}; {}", error.remedy()));
    variants.into_iter().next().expect("one variant")
}

/// `world` is refused: its line, words of the message, words of the remedy.
#[track_caller]
fn refuses(world: &str, line: usize, message: &str, remedy: &str) {
    let error = read(world, VARIANTS).expect_err("it must be refused");
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.remedy().contains(remedy), "{}", error.remedy());
    assert_eq!(error.line(), HEAD.lines().count() + line, "{error}");
}

#[test]
fn probes_have_the_defaults_of_kubernetes_and_a_path_for_what_they_ask() {
    let variant = only("[gateway]\nhealth = {}\n[orchestrator]\nliveness = { timeout = \"2s\" }");
    let probe = |path: &str, timeout| HealthCheckPlan {
        path: path.to_owned(),
        every: Micros::from_secs(10),
        timeout: Micros::from_secs(timeout),
        unhealthy_after: 3,
        healthy_after: 1,
    };
    assert_eq!(variant.gateway.unwrap().health, Some(probe("/readyz", 1)));
    let orchestrator = variant.orchestrator.unwrap();
    assert_eq!(orchestrator.liveness, Some(probe("/livez", 2)));
    assert_eq!(orchestrator.grace, Micros::from_secs(30));
    assert_eq!(orchestrator.start_time, Distribution::Constant { value: 0.0 });
    assert_eq!(orchestrator.scale, None);
}

#[test]
fn a_world_that_is_not_spoken_of_is_not_there() {
    let variant = only("");
    assert_eq!((variant.gateway, variant.orchestrator), (None, None));
    assert!(variant.events.is_empty() && variant.dependency_faults.is_empty());
}

#[test]
fn events_are_in_the_order_of_time_and_faults_last_to_the_end_of_the_run() {
    let variant = only(
        "[[event]]\nkind = \"kill\"\nat = \"20s\"\nhost = \"service-0\"\nrestart_after = \"2s\"\n\
         [[event]]\nkind = \"rolling_restart\"\nat = \"10s\"\n\
         [[dependency_fault]]\ndependency = \"database\"\nkind = \"slow\"\nlatency = \"5s\"\nfrom = \"30s\"\nhosts = [\"service-0\"]",
    );
    let kinds: Vec<_> = variant.events.into_iter().map(|event| event.what).collect();
    let kill = EventKind::Kill {
        host: "service-0".to_owned(),
        restart_after: Some(Micros::from_secs(2)),
    };
    assert_eq!(kinds, [EventKind::RollingRestart { pause: Micros::ZERO }, kill]);
    let fault = &variant.dependency_faults[0];
    let latency = Micros::from_secs(5);
    assert_eq!(fault.effect, DependencyEffect::Slow { latency });
    assert_eq!(
        (fault.from, fault.until),
        (Micros::from_secs(30), Micros::from_secs(60))
    );
}

#[test]
fn a_variant_changes_keys_of_the_orchestrator_and_replaces_lists() {
    let world = "[gateway]\nidle_timeout = \"30s\"\n[orchestrator]\ngrace = \"5s\"\n[[event]]\nkind = \"kill\"\nat = \"20s\"\nhost = \"service-0\"\n[[dependency_fault]]\ndependency = \"queue\"\nkind = \"down\"";
    let variants = "\n[[variant]]\nname = \"as-is\"\n[[variant]]\nname = \"changed\"\ngateway = { total_timeout = \"30s\" }\norchestrator = { start_time = \"3s\" }\nevent = []\ndependency_fault = [{ dependency = \"database\", kind = \"hang\" }]\n";
    let variants = read(world, variants).unwrap();
    assert_eq!(variants[0].events.len(), 1);
    assert_eq!(variants[0].dependency_faults[0].effect, DependencyEffect::Down);
    let changed = &variants[1];
    assert!(changed.events.is_empty());
    assert_eq!(changed.dependency_faults[0].effect, DependencyEffect::Hang);
    let (gateway, orchestrator) = (changed.gateway.clone().unwrap(), changed.orchestrator.clone().unwrap());
    assert_eq!(gateway.total_timeout, Some(Micros::from_secs(30)));
    assert_eq!(gateway.idle_timeout, Micros::from_secs(30), "the file's");
    assert_eq!(orchestrator.grace, Micros::from_secs(5), "the file's");
    assert_eq!(orchestrator.start_time, Distribution::Constant { value: 3e6 });
}

#[test]
fn a_run_with_scale_begins_with_the_fewest_replicas_and_names_them_up_to_the_most() {
    let scaled = "[orchestrator]\nscale = { min = 0, max = 5, target_in_flight = 10 }\n";
    assert_eq!(only(scaled).service.replicas, 0);
    let kill = "[[event]]\nkind = \"kill\"\nat = \"1s\"\nhost = ";
    assert_eq!(only(&format!("{scaled}{kill}\"service-4\"")).events.len(), 1);
    refuses(
        &format!("{scaled}{kill}\"service-5\""),
        6,
        "no process `service-5`",
        "service-0 to service-4",
    );
}

#[test]
fn processes_that_are_not_there_cannot_be_killed() {
    let kill = |host: &str| format!("[[event]]\nkind = \"kill\"\nat = \"1s\"\nhost = \"{host}\"");
    for host in ["service-1", "service-00", "service-", "worker-0", "primary"] {
        refuses(&kill(host), 4, &format!("no process `{host}`"), "it has service-0;");
    }
}

#[test]
fn events_that_cannot_be() {
    refuses(
        "[[event]]\nkind = \"kill\"\nat = \"60s\"\nhost = \"service-0\"",
        3,
        "can never happen",
        "earlier",
    );
    refuses("[[event]]\nkind = \"kill\"\nat = \"6s\"", 1, "whom it concerns", "host");
    refuses(
        "[[event]]\nkind = \"rolling_restart\"\nat = \"6s\"\nhost = \"service-0\"",
        4,
        "`host` has no meaning for `rolling_restart`",
        "remove it",
    );
    refuses(
        "[[event]]\nkind = \"explode\"\nat = \"6s\"",
        2,
        "unknown variant `explode`",
        "rolling_restart",
    );
}

#[test]
fn dependency_faults_that_cannot_be() {
    let fault = |keys: &str| format!("[[dependency_fault]]\ndependency = \"database\"\n{keys}");
    refuses(&fault("kind = \"slow\""), 3, "how slow", "latency");
    refuses(
        &fault("kind = \"down\"\nlatency = \"1s\""),
        4,
        "does not answer",
        "slow",
    );
    refuses(
        &fault("kind = \"down\"\nfrom = \"70s\""),
        4,
        "can never happen",
        "earlier",
    );
    refuses(
        &fault("kind = \"down\"\nfrom = \"20s\"\nuntil = \"10s\""),
        5,
        "ends at 10s",
        "an instant",
    );
    refuses(&fault("kind = \"down\"\nhosts = []"), 4, "nobody", "leave hosts out");
    refuses(
        &fault("kind = \"down\"\nhosts = [\"db\"]"),
        4,
        "no process `db`",
        "service-0",
    );
}

#[test]
fn probes_and_scales_that_cannot_be() {
    refuses(
        "[orchestrator]\nliveness = { healthy_after = 2 }",
        2,
        "no meaning for liveness",
        "remove",
    );
    refuses("[gateway]\nhealth = { path = \"readyz\" }", 2, "path of a probe", "`/`");
    refuses("[gateway]\nhealth = { every = \"1us\" }", 2, "too often", "10ms");
    refuses("[gateway]\nhealth = { timeout = \"0s\" }", 2, "always fails", "above 0");
    refuses(
        "[gateway]\nhealth = { unhealthy_after = 0 }",
        2,
        "decide nothing",
        "1 to",
    );
    refuses("[gateway]\ntotal_timeout = \"0s\"", 2, "no time at all", "above 0");
    let scale = |keys: &str| format!("[orchestrator]\nscale = {{ {keys} }}");
    refuses(
        &scale("max = 1001, target_in_flight = 1"),
        2,
        "cannot be played",
        "1000",
    );
    refuses(&scale("min = 3, max = 2, target_in_flight = 1"), 2, "contradict", "min");
    refuses(&scale("max = 2, target_in_flight = 0"), 2, "never enough", "1 or more");
    refuses(&scale("max = 2"), 2, "missing field `target_in_flight`", "docs");
}

#[test]
fn the_beginning_of_a_plan_keeps_what_happens_in_it() {
    let world = "[[event]]\nkind = \"kill\"\nat = \"20s\"\nhost = \"service-0\"\n[[dependency_fault]]\ndependency = \"queue\"\nkind = \"down\"\nfrom = \"5s\"\nuntil = \"40s\"";
    let plan = Scenario::parse("x.toml", &format!("{HEAD}{world}{VARIANTS}"))
        .unwrap()
        .plan;
    let beginning = plan.beginning(Micros::from_secs(10));
    assert!(beginning.variants[0].events.is_empty());
    assert_eq!(beginning.variants[0].dependency_faults[0].until, Micros::from_secs(10));
    let earlier = plan.beginning(Micros::from_secs(5));
    assert!(earlier.variants[0].dependency_faults.is_empty());
}
