//! Where the p99 went: the time of the slowest hundredth of the requests, by phase, and the culprit in a sentence.
//!
//! Correlates what spans and ledgers say; it does not claim what the p99 would be without a phase.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use brownout_scenario::observe::{Outcome, SpanRow};
use brownout_scenario::plan::Endpoint;

use crate::join::Joined;
use crate::span_sweep::{AFTER_SERVICE, BEFORE_SERVICE, sweep};
use crate::words::percent;

/// Microseconds by phase over the slowest hundredth (at least one) of the answered and failed requests.
pub(crate) fn attribute(subset: &[&Joined], spans: &[SpanRow], endpoint: Endpoint) -> BTreeMap<String, u64> {
    let slow = slowest(subset);
    let mut by_request: BTreeMap<u64, Vec<&SpanRow>> =
        slow.iter().map(|joined| (joined.request.index, Vec::new())).collect();
    for span in spans {
        if let Some(of_request) = by_request.get_mut(&span.request) {
            of_request.push(span);
        }
    }
    let mut parts = BTreeMap::new();
    for joined in slow {
        let spans = by_request
            .get_mut(&joined.request.index)
            .map(std::mem::take)
            .unwrap_or_default();
        for (name, us) in sweep(joined, &spans, endpoint) {
            *parts.entry(name).or_insert(0) += us;
        }
    }
    parts.retain(|_, us| *us > 0);
    parts
}

fn slowest<'j, 'a>(subset: &[&'j Joined<'a>]) -> Vec<&'j Joined<'a>> {
    let counts = |joined: &&&Joined| matches!(joined.request.outcome, Outcome::Answered | Outcome::Failed(_));
    let mut all: Vec<_> = subset.iter().filter(counts).copied().collect();
    all.sort_by_key(|joined| (Reverse(joined.total()), joined.request.index));
    all.truncate(all.len().div_ceil(100));
    all
}

/// Shares of the whole; they sum to 1 unless there is nothing.
pub fn shares(parts_us: &BTreeMap<String, u64>) -> BTreeMap<String, f64> {
    let total = parts_us.values().sum::<u64>().max(1) as f64;
    parts_us
        .iter()
        .map(|(name, us)| (name.clone(), *us as f64 / total))
        .collect()
}

/// The sentence about the phase that took most, such as `78 % of the p99 is waiting for a database connection
/// (wait.pool)`.
pub fn culprit(parts_us: &BTreeMap<String, u64>) -> Option<String> {
    let (name, us) = parts_us.iter().max_by_key(|(name, us)| (**us, Reverse(*name)))?;
    let share = *us as f64 / parts_us.values().sum::<u64>() as f64;
    Some(format!("{} of the p99 is {} ({name})", percent(share), in_words(name)))
}

/// A phase as a person would say it, to follow "is".
pub fn in_words(phase: &str) -> &str {
    match phase {
        "provider" => "waiting for the model",
        "network" => "on the way to the model and back",
        "client.lateness" => "the load generator's own lateness",
        BEFORE_SERVICE => "on the way into the service: load balancer, cold start, backlog of connections",
        AFTER_SERVICE => "on the way back to the client, or unread by it",
        "unattributed" => "in no span: the service does not say what it did",
        "job" => "the job's own work",
        "wait.worker" => "waiting for a free worker",
        "wait.pool" => "waiting for a database connection",
        "wait.queue" => "waiting in the job queue",
        "wait.backoff" => "backing off between attempts",
        "wait.poll" => "waiting until the client asked again",
        "wait.rate_limit" => "waiting for the service's own rate limit",
        "wait.limits" => "waiting for the store of limits",
        "wait.place" => "waiting for a place among the calls at work",
        "wait.concurrency" | "wait.limit" => "waiting for a concurrency slot",
        "wait.breaker" => "waiting for the circuit breaker",
        "wait.cache" => "waiting for the cache",
        "wait.coalesced" => "waiting for the answer to an equal request",
        other if other.starts_with("wait.") => "waiting inside the service",
        _ => "the service's own work",
    }
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::RequestObservation;

    use super::*;
    use crate::join::join;
    use crate::testing::{request, span};

    #[test]
    fn only_the_slowest_hundredth_is_looked_at() {
        let requests: Vec<RequestObservation> = (1..=101).map(|id| request(id, 0, id * 1_000, 1)).collect();
        let spans = [
            span(101, "wait.pool", 0, 80_000),
            span(100, "wait.queue", 0, 50_000),
            span(99, "x", 0, 99_000),
        ];
        let join = join(&requests, &[], Endpoint::Chat);
        let parts = attribute(&join.requests.iter().collect::<Vec<_>>(), &spans, Endpoint::Chat);
        let expected = [("after.service", 71_000), ("wait.pool", 80_000), ("wait.queue", 50_000)];
        assert_eq!(parts, expected.map(|(name, us)| (name.to_owned(), us)).into());
    }

    #[test]
    fn the_culprit_is_named_with_its_share() {
        let parts = [("wait.pool", 780), ("provider", 220)]
            .map(|(name, us)| (name.to_owned(), us))
            .into();
        let sentence = "78 % of the p99 is waiting for a database connection (wait.pool)";
        assert_eq!(culprit(&parts).as_deref(), Some(sentence));
        assert_eq!(culprit(&BTreeMap::new()), None);
    }

    #[test]
    fn clients_that_left_on_purpose_are_not_slow() {
        let aborted = RequestObservation {
            outcome: Outcome::Aborted,
            ..request(1, 0, 9_000, 1)
        };
        let requests = [aborted, request(2, 0, 10, 1)];
        let join = join(&requests, &[], Endpoint::Chat);
        let parts = attribute(&join.requests.iter().collect::<Vec<_>>(), &[], Endpoint::Chat);
        assert_eq!(parts.values().sum::<u64>(), 10);
    }
}
