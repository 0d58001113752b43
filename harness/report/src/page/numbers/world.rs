//! The numbers of what stands around the service: kinds of clients, processes, questions after their health.
//!
//! Where each table stands on the page is the caller's affair.

use brownout_measure::record::{Distribution, HostRecord, ProbeRecord, VariantRecord};
use maud::{Markup, html};

use super::super::frame::{table, text};
use super::{by_variant, strings};
use crate::{figures, names};

/// A row for every kind of client of every variant.
pub(in crate::page) fn clients(variants: &[VariantRecord]) -> Markup {
    let head = strings(&[
        "variant", "clients", "due", "answered", "failed", "aborted", "p50", "p99", "ttft p99", "failures",
    ]);
    let mut rows = Vec::new();
    for (variant, (name, client)) in variants
        .iter()
        .flat_map(|v| v.clients.iter().map(move |client| (v, client)))
    {
        let r = &client.requests;
        let mut row = vec![text(&variant.name), text(name), text(figures::grouped(r.due))];
        let answered = figures::ratio(r.answered, r.due).map_or_else(|| figures::NONE.to_owned(), figures::share);
        row.push(text(answered));
        row.extend([r.failed, r.aborted].map(|n| text(figures::grouped(n))));
        let latency = &client.latency;
        row.push(text(known(latency, latency.p50_ms)));
        row.push(text(known(latency, latency.p99_ms)));
        row.push(text(known(&client.ttft, client.ttft.p99_ms)));
        let failures: Vec<_> = client
            .errors
            .iter()
            .map(|(class, count)| format!("{}: {}", names::failure(class), figures::grouped(*count)))
            .collect();
        row.push(text(failures.join("; ")));
        rows.push(row);
    }
    table("Kinds of clients", &head, &rows)
}

fn known(distribution: &Distribution, ms: f64) -> String {
    if distribution.count > 0 {
        figures::milliseconds(ms)
    } else {
        figures::NONE.to_owned()
    }
}

/// What became of the processes, then the probes.
pub(super) fn processes(variants: &[VariantRecord]) -> Markup {
    type Count = (&'static str, fn(&HostRecord) -> u64);
    const COUNTS: [Count; 9] = [
        ("processes started", |h| h.started),
        ("of these, in place of another", |h| h.restarts),
        ("told to end in good order", |h| h.terminated),
        ("told to end, because a liveness probe failed", |h| h.failed_liveness),
        ("ended without a word", |h| h.killed),
        ("ejected by the load balancer", |h| h.ejected),
        ("admitted again", |h| h.admitted),
        ("most replicas ready at once", |h| h.most_ready),
        ("fewest replicas ready at once", |h| h.least_ready),
    ];
    let mut rows: Vec<_> = COUNTS
        .iter()
        .map(|(name, of)| {
            let cells = variants.iter().map(|v| figures::grouped(of(&v.hosts))).collect();
            ((*name).to_owned(), cells)
        })
        .collect();
    let bill = variants
        .iter()
        .map(|v| figures::number(v.hosts.replica_seconds))
        .collect();
    rows.push(("seconds of replicas paid for".to_owned(), bill));
    html! {
        (by_variant("Processes", variants, &rows))
        @if variants.iter().any(|v| v.probes.liveness.took.count + v.probes.readiness.took.count > 0) {
            h3 { "Questions after their health" }
            (probes(variants))
        }
    }
}

fn probes(variants: &[VariantRecord]) -> Markup {
    let head = strings(&["variant", "probe", "asked", "failed", "p50", "p99", "max"]);
    let mut rows = Vec::new();
    for variant in variants {
        let of = [
            ("liveness", &variant.probes.liveness),
            ("readiness", &variant.probes.readiness),
        ];
        for (name, ProbeRecord { failed, took }) in of.into_iter().filter(|(_, probe)| probe.took.count > 0) {
            let mut row = vec![text(&variant.name), text(name)];
            row.extend([took.count, *failed].map(|n| text(figures::grouped(n))));
            row.extend([took.p50_ms, took.p99_ms, took.max_ms].map(|ms| text(figures::milliseconds(ms))));
            rows.push(row);
        }
    }
    table("Probes", &head, &rows)
}
