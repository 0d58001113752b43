//! Times of a set of requests, as histograms.
//!
//! Each figure says which requests it is about; nothing is averaged before it is counted.

use brownout_scenario::observe::Outcome;
use brownout_scenario::plan::Endpoint;
use brownout_scenario::units::Micros;

use crate::histogram::Histogram;
use crate::join::Joined;
use crate::record::Distribution;

fn collect(times: impl Iterator<Item = Micros>) -> Distribution {
    times.map(|time| time.0).collect::<Histogram>().distribution()
}

/// From due to the usable answer.
pub(crate) fn latency(subset: &[&Joined]) -> Distribution {
    collect(subset.iter().filter_map(|joined| joined.latency()))
}

/// From due to the 202.
pub(crate) fn ack(subset: &[&Joined]) -> Distribution {
    collect(
        subset
            .iter()
            .filter_map(|joined| Some(joined.request.acknowledged?.since(joined.request.due))),
    )
}

/// From sent to the usable answer.
pub(crate) fn service_time(subset: &[&Joined]) -> Distribution {
    let answered = subset
        .iter()
        .filter(|joined| joined.request.outcome == Outcome::Answered);
    collect(answered.filter_map(|joined| Some(joined.request.ended.since(joined.request.sent?))))
}

/// From due to the end of a request that failed: how soon whoever waits is told.
pub(crate) fn failure_time(subset: &[&Joined]) -> Distribution {
    let failed = |joined: &&&Joined| matches!(joined.request.outcome, Outcome::Failed(_));
    let failed = subset.iter().filter(failed);
    collect(failed.map(|joined| joined.request.ended.since(joined.request.due)))
}

/// From due to the first word, of streams, whatever became of them then.
pub(crate) fn ttft(subset: &[&Joined], endpoint: Endpoint) -> Distribution {
    let streams = if endpoint.is_stream() { subset } else { &[] };
    collect(streams.iter().filter_map(|joined| joined.ttft()))
}

/// Every gap between the words of streams.
pub(crate) fn inter_token(subset: &[&Joined]) -> Distribution {
    collect(subset.iter().flat_map(|joined| joined.request.gaps.iter().copied()))
}

/// From due to sent.
pub(crate) fn lateness(subset: &[&Joined]) -> Distribution {
    collect(
        subset
            .iter()
            .filter_map(|joined| Some(joined.request.sent?.since(joined.request.due))),
    )
}

/// From a client's leaving to the moment a provider saw its caller leave. An attempt given up before that was the
/// service's own decision and tells nothing.
pub(crate) fn cancel_lag(subset: &[&Joined]) -> Distribution {
    let aborted = subset
        .iter()
        .filter(|joined| joined.request.outcome == Outcome::Aborted);
    collect(aborted.flat_map(|joined| {
        let left = joined.request.ended;
        let seen = joined.rows.iter().filter_map(|row| row.hung_up);
        seen.filter(move |hung_up| *hung_up >= left)
            .map(move |hung_up| hung_up.since(left))
    }))
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::{FailureClass, LedgerRow, RequestObservation};

    use super::*;
    use crate::join::join;
    use crate::testing::{request, row};

    #[test]
    fn a_provider_that_noticed_before_the_client_left_has_no_cancel_lag() {
        let requests = [1, 2].map(|prompt| RequestObservation {
            outcome: Outcome::Aborted,
            ..request(prompt, 0, 1_000, 3)
        });
        let ledger = [(1, 1_200), (1, 900), (2, 1_000)].map(|(prompt, seen)| LedgerRow {
            hung_up: Some(Micros(seen)),
            ..row(prompt, 0, seen, 9)
        });
        let join = join(&requests, &ledger, Endpoint::Stream);
        let lag = cancel_lag(&join.requests.iter().collect::<Vec<_>>());
        assert_eq!((lag.count, lag.min_ms, lag.max_ms), (2, 0.0, 0.2));
    }

    #[test]
    fn a_failure_is_told_when_its_request_ends_and_an_answer_is_none() {
        let failed = RequestObservation {
            outcome: Outcome::Failed(FailureClass::Unavailable),
            ..request(1, 100, 600, 0)
        };
        let aborted = RequestObservation {
            outcome: Outcome::Aborted,
            ..request(2, 0, 900, 0)
        };
        let requests = [failed, aborted, request(3, 0, 800, 5)];
        let join = join(&requests, &[], Endpoint::Chat);
        let told = failure_time(&join.requests.iter().collect::<Vec<_>>());
        assert_eq!((told.count, told.max_ms), (1, 0.5));
    }

    #[test]
    fn latency_runs_from_due_and_service_time_from_sent() {
        let requests = [RequestObservation {
            sent: Some(Micros(400)),
            ..request(1, 100, 1_000, 3)
        }];
        let join = join(&requests, &[], Endpoint::Chat);
        let all: Vec<_> = join.requests.iter().collect();
        let figures = (latency(&all).max_ms, service_time(&all).max_ms, lateness(&all).max_ms);
        assert_eq!(figures, (0.9, 0.6, 0.3));
        assert_eq!(ttft(&all, Endpoint::Chat).count, 0, "only streams have a first word");
    }
}
