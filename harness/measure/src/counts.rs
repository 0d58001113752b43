//! Requests, failures and statuses, counted.
//!
//! The names of failure classes are the keys of `errors` in a record; a 504 is split by whether the model had been
//! asked.

use std::collections::BTreeMap;

use brownout_scenario::observe::{FailureClass, Outcome};

use crate::join::{Flaw, Joined};
use crate::record::RequestCounts;
use crate::sharing::Source;

/// A 504 of a request that no provider had seen by then.
pub(crate) const BEFORE_MODEL: &str = "gateway_timeout_before_model";
/// A 504 of a request that a provider had seen.
pub(crate) const IN_MODEL: &str = "gateway_timeout_in_model";

/// The harness itself ran out of descriptors or ports.
pub(crate) const HARNESS_EXHAUSTED: &str = "harness_exhausted";

/// Every key that `errors` can have.
pub(crate) const ERROR_KEYS: [&str; 18] = [
    BEFORE_MODEL,
    IN_MODEL,
    "bad_gateway",
    "unavailable",
    "rate_limited",
    "server_error",
    "client_error",
    "connect",
    HARNESS_EXHAUSTED,
    "connection_lost",
    "truncated",
    "error_event",
    "malformed",
    "invalid_output",
    "client_timeout",
    "job_failed",
    "job_lost",
    "unfinished",
];

/// The key of `errors` that a failed request counts under.
fn error_key(class: FailureClass, joined: &Joined) -> &'static str {
    match class {
        FailureClass::GatewayTimeout => {
            if joined.rows.iter().any(|row| row.arrived < joined.request.ended) {
                IN_MODEL
            } else {
                BEFORE_MODEL
            }
        }
        FailureClass::BadGateway => "bad_gateway",
        FailureClass::Unavailable => "unavailable",
        FailureClass::RateLimited => "rate_limited",
        FailureClass::ServerError => "server_error",
        FailureClass::ClientError => "client_error",
        FailureClass::Connect => "connect",
        FailureClass::HarnessExhausted => HARNESS_EXHAUSTED,
        FailureClass::ConnectionLost => "connection_lost",
        FailureClass::Truncated => "truncated",
        FailureClass::ErrorEvent => "error_event",
        FailureClass::Malformed => "malformed",
        FailureClass::InvalidOutput => "invalid_output",
        FailureClass::ClientTimeout => "client_timeout",
        FailureClass::JobFailed => "job_failed",
        FailureClass::JobLost => "job_lost",
        FailureClass::Unfinished => "unfinished",
    }
}

/// Requests by what became of them.
pub(crate) fn requests(subset: &[&Joined]) -> RequestCounts {
    let mut counts = RequestCounts::default();
    for joined in subset {
        counts.due += 1;
        counts.sent += u64::from(joined.request.sent.is_some());
        match joined.flaw() {
            Some(Flaw::Incomplete) => counts.incomplete += 1,
            Some(Flaw::Withheld) => counts.withheld += 1,
            Some(Flaw::Wrong) => counts.wrong += 1,
            None => {}
        }
        if let (Outcome::Answered, Source::Shared(shared)) = (joined.request.outcome, joined.source) {
            *if shared.cached {
                &mut counts.from_cache
            } else {
                &mut counts.coalesced
            } += 1;
        }
        *match joined.request.outcome {
            Outcome::Answered => &mut counts.answered,
            Outcome::Aborted => &mut counts.aborted,
            Outcome::NotSent => &mut counts.not_sent,
            Outcome::Failed(_) => &mut counts.failed,
        } += 1;
    }
    counts
}

/// Failures by class; they sum to `failed`.
pub(crate) fn errors(subset: &[&Joined]) -> BTreeMap<String, u64> {
    let mut errors = BTreeMap::new();
    for joined in subset {
        if let Outcome::Failed(class) = joined.request.outcome {
            *errors.entry(error_key(class, joined).to_owned()).or_insert(0) += 1;
        }
    }
    errors
}

/// Last status seen, by code.
pub(crate) fn statuses(subset: &[&Joined]) -> BTreeMap<String, u64> {
    let mut statuses = BTreeMap::new();
    for status in subset.iter().filter_map(|joined| joined.request.status) {
        *statuses.entry(status.to_string()).or_insert(0) += 1;
    }
    statuses
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{Finish, LedgerRow, RequestObservation};
    use brownout_scenario::plan::Endpoint;

    use super::*;
    use crate::join::join;
    use crate::testing::{ALL_CLASSES, request, row};

    fn failed(prompt: u64, class: FailureClass) -> RequestObservation {
        RequestObservation {
            outcome: Outcome::Failed(class),
            ..request(prompt, 0, 100, 0)
        }
    }

    #[test]
    fn every_class_has_the_name_it_has_in_the_vocabulary() {
        let requests: Vec<_> = (0..)
            .zip(ALL_CLASSES)
            .map(|(prompt, class)| failed(prompt, class))
            .collect();
        let join = join(&requests, &[], Endpoint::Chat);
        for joined in &join.requests {
            let Outcome::Failed(class) = joined.request.outcome else {
                continue;
            };
            let key = error_key(class, joined);
            assert!(ERROR_KEYS.contains(&key), "{key}");
            if class != FailureClass::GatewayTimeout {
                assert_eq!(serde_json::to_value(class).expect("plain"), key);
            }
        }
    }

    #[test]
    fn an_answer_that_the_content_filter_cut_is_answered_and_withheld() {
        let requests = [request(1, 0, 100, 5), request(2, 0, 100, 5)];
        let filtered = LedgerRow {
            finish: Finish::Filtered,
            ..row(1, 10, 90, 5)
        };
        let ledger = [filtered, row(2, 10, 90, 5)];
        let join = join(&requests, &ledger, Endpoint::Chat);
        let counts = super::requests(&join.requests.iter().collect::<Vec<_>>());
        assert_eq!((counts.answered, counts.withheld, counts.valid()), (2, 1, 1));
    }

    #[test]
    fn a_504_says_whether_the_model_had_been_asked() {
        let requests = [1, 2, 3].map(|prompt| failed(prompt, FailureClass::GatewayTimeout));
        let ledger = [row(1, 99, 200, 5), row(2, 100, 200, 5)];
        let join = join(&requests, &ledger, Endpoint::Chat);
        let all: Vec<_> = join.requests.iter().collect();
        let errors = errors(&all);
        assert_eq!(errors.get(IN_MODEL), Some(&1));
        assert_eq!(
            errors.get(BEFORE_MODEL),
            Some(&2),
            "an attempt that arrived with the 504 came too late"
        );
        assert_eq!(errors.values().sum::<u64>(), super::requests(&all).failed);
    }
}
