//! Every number of the record that is not in a list of seconds, folded away by topic.

mod world;

pub(super) use self::world::clients;

use brownout_measure::record::{Distribution, RunRecord, VariantRecord, WastedBy};
use maud::{Markup, html};

use super::frame::{table, text};
use crate::{figures, names};

/// All topics.
pub(super) fn all(record: &RunRecord) -> Markup {
    let variants = record.results.variants.as_slice();
    html! {
        (folded("Latencies", &latencies(variants)))
        (folded("Requests and what became of them", &requests(variants)))
        (folded("Errors and HTTP status", &errors(variants)))
        (folded("Tokens and cost", &tokens(variants)))
        (folded("Attempts at the providers", &attempts(variants)))
        (folded("Before, during and after the fault window", &phases(variants)))
        @if variants.iter().any(|v| v.hosts.started > 0) { (folded("Processes and probes", &world::processes(variants))) }
        (folded("Where the p99 went", &attribution(variants)))
    }
}

fn folded(topic: &str, content: &Markup) -> Markup {
    html! { details { summary { (topic) } (content) } }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// A table with a column a variant. Rows of which nobody has anything are left out by the caller.
fn by_variant(caption: &str, variants: &[VariantRecord], rows: &[(String, Vec<String>)]) -> Markup {
    if rows.is_empty() {
        return html! { p { "None." } };
    }
    let head: Vec<_> = std::iter::once(String::new())
        .chain(variants.iter().map(|v| v.name.clone()))
        .collect();
    let rows: Vec<Vec<_>> = rows
        .iter()
        .map(|(name, cells)| std::iter::once(text(name)).chain(cells.iter().map(text)).collect())
        .collect();
    table(caption, &head, &rows)
}

/// Rows of counts by key, over all variants' keys.
fn keyed<'v>(
    variants: &'v [VariantRecord],
    map: fn(&'v VariantRecord) -> &'v std::collections::BTreeMap<String, u64>,
    name: impl Fn(&str) -> String,
) -> Vec<(String, Vec<String>)> {
    let keys: std::collections::BTreeSet<_> = variants.iter().flat_map(|v| map(v).keys()).collect();
    let cells = |key: &String| {
        variants
            .iter()
            .map(|v| figures::grouped(map(v).get(key).copied().unwrap_or(0)))
            .collect()
    };
    keys.into_iter().map(|key| (name(key), cells(key))).collect()
}

fn latencies(variants: &[VariantRecord]) -> Markup {
    type Kind = (&'static str, fn(&VariantRecord) -> &Distribution);
    const KINDS: [Kind; 8] = [
        ("latency", |v| &v.latency),
        ("ack", |v| &v.ack),
        ("service time", |v| &v.service_time),
        ("time to failure", |v| &v.failure_time),
        ("time to first token", |v| &v.ttft),
        ("between tokens", |v| &v.inter_token),
        ("lateness of the client", |v| &v.lateness),
        ("hang-up to cancel", |v| &v.cancel_lag),
    ];
    let head = strings(&[
        "", "variant", "count", "min", "p50", "p95", "p99", "p99.9", "max", "mean",
    ]);
    let mut rows = Vec::new();
    for (name, of) in KINDS {
        for variant in variants.iter().filter(|variant| of(variant).count > 0) {
            let d = of(variant);
            let mut row = vec![text(name), text(&variant.name), text(figures::grouped(d.count))];
            let values = [d.min_ms, d.p50_ms, d.p95_ms, d.p99_ms, d.p999_ms, d.max_ms, d.mean_ms];
            row.extend(values.map(|ms| text(figures::milliseconds(ms))));
            rows.push(row);
        }
    }
    table("Latencies", &head, &rows)
}

fn requests(variants: &[VariantRecord]) -> Markup {
    let head = strings(&[
        "variant",
        "design",
        "endpoint",
        "due",
        "sent",
        "answered",
        "failed",
        "aborted",
        "not sent",
        "valid",
        "per second",
        "valid per second",
    ]);
    let rows: Vec<Vec<_>> = variants
        .iter()
        .map(|v| {
            let r = &v.requests;
            let mut row = vec![text(&v.name), text(&v.design), text(&v.endpoint)];
            row.extend(
                [r.due, r.sent, r.answered, r.failed, r.aborted, r.not_sent, r.valid()]
                    .map(|n| text(figures::grouped(n))),
            );
            row.extend([v.throughput_rps, v.goodput_rps].map(|rate| text(figures::number(rate))));
            row
        })
        .collect();
    html! {
        (table("Requests", &head, &rows))
        (answers(variants))
    }
}

/// What is to be said of answers, as far as there is anything of the kind.
fn answers(variants: &[VariantRecord]) -> Markup {
    type Count = (&'static str, fn(&VariantRecord) -> u64);
    const COUNTS: [Count; 5] = [
        ("cut short unnoticed", |v| v.requests.incomplete),
        ("withheld by the content filter", |v| v.requests.withheld),
        ("to another question", |v| v.requests.wrong),
        ("made before, for another request", |v| v.requests.from_cache),
        ("made at that time, for another request", |v| v.requests.coalesced),
    ];
    let rows: Vec<_> = COUNTS
        .iter()
        .filter(|(_, of)| variants.iter().any(|v| of(v) > 0))
        .map(|(name, of)| {
            let cells = variants.iter().map(|v| figures::grouped(of(v))).collect();
            ((*name).to_owned(), cells)
        })
        .collect();
    html! {
        @if !rows.is_empty() { h3 { "Of the answers" } (by_variant("Of the answers", variants, &rows)) }
    }
}

fn errors(variants: &[VariantRecord]) -> Markup {
    html! {
        h3 { "Failures by class" }
        (by_variant("Failures by class", variants, &keyed(variants, |v| &v.errors, names::failure)))
        h3 { "Last HTTP status seen" }
        (by_variant("HTTP status", variants, &keyed(variants, |v| &v.status, str::to_owned)))
    }
}

fn tokens(variants: &[VariantRecord]) -> Markup {
    type Sum = (&'static str, fn(&VariantRecord) -> u64);
    const SUMS: [Sum; 7] = [
        ("billed", |v| v.tokens.billed),
        ("used", |v| v.tokens.used),
        ("delivered to clients", |v| v.tokens.delivered),
        ("of these, from a cache", |v| v.tokens.from_cache),
        ("of these, by fan-out", |v| v.tokens.fan_out),
        ("wasted", |v| v.tokens.wasted),
        ("prompt tokens billed", |v| v.tokens.prompt),
    ];
    type Reason = (&'static str, fn(&WastedBy) -> u64);
    const REASONS: [Reason; 5] = [
        ("abandoned: the client had left", |w| w.abandoned),
        ("superseded: another attempt was used", |w| w.superseded),
        ("discarded: the client got an error in its place", |w| w.discarded),
        ("truncated: the answer broke off", |w| w.truncated),
        ("unfetched: nobody asked for the job's result", |w| w.unfetched),
    ];
    let cells = |of: &dyn Fn(&VariantRecord) -> String| variants.iter().map(of).collect::<Vec<_>>();
    let mut sums: Vec<_> = SUMS
        .iter()
        .map(|(name, of)| ((*name).to_owned(), cells(&|v| figures::grouped(of(v)))))
        .collect();
    sums.push(("cost".to_owned(), cells(&|v| figures::usd(v.cost_usd))));
    sums.push((
        "cost of what was wasted".to_owned(),
        cells(&|v| figures::usd(v.wasted_picodollars as f64 / 1e12)),
    ));
    let per_valid = |v: &VariantRecord| {
        v.cost_per_valid_usd()
            .map_or_else(|| figures::NONE.to_owned(), figures::usd)
    };
    sums.push(("cost of a valid answer".to_owned(), cells(&per_valid)));
    let reasons: Vec<_> = REASONS
        .iter()
        .map(|(name, of)| {
            (
                (*name).to_owned(),
                cells(&|v| figures::grouped(of(&v.tokens.wasted_by))),
            )
        })
        .collect();
    html! {
        h3 { "Completion tokens and cost" }
        (by_variant("Tokens", variants, &sums))
        h3 { "Wasted, by why" }
        (by_variant("Wasted tokens by why", variants, &reasons))
        h3 { "Tokens per request" }
        (tokens_per_request(variants))
    }
}

fn tokens_per_request(variants: &[VariantRecord]) -> Markup {
    let head = strings(&["", "variant", "requests", "p50", "p95", "p99", "max"]);
    let mut rows = Vec::new();
    for variant in variants {
        let h = &variant.tokens.histogram;
        for (name, h) in [
            ("billed", &h.billed),
            ("delivered", &h.delivered),
            ("wasted", &h.wasted),
        ] {
            let mut row = vec![text(name), text(&variant.name)];
            row.extend([h.count, h.p50, h.p95, h.p99, h.max].map(|n| text(figures::grouped(n))));
            rows.push(row);
        }
    }
    table("Tokens per request", &head, &rows)
}

fn attempts(variants: &[VariantRecord]) -> Markup {
    let cells = |of: &dyn Fn(&VariantRecord) -> String| variants.iter().map(of).collect::<Vec<_>>();
    let mut rows = vec![
        (
            "attempts that reached a provider".to_owned(),
            cells(&|v| figures::grouped(v.attempts.upstream)),
        ),
        (
            "attempts per request sent".to_owned(),
            cells(&|v| figures::factor(v.attempts.amplification)),
        ),
        (
            "different prompts".to_owned(),
            cells(&|v| figures::grouped(v.attempts.distinct_prompts)),
        ),
        (
            "most at one prompt".to_owned(),
            cells(&|v| figures::grouped(v.attempts.per_prompt_max)),
        ),
        (
            "refused by a rate limit".to_owned(),
            cells(&|v| figures::grouped(v.attempts.rate_limited)),
        ),
    ];
    rows.extend(keyed(
        variants,
        |v| &v.attempts.by_provider,
        |provider| format!("at {provider}"),
    ));
    rows.extend(keyed(
        variants,
        |v| &v.attempts.by_fault,
        |fault| format!("suffered {fault}"),
    ));
    by_variant("Attempts", variants, &rows)
}

fn phases(variants: &[VariantRecord]) -> Markup {
    if variants.iter().all(|v| v.phases.is_empty()) {
        return html! { p { "Nothing goes wrong in this scenario, and its load has no steps." } };
    }
    let head = strings(&[
        "variant",
        "phase",
        "from–until",
        "due",
        "answered",
        "failed",
        "aborted",
        "p50",
        "p99",
        "ttft p99",
    ]);
    let mut rows = Vec::new();
    for (variant, phase) in variants
        .iter()
        .flat_map(|v| v.phases.iter().map(move |phase| (v, phase)))
    {
        let r = &phase.requests;
        let mut row = vec![
            text(&variant.name),
            text(&phase.name),
            text(figures::span((phase.from_s, phase.until_s))),
        ];
        row.push(text(figures::grouped(r.due)));
        row.push(text(
            figures::ratio(r.answered, r.due).map_or_else(|| figures::NONE.to_owned(), figures::share),
        ));
        row.extend([r.failed, r.aborted].map(|n| text(figures::grouped(n))));
        let known = |d: &Distribution, ms: f64| {
            if d.count > 0 {
                figures::milliseconds(ms)
            } else {
                figures::NONE.to_owned()
            }
        };
        row.push(text(known(&phase.latency, phase.latency.p50_ms)));
        row.push(text(known(&phase.latency, phase.latency.p99_ms)));
        row.push(text(known(&phase.ttft, phase.ttft.p99_ms)));
        rows.push(row);
    }
    let recovery = |v: &VariantRecord| {
        v.recovery_s.map_or_else(
            || "not within the run".to_owned(),
            |s| format!("{} s", figures::number(s)),
        )
    };
    if variants.iter().all(|v| v.fault_window_s.is_none()) {
        return table("Phases", &head, &rows);
    }
    html! {
        (table("Phases", &head, &rows))
        h3 { "Back to the old latency after the fault" }
        ul { @for v in variants.iter().filter(|v| v.fault_window_s.is_some()) { li { strong { (v.name) } ": " (recovery(v)) } } }
    }
}

fn attribution(variants: &[VariantRecord]) -> Markup {
    let phases: std::collections::BTreeSet<_> = variants.iter().flat_map(|v| v.attribution.keys()).collect();
    let cell = |v: &VariantRecord, phase: &String| match (v.attribution.get(phase), v.attribution_us.get(phase)) {
        (Some(share), Some(us)) => format!(
            "{} ({})",
            figures::share(*share),
            figures::milliseconds(*us as f64 / 1e3)
        ),
        (Some(share), None) => figures::share(*share),
        _ => figures::NONE.to_owned(),
    };
    let rows: Vec<_> = phases
        .into_iter()
        .map(|phase| (names::phase(phase), variants.iter().map(|v| cell(v, phase)).collect()))
        .collect();
    html! {
        p.faint { "The slowest 1 % of the answered and failed requests: share of their time, and its sum." }
        (by_variant("Where the p99 went", variants, &rows))
    }
}
