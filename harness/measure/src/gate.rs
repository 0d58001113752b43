//! A run against a baseline: what changed, exactly on the virtual clock, beyond noise on the real one.
//!
//! Compares integers. It does not say whether a change is for the better: the reader does, and writes a new baseline.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fingerprint::distributions;
use crate::histogram::Histogram;
use crate::record::{ClockKind, RunRecord, VariantRecord};
use crate::tolerance;
use crate::words::thousands;

/// `schema` of baselines written by this version.
pub const BASELINE_SCHEMA: &str = "brownout.baseline/1";

/// The integers of a run that later runs are held against.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// [`BASELINE_SCHEMA`].
    pub schema: String,
    /// The scenario's name.
    pub scenario: String,
    /// The clock.
    pub clock: ClockKind,
    /// The seed.
    pub seed: u64,
    /// Hash of lock file, compiler and target.
    pub engine: String,
    /// Hash of the resolved plan.
    pub plan_fingerprint: String,
    /// Hash of the integers in the results.
    pub results_fingerprint: String,
    /// By variant and metric.
    pub variants: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A metric that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The scenario's name.
    pub scenario: String,
    /// The variant.
    pub variant: String,
    /// The metric.
    pub metric: String,
    /// Its value in the baseline; 0 when it was not there.
    pub before: u64,
    /// Its value in the run; 0 when it is not there.
    pub after: u64,
}

/// Why a run cannot be held against a baseline at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another format.
    #[error(
        "the baseline has schema `{0}`, this version reads `{BASELINE_SCHEMA}`: write a new one with `brownout baseline`"
    )]
    Schema(String),
    /// Another scenario.
    #[error("the baseline is of scenario `{baseline}`, the run of `{run}`: choose the baseline of the same scenario")]
    Scenario {
        /// The baseline's.
        baseline: String,
        /// The run's.
        run: String,
    },
    /// Another clock.
    #[error("baseline and run were played on different clocks: `brownout fidelity` compares those")]
    Clock,
    /// Another seed.
    #[error("the baseline has seed {baseline}, the run {run}: play the run with `--seed {baseline}`")]
    Seed {
        /// The baseline's.
        baseline: u64,
        /// The run's.
        run: u64,
    },
}

/// What came of the comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GateReport {
    /// Why nothing was compared, if so.
    pub mismatch: Option<Mismatch>,
    /// Metrics that changed, by variant.
    pub differences: Vec<Difference>,
    /// Variants that the baseline has and the run lacks.
    pub variants_missing: Vec<String>,
    /// Variants that the run has and the baseline lacks.
    pub variants_new: Vec<String>,
    /// The plan is not the one that the baseline was made with, so differences may be meant.
    pub plan_changed: bool,
    /// Lock file, compiler or target changed: bytes are not promised to be equal, values are.
    pub engine_changed: bool,
    /// On the virtual clock and the same engine: something that no listed metric shows changed too.
    pub fingerprint_changed: bool,
}

impl GateReport {
    /// Whether the run is what the baseline says.
    pub fn passed(&self) -> bool {
        self.mismatch.is_none()
            && self.differences.is_empty()
            && self.variants_missing.is_empty()
            && self.variants_new.is_empty()
            && !self.fingerprint_changed
    }
}

impl Baseline {
    /// The baseline that `run` passes.
    pub fn of(run: &RunRecord) -> Self {
        let variants = run
            .results
            .variants
            .iter()
            .map(|variant| (variant.name.clone(), metrics(variant)));
        Self {
            schema: BASELINE_SCHEMA.to_owned(),
            scenario: run.scenario.clone(),
            clock: run.clock,
            seed: run.seed,
            engine: run.engine.clone(),
            plan_fingerprint: run.plan_fingerprint.clone(),
            results_fingerprint: run.results_fingerprint.clone(),
            variants: variants.collect(),
        }
    }

    fn mismatch(&self, run: &RunRecord) -> Option<Mismatch> {
        if self.schema != BASELINE_SCHEMA {
            return Some(Mismatch::Schema(self.schema.clone()));
        }
        if self.scenario != run.scenario {
            return Some(Mismatch::Scenario {
                baseline: self.scenario.clone(),
                run: run.scenario.clone(),
            });
        }
        if self.clock != run.clock {
            return Some(Mismatch::Clock);
        }
        (self.seed != run.seed).then_some(Mismatch::Seed {
            baseline: self.seed,
            run: run.seed,
        })
    }
}

/// The metrics of a variant that a baseline keeps. What is 0 and named by what happened is left out.
pub fn metrics(variant: &VariantRecord) -> BTreeMap<String, u64> {
    let mut metrics = BTreeMap::new();
    let mut put = |metric: &str, value: u64| metrics.insert(metric.to_owned(), value);
    let requests = &variant.requests;
    put("requests.due", requests.due);
    put("requests.sent", requests.sent);
    put("requests.answered", requests.answered);
    put("requests.failed", requests.failed);
    put("requests.aborted", requests.aborted);
    put("requests.not_sent", requests.not_sent);
    let tokens = &variant.tokens;
    put("tokens.billed", tokens.billed);
    put("tokens.used", tokens.used);
    put("tokens.delivered", tokens.delivered);
    put("tokens.wasted", tokens.wasted);
    put("tokens.prompt", tokens.prompt);
    put("tokens.wasted_by.abandoned", tokens.wasted_by.abandoned);
    put("tokens.wasted_by.superseded", tokens.wasted_by.superseded);
    put("tokens.wasted_by.discarded", tokens.wasted_by.discarded);
    put("tokens.wasted_by.truncated", tokens.wasted_by.truncated);
    put("tokens.wasted_by.unfetched", tokens.wasted_by.unfetched);
    put("cost_picodollars", variant.cost_picodollars);
    put("wasted_picodollars", variant.wasted_picodollars);
    put("attempts.upstream", variant.attempts.upstream);
    put("attempts.rate_limited", variant.attempts.rate_limited);
    let named = [
        ("errors", &variant.errors),
        ("status", &variant.status),
        ("attempts.by_provider", &variant.attempts.by_provider),
        ("attempts.by_fault", &variant.attempts.by_fault),
    ];
    for (map, counts) in named {
        for (key, count) in counts {
            put(&format!("{map}.{key}"), *count);
        }
    }
    for (metric, value) in later_figures(variant) {
        put(&metric, value);
    }
    for (name, distribution) in distributions(variant) {
        // A histogram that cannot be read is one without values: the difference will show.
        let histogram = Histogram::decode(&distribution.hdr).unwrap_or_default();
        put(&format!("{name}.count"), histogram.count());
        if !histogram.is_empty() {
            put(&format!("{name}.p50_us"), histogram.quantile(0.5));
            put(&format!("{name}.p95_us"), histogram.quantile(0.95));
            put(&format!("{name}.p99_us"), histogram.quantile(0.99));
            put(&format!("{name}.max_us"), histogram.max());
        }
    }
    metrics
}

/// What a record did not always have, where there is any of it.
fn later_figures(variant: &VariantRecord) -> Vec<(String, u64)> {
    let mut figures = Vec::new();
    let mut put = |metric: String, value: u64| figures.push((metric, value));
    let (requests, tokens) = (&variant.requests, &variant.tokens);
    let counts = [
        ("requests.incomplete", requests.incomplete),
        ("requests.withheld", requests.withheld),
        ("requests.wrong", requests.wrong),
        ("requests.from_cache", requests.from_cache),
        ("requests.coalesced", requests.coalesced),
        ("tokens.from_cache", tokens.from_cache),
        ("tokens.fan_out", tokens.fan_out),
    ];
    for (metric, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        put(metric.to_owned(), count);
    }
    for (name, client) in &variant.clients {
        put(format!("clients.{name}.requests.due"), client.requests.due);
        put(format!("clients.{name}.requests.answered"), client.requests.answered);
        put(format!("clients.{name}.requests.failed"), client.requests.failed);
    }
    let hosts = &variant.hosts;
    if hosts.is_eventful() {
        put("hosts.started".to_owned(), hosts.started);
        put("hosts.restarts".to_owned(), hosts.restarts);
        put("hosts.killed".to_owned(), hosts.killed);
        put("hosts.failed_liveness".to_owned(), hosts.failed_liveness);
        put("hosts.ejected".to_owned(), hosts.ejected);
        put("hosts.most_ready".to_owned(), hosts.most_ready);
        put("hosts.least_ready".to_owned(), hosts.least_ready);
    }
    figures
}

/// Holds `run` against `baseline`.
pub fn compare(baseline: &Baseline, run: &RunRecord) -> GateReport {
    if let Some(mismatch) = baseline.mismatch(run) {
        return GateReport {
            mismatch: Some(mismatch),
            ..GateReport::default()
        };
    }
    let now = Baseline::of(run);
    let absent = |from: &Baseline, of: &Baseline| -> Vec<String> {
        of.variants
            .keys()
            .filter(|name| !from.variants.contains_key(*name))
            .cloned()
            .collect()
    };
    let mut differences = Vec::new();
    for (variant, before) in &baseline.variants {
        let Some(after) = now.variants.get(variant) else {
            continue;
        };
        let metrics: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for metric in metrics {
            let value = |of: &BTreeMap<String, u64>| of.get(metric).copied().unwrap_or(0);
            let (was, is) = (value(before), value(after));
            if was.abs_diff(is) > allowed(run.clock, metric, was.max(is), before) {
                let (scenario, variant, metric) = (run.scenario.clone(), variant.clone(), metric.clone());
                differences.push(Difference {
                    scenario,
                    variant,
                    metric,
                    before: was,
                    after: is,
                });
            }
        }
    }
    let engine_changed = baseline.engine != run.engine;
    let exact = run.clock == ClockKind::Virtual && !engine_changed;
    GateReport {
        mismatch: None,
        differences,
        variants_missing: absent(&now, baseline),
        variants_new: absent(baseline, &now),
        plan_changed: baseline.plan_fingerprint != run.plan_fingerprint,
        engine_changed,
        fingerprint_changed: exact && baseline.results_fingerprint != run.results_fingerprint,
    }
}

/// How far a metric may move. On the real clock tails are left out: one slow moment of the machine moves them.
fn allowed(clock: ClockKind, metric: &str, larger: u64, baseline: &BTreeMap<String, u64>) -> u64 {
    if clock == ClockKind::Virtual {
        return 0;
    }
    let due = || baseline.get("requests.due").copied().unwrap_or(0);
    match metric {
        _ if metric.ends_with(".p50_us") => tolerance::median_us(larger),
        _ if metric.ends_with("_us") => u64::MAX,
        "inter_token.count" => tolerance::sum(larger, due()),
        _ if metric.starts_with("tokens.") || metric.ends_with("picodollars") => tolerance::sum(larger, due()),
        _ => tolerance::count(larger),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scenario,
            variant,
            metric,
            before,
            after,
        } = self;
        write!(
            f,
            "{scenario} / {variant}: {metric} was {}, is {}",
            thousands(*before),
            thousands(*after)
        )?;
        if *before == 0 {
            return Ok(());
        }
        let percent = (*after as f64 - *before as f64) / *before as f64 * 100.0;
        let decimals = usize::from(percent.abs() < 10.0);
        write!(f, " ({percent:+.decimals$} %)")
    }
}

#[cfg(test)]
mod tests;
