//! A gate that sees the smallest change on the virtual clock and no noise on the real one.

use brownout_scenario::units::Micros;

use super::*;
use crate::Observations;
use crate::testing::run_record;

/// Makes every answer take `us` longer.
fn slower_by(us: u64) -> impl Fn(&mut Observations) {
    move |seen| {
        seen.requests
            .iter_mut()
            .for_each(|request| request.ended = request.ended.plus(Micros(us)));
    }
}

fn changed(report: &GateReport) -> Vec<&str> {
    report
        .differences
        .iter()
        .map(|difference| difference.metric.as_str())
        .collect()
}

#[test]
fn a_run_passes_the_baseline_made_of_it() {
    let run = run_record(ClockKind::Virtual, |_| {});
    let report = compare(&Baseline::of(&run), &run);
    assert_eq!(report, GateReport::default());
    assert!(report.passed());
}

#[test]
fn a_baseline_is_read_back_as_it_was_written() {
    let baseline = Baseline::of(&run_record(ClockKind::Virtual, |_| {}));
    let text = serde_json::to_string(&baseline).expect("serialises");
    assert_eq!(serde_json::from_str::<Baseline>(&text).expect("reads back"), baseline);
    let figures = &baseline.variants["only"];
    assert_eq!(
        (figures["requests.due"], figures["status.200"], figures["latency.count"]),
        (90, 90, 90)
    );
}

#[test]
fn one_slower_request_fails_the_virtual_gate() {
    let baseline = Baseline::of(&run_record(ClockKind::Virtual, |_| {}));
    let run = run_record(ClockKind::Virtual, |seen| seen.requests[70].ended.0 += 1_000);
    let report = compare(&baseline, &run);
    let expected = [
        "latency.max_us",
        "latency.p99_us",
        "service_time.max_us",
        "service_time.p99_us",
    ];
    assert_eq!(changed(&report), expected);
    assert!(!report.passed());
}

#[test]
fn what_no_metric_shows_is_still_seen_by_the_fingerprint() {
    let mut baseline = Baseline::of(&run_record(ClockKind::Virtual, |_| {}));
    let run = run_record(ClockKind::Virtual, |seen| seen.ledger[70].arrived.0 += 900_000);
    let report = compare(&baseline, &run);
    assert!(report.differences.is_empty() && report.fingerprint_changed && !report.passed());
    baseline.engine = "another".to_owned();
    let report = compare(&baseline, &run);
    assert!(
        report.engine_changed && report.passed(),
        "another engine promises values, not bytes"
    );
}

#[test]
fn noise_passes_the_real_gate_and_a_tenth_more_does_not() {
    let baseline = Baseline::of(&run_record(ClockKind::Real, |_| {}));
    assert!(compare(&baseline, &run_record(ClockKind::Real, slower_by(19_000))).passed());
    let slow = compare(&baseline, &run_record(ClockKind::Real, slower_by(24_000)));
    assert_eq!(
        changed(&slow),
        ["latency.p50_us", "service_time.p50_us"],
        "tails are not compared"
    );
}

#[test]
fn token_sums_of_few_requests_may_move_further_than_counts() {
    let gaps = |per_request: usize| {
        run_record(ClockKind::Real, |seen| {
            seen.requests
                .iter_mut()
                .for_each(|request| request.gaps = vec![Micros(15_000); per_request]);
        })
    };
    let baseline = Baseline::of(&gaps(100));
    assert!(
        compare(&baseline, &gaps(130)).passed(),
        "90 requests tell their tokens to a third"
    );
    assert_eq!(changed(&compare(&baseline, &gaps(200))), ["inter_token.count"]);
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let run = run_record(ClockKind::Virtual, |_| {});
    let baseline = Baseline::of(&run);
    let refuse = |change: fn(&mut Baseline)| {
        let mut other = baseline.clone();
        change(&mut other);
        let report = compare(&other, &run);
        assert!(!report.passed());
        report.mismatch.expect("refused").to_string()
    };
    assert!(refuse(|b| b.schema = "brownout.baseline/0".to_owned()).contains("write a new one"));
    assert!(refuse(|b| b.scenario = "other".to_owned()).contains("`other`"));
    assert!(refuse(|b| b.clock = ClockKind::Real).contains("different clocks"));
    assert!(refuse(|b| b.seed = 8).contains("--seed 8"));
}

#[test]
fn a_variant_that_came_or_went_is_named() {
    let run = run_record(ClockKind::Virtual, |_| {});
    let mut baseline = Baseline::of(&run);
    let figures = baseline.variants.remove("only").expect("it is there");
    baseline.variants.insert("former".to_owned(), figures);
    baseline.plan_fingerprint = "another".to_owned();
    let report = compare(&baseline, &run);
    assert_eq!(
        (report.variants_missing, report.variants_new),
        (vec!["former".to_owned()], vec!["only".to_owned()])
    );
    assert!(report.plan_changed);
}

#[test]
fn a_difference_is_read_at_a_glance() {
    let difference = |before, after| {
        let (scenario, variant) = ("rate-limited".to_owned(), "resilient".to_owned());
        Difference {
            scenario,
            variant,
            metric: "latency.p99_us".to_owned(),
            before,
            after,
        }
        .to_string()
    };
    assert_eq!(
        difference(1_532_000, 1_733_000),
        "rate-limited / resilient: latency.p99_us was 1,532,000, is 1,733,000 (+13 %)"
    );
    assert_eq!(
        difference(1_000, 985),
        "rate-limited / resilient: latency.p99_us was 1,000, is 985 (-1.5 %)"
    );
    assert_eq!(difference(0, 3), "rate-limited / resilient: latency.p99_us was 0, is 3");
}
