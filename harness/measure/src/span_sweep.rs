//! The time of one request, cut into phases that sum to it exactly.
//!
//! Sweeps the boundaries of everything that is known to have gone on at the same time and gives each stretch to one of
//! them. Which requests are looked at, and what is said about them, is [`crate::attribution`]'s part.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use brownout_scenario::observe::{ATTEMPT, FailureClass, Outcome, SpanRow};
use brownout_scenario::plan::Endpoint;

use crate::join::Joined;
use crate::waste::is_whole;

/// Spans and rows looked at per request; a service that reports more is read this far.
const MOST_LAYERS: usize = 1_000;

/// Time between the sending of a request and the service's first span.
pub(crate) const BEFORE_SERVICE: &str = "before.service";
/// Time between the service's last span and the end of the request.
pub(crate) const AFTER_SERVICE: &str = "after.service";

/// Something that went on during a request. The higher `rank` gets the time; within a rank what started last, which is
/// the innermost.
struct Layer<'a> {
    rank: u8,
    name: &'a str,
    start: u64,
    end: u64,
}

const AT_PROVIDER: u8 = 0;
const SPAN: u8 = 1;
const WAIT: u8 = 2;
const CLIENT: u8 = 3;

/// Microseconds by phase from due to the end of the request.
pub(crate) fn sweep(joined: &Joined, spans: &[&SpanRow], endpoint: Endpoint) -> BTreeMap<String, u64> {
    let layers = layers(joined, spans, endpoint);
    let (due, ended) = (joined.request.due.0, joined.request.ended.0.max(joined.request.due.0));
    let mut cuts: Vec<u64> = layers
        .iter()
        .flat_map(|layer| [layer.start, layer.end])
        .chain([due, ended])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut parts = BTreeMap::new();
    for (from, until) in cuts.iter().zip(cuts.iter().skip(1)) {
        let phase = owner(&layers, *from, *until).unwrap_or_else(|| in_no_layer(spans, *from, *until));
        *parts.entry(phase.to_owned()).or_insert(0) += until - from;
    }
    parts
}

/// What to call a stretch in which nothing is known to have gone on: where the service tells what it does, it had not
/// begun, or it had ended.
fn in_no_layer(spans: &[&SpanRow], from: u64, until: u64) -> &'static str {
    let begun = told(spans).map(|span| span.start.0).min();
    let ended = told(spans).map(|span| span.end.0).max();
    if begun.is_some_and(|begun| until <= begun) {
        BEFORE_SERVICE
    } else if ended.is_some_and(|ended| ended <= from) {
        AFTER_SERVICE
    } else {
        "unattributed"
    }
}

/// Who gets the stretch, within which no layer starts or ends; nobody if there is none.
fn owner<'a>(layers: &[Layer<'a>], from: u64, until: u64) -> Option<&'a str> {
    let active = || layers.iter().filter(|layer| layer.start <= from && layer.end >= until);
    let winner = active().max_by_key(|layer| (layer.rank, layer.start, Reverse(layer.end), layer.name))?;
    let is_attempt = winner.name == ATTEMPT || winner.name.starts_with("attempt.");
    Some(match winner.rank {
        SPAN if is_attempt && active().any(|layer| layer.rank == AT_PROVIDER) => "provider",
        SPAN if is_attempt => "network",
        _ => winner.name,
    })
}

/// The spans that phases go by: a service's own work is its root span's time, however finely the service cuts it.
fn told<'s, 'a>(spans: &'s [&'a SpanRow]) -> impl Iterator<Item = &'a SpanRow> + use<'s, 'a> {
    spans.iter().copied().filter(|span| !span.name.starts_with("work."))
}

/// Everything that is known about the request's time, cut to it.
fn layers<'a>(joined: &Joined, spans: &[&'a SpanRow], endpoint: Endpoint) -> Vec<Layer<'a>> {
    let request = joined.request;
    let (due, ended) = (request.due.0, request.ended.0.max(request.due.0));
    let sent = request.sent.map_or(ended, |sent| sent.0.clamp(due, ended));
    let mut layers = vec![Layer {
        rank: CLIENT,
        name: "client.lateness",
        start: due,
        end: sent,
    }];
    let mut add = |rank, name, start: u64, end: u64| {
        let (start, end) = (start.clamp(sent, ended), end.clamp(sent, ended));
        if start < end {
            layers.push(Layer { rank, name, start, end });
        }
    };
    for row in joined.rows.iter().take(MOST_LAYERS) {
        add(AT_PROVIDER, "provider", row.arrived.0, row.ended.0);
    }
    for span in told(spans).take(MOST_LAYERS) {
        let rank = if span.name.starts_with("wait.") { WAIT } else { SPAN };
        add(rank, &span.name, span.start.0, span.end.0);
    }
    if let Some(done) = job_done(joined, spans, endpoint) {
        add(WAIT, "wait.poll", done, ended);
    }
    layers
}

/// When a job's result was there to be fetched, if it ever was.
fn job_done(joined: &Joined, spans: &[&SpanRow], endpoint: Endpoint) -> Option<u64> {
    use FailureClass::{ClientTimeout, Unfinished};
    let ended = joined.request.ended.0;
    let finished = joined.rows.iter().any(|row| is_whole(row) && row.ended.0 <= ended);
    let gave_up = matches!(joined.request.outcome, Outcome::Failed(ClientTimeout | Unfinished));
    if endpoint != Endpoint::Jobs || (gave_up && !finished) {
        return None;
    }
    let spans = spans.iter().filter(|span| span.name == "job").map(|span| span.end.0);
    let rows = joined.rows.iter().map(|row| row.ended.0);
    spans.chain(rows).filter(|end| *end <= ended).max()
}

#[cfg(test)]
mod tests {
    use brownout_scenario::observe::RequestObservation;
    use brownout_scenario::units::Micros;
    use proptest::prelude::*;

    use super::*;
    use crate::sharing::Source;
    use crate::testing::{request, row, span};

    fn parts(joined: &Joined, spans: &[SpanRow], endpoint: Endpoint) -> Vec<(String, u64)> {
        sweep(joined, &spans.iter().collect::<Vec<_>>(), endpoint)
            .into_iter()
            .collect()
    }

    fn named(parts: &[(&str, u64)]) -> Vec<(String, u64)> {
        parts.iter().map(|(name, us)| ((*name).to_owned(), *us)).collect()
    }

    #[test]
    fn waits_win_over_attempts_and_the_innermost_span_over_its_parents() {
        let request = RequestObservation {
            sent: Some(Micros(105)),
            ..request(1, 100, 200, 1)
        };
        let row = row(1, 140, 170, 1);
        let joined = Joined {
            request: &request,
            rows: vec![&row],
            fates: vec![],
            source: Source::Own,
        };
        let spans = [
            span(1, "handler", 105, 195),
            span(1, "wait.pool", 110, 120),
            span(1, "attempt", 115, 180),
            span(1, "parse", 175, 180),
            span(1, "work.usage", 183, 190),
        ];
        let expected = named(&[
            ("after.service", 5),
            ("client.lateness", 5),
            ("handler", 20),
            ("network", 25),
            ("parse", 5),
            ("provider", 30),
            ("wait.pool", 10),
        ]);
        assert_eq!(parts(&joined, &spans, Endpoint::Chat), expected);
    }

    #[test]
    fn without_spans_the_ledger_still_tells_the_providers_part() {
        let request = request(1, 0, 100, 1);
        let row = row(1, 20, 90, 1);
        let joined = Joined {
            request: &request,
            rows: vec![&row],
            fates: vec![],
            source: Source::Own,
        };
        assert_eq!(
            parts(&joined, &[], Endpoint::Chat),
            named(&[("provider", 70), ("unattributed", 30)])
        );
        assert_eq!(
            parts(&joined, &[], Endpoint::Jobs),
            named(&[("provider", 70), ("unattributed", 20), ("wait.poll", 10)])
        );
    }

    #[test]
    fn what_no_span_covers_is_before_the_service_after_it_or_a_gap_in_what_it_tells() {
        let request = request(1, 0, 100, 1);
        let joined = Joined {
            request: &request,
            rows: vec![],
            fates: vec![],
            source: Source::Own,
        };
        let spans = [
            span(1, "handler", 30, 40),
            span(1, "wait.pool", 60, 90),
            span(1, "work.usage", 90, 95),
        ];
        let expected = named(&[
            ("after.service", 10),
            ("before.service", 30),
            ("handler", 10),
            ("unattributed", 20),
            ("wait.pool", 30),
        ]);
        assert_eq!(parts(&joined, &spans, Endpoint::Chat), expected);
    }

    #[test]
    fn a_job_that_never_finished_does_not_wait_to_be_fetched() {
        let unfinished = Outcome::Failed(FailureClass::Unfinished);
        let request = RequestObservation {
            outcome: unfinished,
            ..request(1, 0, 100, 0)
        };
        let mut row = row(1, 0, 40, 1);
        row.finish = brownout_scenario::observe::Finish::Fault;
        let joined = Joined {
            request: &request,
            rows: vec![&row],
            fates: vec![],
            source: Source::Own,
        };
        assert_eq!(
            parts(&joined, &[], Endpoint::Jobs),
            named(&[("provider", 40), ("unattributed", 60)])
        );
    }

    #[test]
    fn a_request_that_never_left_was_late_all_along() {
        let request = RequestObservation {
            sent: None,
            ..request(1, 0, 100, 0)
        };
        let joined = Joined {
            request: &request,
            rows: vec![],
            fates: vec![],
            source: Source::Own,
        };
        assert_eq!(parts(&joined, &[], Endpoint::Chat), named(&[("client.lateness", 100)]));
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_whole(
            due in 0u64..100, late in 0u64..50, lasted in 0u64..500,
            spans in prop::collection::vec((0u64..700, 0u64..300, prop::sample::select(vec!["wait.pool", "wait.queue", "attempt", "job", "x"])), 0..12),
            rows in prop::collection::vec((0u64..700, 0u64..300), 0..4),
        ) {
            let request = RequestObservation { sent: Some(Micros(due + late)), ..request(1, due, due + late + lasted, 1) };
            let rows: Vec<_> = rows.into_iter().map(|(start, lasted)| row(1, start, start + lasted, 1)).collect();
            let spans: Vec<_> = spans.into_iter().map(|(start, lasted, name)| span(1, name, start, start + lasted)).collect();
            let joined = Joined { request: &request, rows: rows.iter().collect(), fates: vec![], source: Source::Own };
            for endpoint in [Endpoint::Chat, Endpoint::Jobs] {
                let sum: u64 = parts(&joined, &spans, endpoint).iter().map(|(_, us)| us).sum();
                prop_assert_eq!(sum, late + lasted);
            }
        }
    }
}
