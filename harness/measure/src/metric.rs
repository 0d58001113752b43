//! Paths to figures: `latency.p99_ms`, `errors.gateway_timeout`, `attribution.wait.pool`.
//!
//! Finds a value in a record, or says why there is none; checks a path before a run, and proposes what was meant.
//! It does not judge values.

use serde_json::Value;

use crate::counts::{BEFORE_MODEL, ERROR_KEYS, IN_MODEL};
use crate::phases;
use crate::record::{ClientRecord, PhaseRecord, RequestCounts, VariantRecord};

/// Keys under which anything may appear, because they are named by what happened: what is missing is 0.
const OPEN_MAPS: [&str; 6] = [
    "errors",
    "status",
    "attribution",
    "attribution_us",
    "attempts.by_provider",
    "attempts.by_fault",
];
/// Figures that are worked out from others.
const DERIVED: [&str; 7] = [
    "requests.answered_ratio",
    "requests.failed_ratio",
    "requests.whole",
    "requests.whole_ratio",
    "requests.valid",
    "requests.valid_ratio",
    "errors.gateway_timeout",
];

/// The price of an answer that was worth having: known of whole runs, which have a bill.
const PER_VALID: &str = "cost_per_valid_usd";
/// What a cache gives back for what is paid: known of whole runs too.
const HITS: &str = "hits_per_1000_tokens";

/// A path that leads to no figure of a run record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Nothing is there.
    #[error("no figure is called `{path}`{}", did_you_mean(.suggestion.as_deref()))]
    Unknown {
        /// The path asked for.
        path: String,
        /// The figure that looks most like it.
        suggestion: Option<String>,
    },
    /// Only whole runs have it.
    #[error("`{path}` is known for the whole run only{}: leave `phase` out", did_you_mean(.suggestion.as_deref()))]
    NotInPhases {
        /// The path asked for.
        path: String,
        /// The figure of phases that looks most like it.
        suggestion: Option<String>,
    },
    /// There is no such phase.
    #[error(
        "no phase is called `{phase}`: write \"before\", \"during\", \"after\" or a step of the load such as \"step-1\""
    )]
    UnknownPhase {
        /// The phase asked for.
        phase: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion
        .map(|figure| format!(" (did you mean `{figure}`?)"))
        .unwrap_or_default()
}

/// Checks that the path leads to a figure of every run.
pub fn metric_exists(path: &str) -> Result<(), MetricError> {
    if let Some((name, figure)) = of_client(path) {
        let record = to_value(&ClientRecord::default());
        return if leads_to_a_figure(&record, figure) {
            Ok(())
        } else {
            let suggestion = most_like(figure, &figures_of(&record));
            Err(MetricError::Unknown {
                path: path.to_owned(),
                suggestion: suggestion.map(|figure| format!("clients.{name}.{figure}")),
            })
        };
    }
    let record = to_value(&VariantRecord::default());
    if leads_to_a_figure(&record, path) {
        return Ok(());
    }
    Err(MetricError::Unknown {
        path: path.to_owned(),
        suggestion: most_like(path, &figures_of(&record)),
    })
}

/// The kind of client that the path is about, and its figure.
fn of_client(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("clients.")?.split_once('.')
}

/// Checks that the path leads to a figure, in `phase` if there is one.
pub fn metric_exists_in(path: &str, phase: Option<&str>) -> Result<(), MetricError> {
    metric_exists(path)?;
    let Some(phase) = phase else { return Ok(()) };
    if !phases::is_name(phase) {
        return Err(MetricError::UnknownPhase {
            phase: phase.to_owned(),
        });
    }
    let record = to_value(&PhaseRecord::default());
    if leads_to_a_figure(&record, path) {
        return Ok(());
    }
    Err(MetricError::NotInPhases {
        path: path.to_owned(),
        suggestion: most_like(path, &figures_of(&record)),
    })
}

/// The figure at `path`, in `phase` if there is one. Infinite for a recovery that never came. `Err` says why there is
/// nothing to judge.
pub fn resolve(record: &VariantRecord, path: &str, phase: Option<&str>) -> Result<f64, String> {
    let (value, requests) = part(record, path, phase)?;
    if requests.due == 0 {
        return Err(format!("no request of {} fell due", record.name));
    }
    let path = of_client(path).map_or(path, |(_, figure)| figure);
    if path.starts_with("hosts.") && record.hosts.started == 0 {
        return Err(format!("nobody watched the processes of {}", record.name));
    }
    let is_about_tokens = path.starts_with("tokens.") || path == "wasted_picodollars";
    if is_about_tokens && !record.books.joined {
        return Err(format!(
            "{} writes its own words, so tokens cannot be joined",
            record.name
        ));
    }
    match path {
        "tokens.wasted_ratio" if record.tokens.billed == 0 => Err(format!("{} was billed nothing", record.name)),
        "attempts.amplification" if record.requests.sent == 0 => Err(format!("{} was sent nothing", record.name)),
        "recovery_s" => recovery(record),
        PER_VALID => record
            .cost_per_valid_usd()
            .ok_or_else(|| format!("{} gave no valid answer", record.name)),
        HITS => record
            .hits_per_1000_tokens()
            .ok_or_else(|| format!("{} was billed nothing", record.name)),
        _ => derived(path, requests, &value)
            .or_else(|| find(&value, path))
            .ok_or_else(|| format!("{} has no value for {path}", record.name)),
    }
}

/// The part of the record that the path is about, and its requests.
fn part(record: &VariantRecord, path: &str, phase: Option<&str>) -> Result<(Value, RequestCounts), String> {
    if let Some(name) = phase {
        let phase = record.phases.iter().find(|phase| phase.name == name);
        let missing = || match name.strip_prefix("step-") {
            Some(step) => format!("the load of {} has no step {step} in the measured time", record.name),
            None => format!("{} has no time {name} a fault", record.name),
        };
        let phase = phase.ok_or_else(missing)?;
        return Ok((to_value(phase), phase.requests));
    }
    if let Some((name, _)) = of_client(path) {
        let client = record.clients.get(name);
        let client = client.ok_or_else(|| format!("{} has no clients called {name}", record.name))?;
        return Ok((to_value(client), client.requests));
    }
    Ok((to_value(record), record.requests))
}

fn recovery(record: &VariantRecord) -> Result<f64, String> {
    if let Some(seconds) = record.recovery_s {
        return Ok(seconds);
    }
    let phase = |name: &str| record.phases.iter().find(|phase| phase.name == name);
    let could_be_seen = phase("before").is_some_and(|phase| phase.latency.count > 0 || phase.ttft.count > 0)
        && phase("after").is_some_and(|phase| phase.requests.due > 0);
    if could_be_seen {
        Ok(f64::INFINITY)
    } else {
        Err(format!("{} has no time before and after a fault", record.name))
    }
}

fn derived(path: &str, requests: RequestCounts, record: &Value) -> Option<f64> {
    let errors = |key: &str| record["errors"][key].as_u64().unwrap_or(0);
    match path {
        "requests.answered_ratio" => Some(requests.answered as f64 / requests.due as f64),
        "requests.failed_ratio" => Some(requests.failed as f64 / requests.due as f64),
        "requests.whole" => Some(requests.whole() as f64),
        "requests.whole_ratio" => Some(requests.whole() as f64 / requests.due as f64),
        "requests.valid" => Some(requests.valid() as f64),
        "requests.valid_ratio" => Some(requests.valid() as f64 / requests.due as f64),
        "errors.gateway_timeout" => Some((errors(BEFORE_MODEL) + errors(IN_MODEL)) as f64),
        _ => None,
    }
}

fn to_value(record: &impl serde::Serialize) -> Value {
    serde_json::to_value(record).unwrap_or(Value::Null)
}

/// Walks the path. Percentiles of a distribution that counted nothing are no values.
fn find(value: &Value, path: &str) -> Option<f64> {
    if let Some(map) = OPEN_MAPS.iter().find(|map| path.starts_with(&format!("{map}."))) {
        let object = map
            .split('.')
            .try_fold(value, |value, key| value.get(key))?
            .as_object()?;
        // Without a single request to look at, nothing is known about where time went.
        let is_known = !object.is_empty() || !map.starts_with("attribution");
        return is_known.then(|| {
            object
                .get(&path[map.len() + 1..])
                .and_then(Value::as_f64)
                .unwrap_or(0.0)
        });
    }
    let (parents, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut keys = parents.split('.').filter(|key| !key.is_empty());
    let parent = keys.try_fold(value, |value, key| value.get(key))?;
    let counted_nothing = parent.get("hdr").is_some() && parent["count"] == 0;
    if counted_nothing && key != "count" {
        None
    } else {
        parent.get(key)?.as_f64()
    }
}

/// Whether every record has a figure there; one that may be missing from a run still counts.
fn leads_to_a_figure(record: &Value, path: &str) -> bool {
    let of_whole_runs = [("recovery_s", "recovery_s"), (PER_VALID, "cost_usd"), (HITS, "unasked")];
    let is_known = |(known, part): (&str, &str)| path == known && record.get(part).is_some();
    if DERIVED.contains(&path) || of_whole_runs.into_iter().any(is_known) {
        return true;
    }
    if let Some(key) = path.strip_prefix("errors.") {
        return ERROR_KEYS.contains(&key);
    }
    if let Some(code) = path.strip_prefix("status.") {
        return code.len() == 3 && code.parse().is_ok_and(|code: u16| (100..600).contains(&code));
    }
    let map = OPEN_MAPS.iter().find(|map| {
        path.strip_prefix(*map)
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'))
    });
    if let Some(map) = map {
        return map.split('.').try_fold(record, |value, key| value.get(key)).is_some();
    }
    path.split('.')
        .try_fold(record, |value, key| value.get(key))
        .is_some_and(Value::is_number)
}

/// Every path of the record that leads to a number, and the derived ones.
fn figures_of(record: &Value) -> Vec<String> {
    fn collect(value: &Value, path: &str, into: &mut Vec<String>) {
        match value {
            Value::Number(_) => into.push(path.to_owned()),
            Value::Object(parts) => {
                for (key, value) in parts {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    collect(value, &path, into);
                }
            }
            _ => {}
        }
    }
    let mut figures: Vec<String> = DERIVED.iter().map(|figure| (*figure).to_owned()).collect();
    figures.extend(ERROR_KEYS.iter().map(|key| format!("errors.{key}")));
    if record.get("recovery_s").is_some() {
        figures.extend(["recovery_s", PER_VALID, HITS].map(str::to_owned));
    }
    collect(record, "", &mut figures);
    figures
}

/// The figure with the fewest differing letters, if it is at all like `path`.
fn most_like(path: &str, figures: &[String]) -> Option<String> {
    let (distance, figure) = figures.iter().map(|figure| (distance(path, figure), figure)).min()?;
    (distance <= path.len() / 3 + 1).then(|| figure.clone())
}

/// Letters to add, drop or change between two paths (Levenshtein). Long paths are compared by their start.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 80;
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
