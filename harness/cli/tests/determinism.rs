//! The same scenario and seed give the same results to the last byte, and the built-in scenarios give what their committed
//! baselines say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use brownout::mount::ReferenceService;
use brownout_measure::gate::{Baseline, compare};
use brownout_measure::record::{RunRecord, Verdict};
use brownout_scenario::Plan;
use brownout_scenario::units::Micros;

/// Plays with the reference service.
fn play(plan: &Plan) -> RunRecord {
    support::play(plan, &Arc::new(ReferenceService))
}

fn plans() -> Vec<Plan> {
    let scenarios = brownout::scenarios::load_built_in().map_err(|e| e.print()).unwrap();
    scenarios.into_iter().map(|scenario| scenario.plan).collect()
}

#[test]
fn equal_seeds_give_equal_results_and_other_seeds_others() {
    for plan in plans() {
        let plan = plan.beginning(Micros::from_secs(12));
        let other = Plan {
            seed: plan.seed + 1,
            ..plan.clone()
        };
        let (first, second, third) = (play(&plan), play(&plan), play(&other));
        assert_eq!(first.results, second.results, "{}", plan.scenario);
        assert_eq!(first.results_fingerprint, second.results_fingerprint);
        assert_ne!(
            first.results_fingerprint, third.results_fingerprint,
            "{}",
            plan.scenario
        );
    }
}

#[test]
fn the_built_in_scenarios_pass_and_give_what_their_baselines_say() {
    for plan in plans() {
        let record = play(&plan);
        assert_eq!(
            record.results.verdict,
            Verdict::Passed,
            "{}: {:#?}",
            plan.scenario,
            record.results.expectations
        );
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../reports/baselines")
            .join(format!("{}.json", plan.scenario));
        let text = std::fs::read_to_string(&file).unwrap();
        let baseline: Baseline = serde_json::from_str(&text).unwrap();
        let report = compare(&baseline, &record);
        assert!(report.passed(), "{}: {report:#?}", plan.scenario);
    }
}
