//! What a path finds, and what is said of one that finds nothing.

use super::*;
use crate::record::Distribution;
use crate::testing::{counted, variant_record};

fn record() -> VariantRecord {
    let mut record = variant_record("held", 200_000);
    record.errors = counted(&[(BEFORE_MODEL, 3), (IN_MODEL, 4), ("unavailable", 1)]);
    record.attribution = [("wait.pool".to_owned(), 0.75)].into();
    record
}

fn phase(name: &str, due: u64) -> PhaseRecord {
    PhaseRecord {
        name: name.to_owned(),
        requests: RequestCounts {
            due,
            answered: due,
            ..RequestCounts::default()
        },
        latency: Distribution {
            count: due,
            p99_ms: 5.0,
            ..Distribution::default()
        },
        ..PhaseRecord::default()
    }
}

#[test]
fn every_kind_of_figure_is_found() {
    let record = record();
    let found = |path: &str| resolve(&record, path, None);
    assert_eq!(found("requests.answered"), Ok(90.0));
    assert_eq!(found("requests.answered_ratio"), Ok(1.0));
    assert_eq!(found("errors.gateway_timeout"), Ok(7.0), "the sum of both halves");
    assert_eq!(found("errors.gateway_timeout_in_model"), Ok(4.0));
    assert_eq!(
        found("errors.rate_limited"),
        Ok(0.0),
        "an error that did not happen happened 0 times"
    );
    assert_eq!(found("status.200"), Ok(90.0));
    assert_eq!(found("attribution.wait.pool"), Ok(0.75), "keys may have dots");
    assert_eq!(found("attribution.wait.queue"), Ok(0.0));
    assert_eq!(found("attempts.by_provider.primary"), Ok(90.0));
    assert_eq!(found("tokens.histogram.billed.p99"), Ok(30.0));
    assert!((found("latency.p99_ms").expect("recorded") - 200.0).abs() < 0.2);
}

#[test]
fn a_valid_answer_is_whole_and_not_withheld_and_has_a_price() {
    let mut record = record();
    record.cost_usd = 0.9;
    let counts = &mut record.requests;
    (counts.incomplete, counts.withheld, counts.wrong) = (10, 15, 20);
    let found = |path: &str| resolve(&record, path, None);
    assert_eq!(found("requests.whole"), Ok(80.0));
    assert_eq!(found("requests.valid"), Ok(45.0));
    assert_eq!(found("requests.valid_ratio"), Ok(0.5));
    assert_eq!(found("cost_per_valid_usd"), Ok(0.02));
    record.requests.wrong = 65;
    let nothing = resolve(&record, "cost_per_valid_usd", None);
    assert!(nothing.is_err_and(|why| why.contains("no valid answer")));
    assert!(metric_exists("clients.a.requests.valid").is_ok());
    record.requests.from_cache = 3;
    (record.tokens.prompt, record.tokens.billed) = (700, 500);
    (record.unasked.prompt, record.unasked.billed) = (100, 200);
    assert_eq!(resolve(&record, "hits_per_1000_tokens", None), Ok(2.0));
    (record.tokens, record.unasked) = Default::default();
    let nothing = resolve(&record, "hits_per_1000_tokens", None);
    assert!(nothing.unwrap_err().ends_with("was billed nothing"));
    for unknown in ["clients.a.cost_per_valid_usd", "clients.a.goodput_rps"] {
        assert!(metric_exists(unknown).is_err(), "{unknown}");
    }
    assert!(metric_exists_in("cost_per_valid_usd", Some("before")).is_err());
}

#[test]
fn a_distribution_of_nothing_has_a_count_and_no_percentiles() {
    let record = record();
    assert_eq!(resolve(&record, "ttft.count", None), Ok(0.0));
    assert!(
        resolve(&record, "ttft.p99_ms", None).is_err(),
        "0 ms would hold any upper bound"
    );
    let mut silent = record;
    silent.attribution.clear();
    assert!(resolve(&silent, "attribution.wait.pool", None).is_err());
    silent.tokens.billed = 0;
    assert!(resolve(&silent, "tokens.wasted_ratio", None).is_err());
    silent.requests.due = 0;
    assert!(resolve(&silent, "errors.unavailable", None).is_err());
}

#[test]
fn an_answer_that_was_cut_unnoticed_is_answered_but_not_whole() {
    let mut record = record();
    record.requests.incomplete = 9;
    let found = |path: &str| resolve(&record, path, None);
    assert_eq!(
        (found("requests.answered"), found("requests.incomplete")),
        (Ok(90.0), Ok(9.0))
    );
    assert_eq!(
        (found("requests.whole"), found("requests.whole_ratio")),
        (Ok(81.0), Ok(0.9))
    );
}

#[test]
fn a_kind_of_client_has_figures_of_its_own() {
    let mut record = record();
    let client = ClientRecord {
        requests: phase("", 10).requests,
        latency: phase("", 10).latency,
        ..ClientRecord::default()
    };
    record.clients.insert("noisy".to_owned(), client);
    record.clients.insert("absent".to_owned(), ClientRecord::default());
    let found = |path: &str| resolve(&record, path, None);
    assert_eq!(found("clients.noisy.requests.due"), Ok(10.0));
    assert_eq!(found("clients.noisy.requests.answered_ratio"), Ok(1.0));
    assert_eq!(found("clients.noisy.latency.p99_ms"), Ok(5.0));
    assert_eq!(found("clients.noisy.errors.rate_limited"), Ok(0.0));
    assert!(found("clients.noisy.ttft.p99_ms").is_err(), "no answer was streamed");
    assert!(found("clients.absent.requests.failed").is_err(), "none of them came");
    assert!(found("clients.nobody.requests.due").is_err());
    let message = |path: &str| metric_exists(path).expect_err(path).to_string();
    assert!(message("clients.noisy.latency.p99").contains("did you mean `clients.noisy.latency.p99_ms`?"));
    assert!(message("clients.noisy.tokens.billed").contains("no figure is called"));
    assert!(metric_exists_in("clients.noisy.latency.p99_ms", Some("during")).is_err());
}

#[test]
fn processes_that_nobody_watched_are_unknown_and_not_none() {
    let mut record = record();
    assert!(resolve(&record, "hosts.restarts", None).is_err());
    assert!(resolve(&record, "probes.liveness.p99_ms", None).is_err());
    record.hosts.started = 3;
    assert_eq!(resolve(&record, "hosts.restarts", None), Ok(0.0));
}

#[test]
fn a_step_of_the_load_is_a_phase() {
    let mut record = record();
    record.phases = vec![phase("step-2", 4)];
    assert_eq!(resolve(&record, "requests.due", Some("step-2")), Ok(4.0));
    assert!(resolve(&record, "requests.due", Some("step-3")).is_err());
    assert_eq!(metric_exists_in("hosts.most_ready", Some("step-12")), Ok(()));
    for wrong in ["step-0", "step-", "step-x", "step"] {
        assert!(metric_exists_in("requests.due", Some(wrong)).is_err(), "{wrong}");
    }
}

#[test]
fn tokens_of_an_unjoined_target_are_unknown() {
    let mut record = record();
    record.books.joined = false;
    assert!(resolve(&record, "tokens.wasted_ratio", None).is_err());
    assert_eq!(resolve(&record, "requests.answered", None), Ok(90.0));
}

#[test]
fn a_recovery_that_never_came_is_infinite_but_one_that_could_not_be_seen_is_unknown() {
    let mut record = record();
    assert!(resolve(&record, "recovery_s", None).is_err());
    record.phases = vec![phase("before", 10), phase("after", 10)];
    assert_eq!(resolve(&record, "recovery_s", None), Ok(f64::INFINITY));
    record.phases = vec![phase("before", 10), phase("after", 0)];
    assert!(resolve(&record, "recovery_s", None).is_err());
    record.recovery_s = Some(5.0);
    assert_eq!(resolve(&record, "recovery_s", None), Ok(5.0));
}

#[test]
fn a_phase_has_its_own_figures() {
    let mut record = record();
    record.phases = vec![phase("during", 4)];
    assert_eq!(resolve(&record, "requests.due", Some("during")), Ok(4.0));
    assert_eq!(resolve(&record, "latency.p99_ms", Some("during")), Ok(5.0));
    assert!(resolve(&record, "latency.p99_ms", Some("after")).is_err());
}

#[test]
fn every_figure_that_can_be_found_passes_the_check() {
    for path in [
        "latency.p99_ms",
        "errors.gateway_timeout",
        "errors.gateway_timeout_before_model",
        "errors.unfinished",
        "status.429",
        "attribution.wait.pool",
        "attempts.by_provider.backup",
        "attempts.by_fault.primary/status#0",
        "tokens.wasted_by.abandoned",
        "requests.failed_ratio",
        "throughput_rps",
        "cost_usd",
        "recovery_s",
        "cancel_lag.p99_ms",
    ] {
        assert_eq!(metric_exists(path), Ok(()), "{path}");
    }
    assert_eq!(metric_exists_in("ttft.p99_ms", Some("during")), Ok(()));
    assert_eq!(metric_exists_in("errors.gateway_timeout", Some("after")), Ok(()));
}

#[test]
fn a_wrong_path_is_answered_with_what_was_meant() {
    let message = |path: &str| metric_exists(path).expect_err(path).to_string();
    assert_eq!(
        message("latency.p99"),
        "no figure is called `latency.p99` (did you mean `latency.p99_ms`?)"
    );
    assert_eq!(
        message("errors.gatway_timeout"),
        "no figure is called `errors.gatway_timeout` (did you mean `errors.gateway_timeout`?)"
    );
    assert_eq!(message("quux"), "no figure is called `quux`");
    for path in [
        "",
        "latency",
        "name",
        "phases",
        "books.balanced",
        "status.oops",
        "attribution.",
        "errors",
        "latency.",
    ] {
        assert!(metric_exists(path).is_err(), "{path}");
    }
}

#[test]
fn a_phase_is_checked_too() {
    let message = |path, phase| metric_exists_in(path, Some(phase)).expect_err(path).to_string();
    assert!(message("latency.p99_ms", "while").contains("no phase is called `while`"));
    assert!(message("cost_usd", "during").contains("leave `phase` out"));
    assert!(message("recovery_s", "during").contains("leave `phase` out"));
    assert!(message("attribution.wait.pool", "during").contains("leave `phase` out"));
}
