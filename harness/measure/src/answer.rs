//! The question answered in one sentence, from the figures.
//!
//! Compares the two variants that the first expectation compares, or else the best with the worst, by that expectation's
//! figure. It does not read the question: a scenario's author puts first what decides it.

use brownout_scenario::plan::Expectation;

use crate::metric::resolve;
use crate::phases;
use crate::record::VariantRecord;
use crate::words::{figure, name, percent};

/// What is compared when nothing is expected, or when the expected figure is missing.
const FALLBACK: &str = "requests.answered_ratio";
/// Figures of which more is better; of all others less is.
const MORE_IS_BETTER: [&str; 15] = [
    "throughput_rps",
    "goodput_rps",
    "requests.answered",
    "requests.answered_ratio",
    "requests.whole",
    "requests.whole_ratio",
    "requests.valid",
    "requests.valid_ratio",
    "requests.from_cache",
    "requests.coalesced",
    "tokens.from_cache",
    "hosts.least_ready",
    "requests.sent",
    "tokens.used",
    "tokens.delivered",
];
/// A winner may answer this much less than the loser and still win.
const SAME_SHARE: f64 = 0.01;

/// The sentence.
pub(crate) fn answer(expectations: &[Expectation], variants: &[VariantRecord]) -> String {
    let first = expectations.first();
    let (metric, phase) = first.map_or(("latency.p99_ms", None), |e| (e.metric.as_str(), e.phase.as_deref()));
    let compared = first.and_then(|e| e.compare.as_ref());
    let chosen: Vec<&VariantRecord> = variants
        .iter()
        .filter(|v| compared.is_none_or(|c| [&c.numerator, &c.denominator].contains(&&v.name)))
        .collect();
    by_metric(metric, phase, &chosen)
        .or_else(|| by_metric(FALLBACK, None, &chosen))
        .unwrap_or_else(|| "No request fell due, so there is no answer.".to_owned())
}

/// The sentence about `metric`; `None` unless every variant has it.
fn by_metric(metric: &str, phase: Option<&str>, variants: &[&VariantRecord]) -> Option<String> {
    let value = |variant| resolve(variant, metric, phase).ok();
    let mut ranked: Vec<(f64, &VariantRecord)> = variants
        .iter()
        .map(|variant| Some((value(variant)?, *variant)))
        .collect::<Option<_>>()?;
    let of_whom = metric.strip_prefix("clients.").and_then(|rest| rest.split_once('.'));
    let kind = of_whom.map_or(metric, |(_, figure)| figure);
    let sign = if MORE_IS_BETTER.contains(&kind) { -1.0 } else { 1.0 };
    ranked.sort_by(|a, b| (a.0 * sign).total_cmp(&(b.0 * sign)));
    let during = phase.map(phases::in_words).unwrap_or_default();
    let metric_name = name(metric);
    let (best, winner) = *ranked.first()?;
    let (worst, loser) = *ranked.last()?;
    let [best_text, worst_text] = [best, worst].map(|value| figure(metric, value));
    let (won, lost) = (answered(winner), answered(loser));
    let says_answered = metric == FALLBACK && phase.is_none();
    let share = if says_answered {
        String::new()
    } else {
        format!("; {} answered", percent(won))
    };
    Some(if ranked.len() == 1 {
        format!("{}: {metric_name}{during} {best_text}{share}.", winner.name)
    } else if best.total_cmp(&worst).is_eq() {
        format!("The variants do not differ in {metric_name}{during}: {best_text}.")
    } else if won + SAME_SHARE < lost {
        format!(
            "{} has {metric_name}{during} {best_text} against {worst_text} of {}, but answers only {} against {}.",
            winner.name,
            loser.name,
            percent(won),
            percent(lost)
        )
    } else {
        let against = if says_answered {
            String::new()
        } else {
            format!("{share} against {}", percent(lost))
        };
        format!(
            "{} beats {}: {metric_name}{during} {best_text} against {worst_text}{against}.",
            winner.name, loser.name
        )
    })
}

fn answered(variant: &VariantRecord) -> f64 {
    variant.requests.answered as f64 / variant.requests.due.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{expectation, variant_record};

    fn answered_of(name: &str, latency_us: u64, answered: u64) -> VariantRecord {
        let mut record = variant_record(name, latency_us);
        record.requests.answered = answered;
        record.requests.failed = 90 - answered;
        record
    }

    #[test]
    fn the_best_is_named_with_the_worst() {
        let variants = [
            answered_of("held", 24_700_000, 37),
            answered_of("middle", 9_000_000, 90),
            answered_of("released", 3_100_000, 90),
        ];
        let sentence = "released beats held: p99 latency 3.1 s against 24.7 s; 100 % answered against 41 %.";
        assert_eq!(answer(&[expectation("latency.p99_ms")], &variants), sentence);
    }

    #[test]
    fn the_pair_that_is_compared_is_the_pair_that_is_named() {
        let variants = [
            answered_of("held", 24_700_000, 90),
            answered_of("worse", 90_000_000, 90),
            answered_of("released", 3_100_000, 90),
        ];
        let mut compared = expectation("latency.p99_ms");
        compared.compare = Some(brownout_scenario::plan::Comparison {
            numerator: "released".into(),
            denominator: "held".into(),
        });
        let sentence = "released beats held: p99 latency 3.1 s against 24.7 s; 100 % answered against 100 %.";
        assert_eq!(answer(&[compared], &variants), sentence);
    }

    #[test]
    fn who_is_fast_because_it_gives_up_does_not_win() {
        let variants = [answered_of("held", 24_700_000, 90), answered_of("shed", 100_000, 9)];
        let sentence = answer(&[expectation("latency.p99_ms")], &variants);
        assert_eq!(
            sentence,
            "shed has p99 latency 100 ms against 24.7 s of held, but answers only 10 % against 100 %."
        );
    }

    #[test]
    fn more_answers_are_better_and_said_once() {
        let variants = [answered_of("a", 1_000, 45), answered_of("b", 1_000, 90)];
        let sentence = "b beats a: share answered 100 % against 50 %.";
        assert_eq!(answer(&[expectation("requests.answered_ratio")], &variants), sentence);
        assert_eq!(
            answer(&[expectation("ttft.p99_ms")], &variants),
            sentence,
            "there is no first token in unary answers"
        );
    }

    #[test]
    fn one_variant_and_equal_variants_have_their_own_sentences() {
        let one = [answered_of("only", 2_000_000, 90)];
        assert_eq!(answer(&[], &one), "only: p99 latency 2 s; 100 % answered.");
        let same = [answered_of("a", 2_000_000, 90), answered_of("b", 2_000_000, 90)];
        assert_eq!(answer(&[], &same), "The variants do not differ in p99 latency: 2 s.");
        assert_eq!(answer(&[], &[]), "No request fell due, so there is no answer.");
    }
}
