//! Titles that say what is seen, from the record's figures.
//!
//! Of two variants both are named; of more, the two that are furthest apart.

use brownout_measure::record::{Distribution, PhaseRecord, RunRecord, VariantRecord};

use super::Chart;
use crate::{figures, names};

/// The title of `chart` over `record`.
pub(super) fn of(chart: Chart, record: &RunRecord) -> String {
    let variants = &record.results.variants;
    match chart {
        Chart::Percentiles => percentiles(variants),
        Chart::LatencyOverTime => latency(variants),
        Chart::Replicas => replicas(variants),
        Chart::OutcomesOverTime => outcomes(variants),
        Chart::Tokens => tokens(variants),
        Chart::Attribution => attribution(variants),
        Chart::Ablation(figure) => super::ablation::title(record, figure),
    }
}

/// Those variants to name: all up to two, else the ones with the least and the most of `value`.
fn named(variants: &[VariantRecord], value: impl Fn(&VariantRecord) -> Option<f64>) -> Vec<(&VariantRecord, f64)> {
    let mut known: Vec<_> = variants.iter().filter_map(|v| Some((v, value(v)?))).collect();
    if known.len() > 2 {
        known.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        known = vec![known[0], known[known.len() - 1]];
    }
    known
}

fn list(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

fn median(distribution: &Distribution) -> Option<f64> {
    (distribution.count > 0).then_some(distribution.p50_ms)
}

fn phase<'v>(variant: &'v VariantRecord, name: &str) -> Option<&'v PhaseRecord> {
    variant.phases.iter().find(|phase| phase.name == name)
}

fn percentiles(variants: &[VariantRecord]) -> String {
    let known = named(variants, |v| (v.latency.count > 0).then_some(v.latency.p99_ms));
    let parts: Vec<_> = known
        .iter()
        .map(|(v, ms)| format!("{} with {}", figures::milliseconds(*ms), v.name))
        .collect();
    match parts.as_slice() {
        [] => "Latency by percentile".to_owned(),
        parts => format!("99 % of answers arrive within {}", list(parts)),
    }
}

fn latency(variants: &[VariantRecord]) -> String {
    let change = |v: &VariantRecord| {
        Some((
            median(&phase(v, "before")?.latency)?,
            median(&phase(v, "during")?.latency)?,
        ))
    };
    let known = named(variants, |v| change(v).map(|(before, during)| during / before));
    let parts: Vec<_> = known
        .iter()
        .filter_map(|(v, _)| {
            let (before, during) = change(v)?;
            Some(format!(
                "from {} to {} with {}",
                figures::milliseconds(before),
                figures::milliseconds(during),
                v.name
            ))
        })
        .collect();
    if !parts.is_empty() {
        return format!("In the fault window the median latency goes {}", list(&parts));
    }
    let slowest = variants
        .iter()
        .filter(|v| v.latency.count > 0)
        .max_by(|a, b| a.latency.max_ms.total_cmp(&b.latency.max_ms));
    slowest.map_or_else(
        || "Latency over time".to_owned(),
        |v| {
            format!(
                "Latency second by second; the slowest answer takes {} ({})",
                figures::milliseconds(v.latency.max_ms),
                v.name
            )
        },
    )
}

fn replicas(variants: &[VariantRecord]) -> String {
    let watched = |v: &VariantRecord| v.hosts.started > 0;
    let restarts = named(variants, |v| watched(v).then_some(v.hosts.restarts as f64));
    let least = named(variants, |v| watched(v).then_some(v.hosts.least_ready as f64));
    let (known, what) = if restarts.iter().any(|(_, restarts)| *restarts > 0.0) {
        (restarts, "Processes restarted")
    } else {
        (least, "Fewest replicas ready at once")
    };
    let parts: Vec<_> = known
        .iter()
        .map(|(v, count)| format!("{} with {}", figures::number(*count), v.name))
        .collect();
    match parts.as_slice() {
        [] => "Replicas over time".to_owned(),
        parts => format!("{what}: {}", list(parts)),
    }
}

fn outcomes(variants: &[VariantRecord]) -> String {
    let during =
        |v: &VariantRecord| phase(v, "during").and_then(|p| figures::ratio(p.requests.answered, p.requests.due));
    let whole = |v: &VariantRecord| figures::ratio(v.requests.answered, v.requests.due);
    let in_fault = named(variants, during);
    let (known, when) = if in_fault.is_empty() {
        (named(variants, whole), "")
    } else {
        (in_fault, " in the fault window")
    };
    let parts: Vec<_> = known
        .iter()
        .map(|(v, part)| format!("{} with {}", figures::share(*part), v.name))
        .collect();
    match parts.as_slice() {
        [] => "Outcomes over time".to_owned(),
        parts => format!("Requests answered{when}: {}", list(parts)),
    }
}

fn tokens(variants: &[VariantRecord]) -> String {
    let known = named(variants, |v| (v.tokens.billed > 0).then_some(v.tokens.wasted_ratio));
    let parts: Vec<_> = known
        .iter()
        .map(|(v, part)| {
            format!(
                "{} of {} with {}",
                figures::share(*part),
                figures::count(v.tokens.billed),
                v.name
            )
        })
        .collect();
    match parts.as_slice() {
        [] => "Tokens billed, delivered and wasted".to_owned(),
        parts => format!("Billed tokens that nobody uses: {}", list(parts)),
    }
}

fn attribution(variants: &[VariantRecord]) -> String {
    let most = |v: &VariantRecord| {
        v.attribution
            .iter()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .map(|(phase, part)| (phase.clone(), *part))
    };
    let known = named(variants, |v| most(v).map(|(_, part)| part));
    let parts: Vec<_> = known
        .iter()
        .filter_map(|(v, _)| {
            let (phase, part) = most(v)?;
            Some(format!(
                "{} with {} ({})",
                names::phase(&phase),
                v.name,
                figures::share(part)
            ))
        })
        .collect();
    match parts.as_slice() {
        [] => "Where the p99 went".to_owned(),
        parts => format!("Where most of the p99 goes: {}", list(parts)),
    }
}
