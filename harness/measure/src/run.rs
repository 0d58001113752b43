//! Finished variants become a run: expectations, verdict, answer, fingerprints.
//!
//! What it cannot know (where, when, on which clock, by which command) the caller says in [`RunMeta`].

use brownout_scenario::plan::Plan;

use crate::counts::HARNESS_EXHAUSTED;
use crate::record::{ClockKind, Environment, ExpectationRecord, Results, RunRecord, SCHEMA, VariantRecord, Verdict};
use crate::words::milliseconds;
use crate::{answer, expect, fingerprint};

/// What a record says of a run beside its figures.
#[derive(Debug, Clone, PartialEq)]
pub struct RunMeta {
    /// Version of the tool.
    pub brownout: String,
    /// The clock it was played on.
    pub clock: ClockKind,
    /// Hash of lock file, compiler and target.
    pub engine: String,
    /// The command that plays it again.
    pub command: String,
    /// Where it was played; reasons for an invalid run are added to its notes.
    pub environment: Environment,
    /// Whether it was interrupted.
    pub interrupted: bool,
}

/// The run record.
pub fn assemble(plan: &Plan, meta: RunMeta, variants: Vec<VariantRecord>) -> RunRecord {
    let reasons = distrust(plan, meta.clock, &variants);
    let expectations = expect::judge(&plan.expectations, &variants);
    let verdict = if !reasons.is_empty() {
        Verdict::Invalid
    } else if meta.interrupted || variants.iter().any(|variant| variant.requests.due == 0) {
        // The expectations were written for the whole run, and nothing that fell due is nothing to judge.
        Verdict::Inconclusive
    } else {
        sum_up(&expectations)
    };
    let answer = match reasons.first() {
        None => answer::answer(&plan.expectations, &variants),
        Some(reason) => format!("No answer, because no figure may be trusted: {reason}."),
    };
    let mut environment = meta.environment;
    environment
        .notes
        .extend(reasons.into_iter().map(|reason| format!("invalid: {reason}")));
    RunRecord {
        schema: SCHEMA.to_owned(),
        brownout: meta.brownout,
        scenario: plan.scenario.clone(),
        question: plan.question.clone(),
        claim: plan.claim.clone(),
        clock: meta.clock,
        seed: plan.seed,
        engine: meta.engine,
        plan_fingerprint: plan.fingerprint(),
        results_fingerprint: fingerprint::results_fingerprint(&variants),
        command: meta.command,
        interrupted: meta.interrupted,
        environment,
        results: Results {
            variants,
            expectations,
            verdict,
            answer,
            ablation: Vec::new(),
        },
    }
}

/// Why no figure may be trusted; empty if they may.
fn distrust(plan: &Plan, clock: ClockKind, variants: &[VariantRecord]) -> Vec<String> {
    let mut reasons = Vec::new();
    for variant in variants {
        if let Some(first) = variant.books.discrepancies.first() {
            let others = match variant.books.discrepancies.len() {
                1 => String::new(),
                _ => " (and more, see its books)".to_owned(),
            };
            reasons.push(format!("the books of {} do not balance: {first}{others}", variant.name));
        }
        let exhausted = variant.errors.get(HARNESS_EXHAUSTED).copied().unwrap_or(0);
        if exhausted > 0 {
            reasons.push(format!(
                "the harness ran out of descriptors or ports for {exhausted} requests of {}: raise `ulimit -n` or lower \
                 the rate",
                variant.name
            ));
        }
        let (late, limit) = (variant.lateness.p99_ms, plan.limits.lateness_p99);
        if clock == ClockKind::Real && late > limit.as_millis_f64() {
            let late = milliseconds(late);
            reasons.push(format!(
                "the load generator was the bottleneck of {}: 1 % of its requests left {late} late or later, \
                 the limit is {limit}; use a less busy machine or a lower rate",
                variant.name
            ));
        }
    }
    reasons
}

/// The worst that came out.
fn sum_up(expectations: &[ExpectationRecord]) -> Verdict {
    let any = |verdict| expectations.iter().any(|expectation| expectation.verdict == verdict);
    if any(Verdict::Failed) {
        Verdict::Failed
    } else if any(Verdict::Inconclusive) {
        Verdict::Inconclusive
    } else {
        Verdict::Passed
    }
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::Usage;
    use brownout_scenario::plan::Expectation;
    use brownout_scenario::units::Micros;

    use super::*;
    use crate::testing::{expectation, meta, observations, plan};
    use crate::{Observations, measure};

    fn play(clock: ClockKind, expectations: Vec<Expectation>, change: impl FnOnce(&mut Observations)) -> RunRecord {
        let plan = plan(&["only"], expectations);
        let mut seen = observations(200_000);
        change(&mut seen);
        let record = measure(&plan.variants[0], &plan, &seen);
        assemble(&plan, meta(clock), vec![record])
    }

    fn at_most(metric: &str, most: f64) -> Expectation {
        Expectation {
            at_most: Some(most),
            ..expectation(metric)
        }
    }

    #[test]
    fn the_worst_expectation_is_the_verdict() {
        let (good, bad, unknown) = (
            at_most("latency.p99_ms", 300.0),
            at_most("latency.p99_ms", 100.0),
            at_most("ttft.p99_ms", 1.0),
        );
        let verdict = |expectations: &[&Expectation]| {
            let expectations = expectations.iter().map(|e| (*e).clone()).collect();
            play(ClockKind::Virtual, expectations, |_| {}).results.verdict
        };
        assert_eq!(verdict(&[]), Verdict::Passed);
        assert_eq!(verdict(&[&good]), Verdict::Passed);
        assert_eq!(verdict(&[&good, &unknown]), Verdict::Inconclusive);
        assert_eq!(verdict(&[&unknown, &bad, &good]), Verdict::Failed);
    }

    #[test]
    fn a_service_that_over_reports_one_token_makes_the_run_invalid() {
        let lie = |seen: &mut Observations| {
            seen.requests[50].reported = Some(Usage {
                prompt_tokens: 10,
                completion_tokens: 31,
            });
        };
        let run = play(ClockKind::Virtual, vec![at_most("latency.p99_ms", 300.0)], lie);
        assert_eq!(run.results.verdict, Verdict::Invalid);
        let note = &run.environment.notes[0];
        assert!(
            note.contains("the service reports 31 completion tokens, the provider 30"),
            "{note}"
        );
        assert!(run.results.answer.starts_with("No answer"), "{}", run.results.answer);
    }

    #[test]
    fn a_late_load_generator_makes_a_real_run_invalid_and_only_above_the_limit() {
        let late_by = |us: u64| {
            move |seen: &mut Observations| {
                for request in &mut seen.requests {
                    request.sent = Some(Micros(request.due.0 + us));
                }
            }
        };
        let verdict = |clock, us| play(clock, vec![], late_by(us)).results.verdict;
        assert_eq!(verdict(ClockKind::Real, 9_900), Verdict::Passed);
        assert_eq!(verdict(ClockKind::Real, 10_100), Verdict::Invalid);
        assert_eq!(
            verdict(ClockKind::Virtual, 10_100),
            Verdict::Passed,
            "there it is part of the plan"
        );
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let run = play(ClockKind::Virtual, vec![at_most("latency.p99_ms", 300.0)], |_| {});
        let text = serde_json::to_string(&run).expect("serialises");
        assert_eq!(serde_json::from_str::<RunRecord>(&text).expect("reads back"), run);
    }
}
