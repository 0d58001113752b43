//! Expectations against figures: one verdict each, with the sentence that says what was expected.
//!
//! The verdict on the whole run is [`crate::run`]'s part.

use brownout_scenario::plan::{Comparison, Expectation};

use crate::metric::{MetricError, metric_exists_in, resolve};
use crate::record::{ExpectationRecord, VariantRecord, Verdict};
use crate::{bounds, phases, words};

/// Checks, before a run, that the expectation is about a figure that runs have.
pub fn check(expectation: &Expectation) -> Result<(), MetricError> {
    metric_exists_in(&expectation.metric, expectation.phase.as_deref())
}

/// Judges all expectations. One that names neither a variant nor a comparison must hold for every variant.
pub fn judge(expectations: &[Expectation], variants: &[VariantRecord]) -> Vec<ExpectationRecord> {
    let mut records = Vec::new();
    for expectation in expectations {
        match (&expectation.compare, &expectation.variant) {
            (Some(compare), _) => {
                let subject = format!("{} / {}", compare.numerator, compare.denominator);
                records.push(record(
                    expectation,
                    &subject,
                    None,
                    quotient(expectation, compare, variants),
                ));
            }
            (None, Some(name)) => {
                records.push(record(
                    expectation,
                    name,
                    Some(name),
                    figure(expectation, name, variants),
                ));
            }
            (None, None) => {
                let of = |variant: &VariantRecord| {
                    let name = &variant.name;
                    record(expectation, name, Some(name), figure(expectation, name, variants))
                };
                records.extend(variants.iter().map(of));
            }
        }
    }
    records
}

/// The expectation's figure of one variant, or why there is none.
fn figure(expectation: &Expectation, name: &str, variants: &[VariantRecord]) -> Result<f64, String> {
    let variant = variants.iter().find(|variant| variant.name == name);
    let variant = variant.ok_or_else(|| format!("{name} was not played"))?;
    resolve(variant, &expectation.metric, expectation.phase.as_deref())
}

fn quotient(expectation: &Expectation, compare: &Comparison, variants: &[VariantRecord]) -> Result<f64, String> {
    let numerator = figure(expectation, &compare.numerator, variants)?;
    let denominator = figure(expectation, &compare.denominator, variants)?;
    if denominator == 0.0 {
        let value = words::figure(&expectation.metric, numerator);
        return Err(format!(
            "{} has 0 and {} has {value}: no quotient",
            compare.denominator, compare.numerator
        ));
    }
    let quotient = numerator / denominator;
    if quotient.is_nan() {
        Err("neither ever came back: no quotient".to_owned())
    } else {
        Ok(quotient)
    }
}

fn record(
    expectation: &Expectation,
    subject: &str,
    variant: Option<&str>,
    value: Result<f64, String>,
) -> ExpectationRecord {
    let phase = expectation
        .phase
        .as_ref()
        .map(|phase| phases::in_words(phase))
        .unwrap_or_default();
    let mut text = format!(
        "{subject}: {} {}{phase}",
        expectation.metric,
        bounds::in_words(expectation)
    );
    let verdict = match &value {
        Ok(value) => bounds::judge(expectation, *value),
        Err(why) => {
            text = format!("{text} ({why})");
            Verdict::Inconclusive
        }
    };
    let value = value.ok();
    if value.is_some_and(f64::is_infinite) {
        text.push_str(" (it never came back)");
    }
    ExpectationRecord {
        text,
        variant: variant.map(ToOwned::to_owned),
        value: value.filter(|value| value.is_finite()),
        verdict,
        because: expectation.because.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{PhaseRecord, RequestCounts};
    use crate::testing::{expectation, variant_record};

    fn of(variant: &str, metric: &str) -> Expectation {
        Expectation {
            variant: Some(variant.to_owned()),
            ..expectation(metric)
        }
    }

    fn compare(metric: &str) -> Expectation {
        let comparison = Comparison {
            numerator: "resilient".to_owned(),
            denominator: "naive".to_owned(),
        };
        Expectation {
            compare: Some(comparison),
            at_most: Some(0.1),
            ..expectation(metric)
        }
    }

    fn two() -> [VariantRecord; 2] {
        let (mut naive, mut resilient) = (variant_record("naive", 200_000), variant_record("resilient", 100_000));
        (naive.tokens.wasted, resilient.tokens.wasted) = (1_000, 100);
        [naive, resilient]
    }

    fn only(expectation: Expectation) -> ExpectationRecord {
        let mut records = judge(&[expectation], &two());
        assert_eq!(records.len(), 1);
        records.remove(0)
    }

    #[test]
    fn both_bounds_are_included() {
        let between = |least, most| {
            only(Expectation {
                at_least: Some(least),
                at_most: Some(most),
                ..of("naive", "requests.answered")
            })
            .verdict
        };
        assert_eq!(between(90.0, 90.0), Verdict::Passed);
        assert_eq!(between(90.1, 91.0), Verdict::Failed);
        assert_eq!(between(89.0, 89.9), Verdict::Failed);
    }

    #[test]
    fn an_expectation_is_said_in_words() {
        let between = Expectation {
            at_least: Some(6.3),
            at_most: Some(7.0),
            ..of("naive", "throughput_rps")
        };
        assert_eq!(only(between).text, "naive: throughput_rps between 6.3 and 7");
        assert_eq!(
            only(compare("tokens.wasted")).text,
            "resilient / naive: tokens.wasted at most 0.1"
        );
    }

    #[test]
    fn a_comparison_is_a_quotient() {
        let record = only(compare("tokens.wasted"));
        assert_eq!(
            (record.verdict, record.value, record.variant),
            (Verdict::Passed, Some(0.1), None)
        );
    }

    #[test]
    fn nothing_can_be_divided_by_nothing() {
        let record = only(compare("errors.unavailable"));
        assert_eq!((record.verdict, record.value), (Verdict::Inconclusive, None));
        let expected =
            "resilient / naive: errors.unavailable at most 0.1 (naive has 0 and resilient has 0: no quotient)";
        assert_eq!(record.text, expected);
    }

    #[test]
    fn an_expectation_of_nobody_is_one_of_everybody() {
        let records = judge(
            &[Expectation {
                at_most: Some(150.0),
                ..expectation("latency.p99_ms")
            }],
            &two(),
        );
        let verdicts: Vec<_> = records.iter().map(|r| (r.variant.as_deref(), r.verdict)).collect();
        assert_eq!(
            verdicts,
            [(Some("naive"), Verdict::Failed), (Some("resilient"), Verdict::Passed)]
        );
    }

    #[test]
    fn what_was_not_played_or_not_seen_is_inconclusive() {
        let most = |expectation| {
            only(Expectation {
                at_most: Some(1.0),
                ..expectation
            })
        };
        assert_eq!(most(of("absent", "throughput_rps")).verdict, Verdict::Inconclusive);
        let during = Expectation {
            phase: Some("during".to_owned()),
            ..of("naive", "latency.p99_ms")
        };
        let record = most(during);
        assert_eq!(record.verdict, Verdict::Inconclusive);
        assert_eq!(
            record.text,
            "naive: latency.p99_ms at most 1 during the fault (naive has no time during a fault)"
        );
    }

    #[test]
    fn who_never_recovers_fails_whatever_the_bound() {
        let mut variants = two();
        let phase = |name: &str| PhaseRecord {
            name: name.to_owned(),
            requests: RequestCounts {
                due: 9,
                ..RequestCounts::default()
            },
            latency: variants[0].latency.clone(),
            ..PhaseRecord::default()
        };
        variants[0].phases = vec![phase("before"), phase("after")];
        variants[1].recovery_s = Some(5.0);
        let expectations = [
            Expectation {
                at_most: Some(1e9),
                ..of("naive", "recovery_s")
            },
            compare("recovery_s"),
        ];
        let records = judge(&expectations, &variants);
        assert_eq!((records[0].verdict, records[0].value), (Verdict::Failed, None));
        assert!(records[0].text.ends_with("(it never came back)"));
        assert_eq!(
            (records[1].verdict, records[1].value),
            (Verdict::Passed, Some(0.0)),
            "5 s of for ever"
        );
    }

    #[test]
    fn an_expectation_is_checked_before_the_run() {
        assert!(check(&of("naive", "latency.p99_ms")).is_ok());
        assert!(check(&of("naive", "latency.p99")).is_err());
        assert!(
            check(&Expectation {
                phase: Some("soon".to_owned()),
                ..of("naive", "latency.p99_ms")
            })
            .is_err()
        );
    }
}
