//! The virtual clock against the real one: do they tell the same story?
//!
//! Compares the median and the outcomes, which both clocks can see. CPU cost and kernels are the real clock's alone.

use std::collections::BTreeSet;

use crate::histogram::Histogram;
use crate::record::{RunRecord, VariantRecord};
use crate::tolerance;

/// A figure on both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FidelityRow {
    /// The variant.
    pub variant: String,
    /// The figure: `latency.p50_us`, or a count.
    pub figure: String,
    /// On the virtual clock.
    pub on_virtual: u64,
    /// On the real clock.
    pub on_real: u64,
    /// How far they may lie apart.
    pub allowed: u64,
    /// Whether they do not lie further apart.
    pub agrees: bool,
}

/// A row for every figure of every variant that both runs have. No rows: they share no variant.
pub fn compare(on_virtual: &RunRecord, on_real: &RunRecord) -> Vec<FidelityRow> {
    let mut rows = Vec::new();
    for left in &on_virtual.results.variants {
        let right = on_real
            .results
            .variants
            .iter()
            .find(|variant| variant.name == left.name);
        if let Some(right) = right {
            compare_variant(&mut rows, left, right);
        }
    }
    rows
}

fn compare_variant(rows: &mut Vec<FidelityRow>, left: &VariantRecord, right: &VariantRecord) {
    let mut add = |figure: &str, on_virtual: u64, on_real: u64, allowed: &dyn Fn(u64) -> u64| {
        let allowed = allowed(on_virtual.max(on_real));
        let agrees = on_virtual.abs_diff(on_real) <= allowed;
        let (variant, figure) = (left.name.clone(), figure.to_owned());
        rows.push(FidelityRow {
            variant,
            figure,
            on_virtual,
            on_real,
            allowed,
            agrees,
        });
    };
    let (v, r) = (&left.requests, &right.requests);
    if v.answered + r.answered > 0 {
        // A histogram that cannot be read has the median 0, which disagrees with any other.
        let median = |of: &VariantRecord| Histogram::decode(&of.latency.hdr).unwrap_or_default().quantile(0.5);
        add("latency.p50_us", median(left), median(right), &tolerance::median_us);
    }
    add("requests.answered", v.answered, r.answered, &tolerance::count);
    add("requests.aborted", v.aborted, r.aborted, &tolerance::count);
    add("requests.not_sent", v.not_sent, r.not_sent, &tolerance::count);
    let classes: BTreeSet<&String> = left.errors.keys().chain(right.errors.keys()).collect();
    for class in classes {
        let errors = |of: &VariantRecord| of.errors.get(class).copied().unwrap_or(0);
        add(
            &format!("errors.{class}"),
            errors(left),
            errors(right),
            &tolerance::count,
        );
    }
    add(
        "attempts.upstream",
        left.attempts.upstream,
        right.attempts.upstream,
        &tolerance::count,
    );
    // Tokens come in portions of a request: as certain as the number of requests that bring them.
    let (sent, lost) = (v.sent.max(r.sent), (v.aborted + v.failed).max(r.aborted + r.failed));
    let tokens = |of: &VariantRecord| (of.tokens.billed, of.tokens.wasted);
    let ((billed_v, wasted_v), (billed_r, wasted_r)) = (tokens(left), tokens(right));
    add("tokens.billed", billed_v, billed_r, &|larger| {
        tolerance::sum(larger, sent)
    });
    add("tokens.wasted", wasted_v, wasted_r, &|larger| {
        tolerance::sum(larger, lost)
    });
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{FailureClass, Outcome};

    use super::*;
    use crate::record::ClockKind;
    use crate::testing::run_record;

    fn disagreements(rows: &[FidelityRow]) -> Vec<&str> {
        rows.iter()
            .filter(|row| !row.agrees)
            .map(|row| row.figure.as_str())
            .collect()
    }

    #[test]
    fn clocks_that_differ_by_noise_agree() {
        let on_virtual = run_record(ClockKind::Virtual, |_| {});
        let on_real = run_record(ClockKind::Real, |seen| {
            seen.requests.iter_mut().for_each(|request| request.ended.0 += 15_000);
            seen.requests[40].outcome = Outcome::Failed(FailureClass::Unavailable);
        });
        let rows = compare(&on_virtual, &on_real);
        assert_eq!(disagreements(&rows), [] as [&str; 0]);
        let lost = rows.iter().find(|row| row.figure == "errors.unavailable").unwrap();
        assert_eq!((lost.on_virtual, lost.on_real), (0, 1));
    }

    #[test]
    fn another_outcome_or_another_median_is_told() {
        let on_virtual = run_record(ClockKind::Virtual, |_| {});
        let on_real = run_record(ClockKind::Real, |seen| {
            seen.requests.iter_mut().for_each(|request| request.ended.0 += 60_000);
            for request in &mut seen.requests[40..80] {
                request.outcome = Outcome::Failed(FailureClass::GatewayTimeout);
            }
        });
        let expected = [
            "latency.p50_us",
            "requests.answered",
            "errors.gateway_timeout_in_model",
            "tokens.wasted",
        ];
        assert_eq!(disagreements(&compare(&on_virtual, &on_real)), expected);
    }
}
