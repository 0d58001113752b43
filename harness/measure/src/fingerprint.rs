//! The fingerprint of results: SHA-256 over their integers.
//!
//! Floats are derived from these and stay out, and so does where and when a run was played. A change to what is in
//! here changes every fingerprint and needs new baselines.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use sha2::Digest;

use crate::record::{
    ClientRecord, Distribution, HostRecord, ProbeRecord, ReplicaPoint, RequestCounts, TimelinePoint, VariantRecord,
    WastedBy,
};

/// All integers of a variant. Histograms are in it as their V2 bytes, which hold whole numbers only.
#[derive(Serialize)]
struct Integers<'a> {
    name: &'a str,
    requests: Requests,
    errors: &'a BTreeMap<String, u64>,
    status: &'a BTreeMap<String, u64>,
    histograms: Vec<&'a str>,
    tokens: [u64; 5],
    wasted_by: WastedBy,
    picodollars: [u64; 2],
    attempts: (u64, u64, &'a BTreeMap<String, u64>, &'a BTreeMap<String, u64>),
    attribution_us: &'a BTreeMap<String, u64>,
    phases: Vec<Phase<'a>>,
    timeline: &'a [TimelinePoint],
    books: (bool, bool, u64, u64),
    #[serde(skip_serializing_if = "Vec::is_empty")]
    clients: Vec<Client<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<Hosts<'a>>,
    /// Tokens from caches, tokens by fan-out, different prompts, most attempts at one.
    #[serde(skip_serializing_if = "Option::is_none")]
    shared: Option<[u64; 4]>,
}

/// What a record did not always have is in the fingerprint only where there is any of it.
#[derive(Serialize)]
struct Requests {
    due: u64,
    sent: u64,
    answered: u64,
    failed: u64,
    aborted: u64,
    not_sent: u64,
    #[serde(skip_serializing_if = "is_zero")]
    incomplete: u64,
    #[serde(skip_serializing_if = "is_zero")]
    withheld: u64,
    #[serde(skip_serializing_if = "is_zero")]
    wrong: u64,
    #[serde(skip_serializing_if = "is_zero")]
    from_cache: u64,
    #[serde(skip_serializing_if = "is_zero")]
    coalesced: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Requests {
    const fn of(counts: RequestCounts) -> Self {
        Self {
            due: counts.due,
            sent: counts.sent,
            answered: counts.answered,
            failed: counts.failed,
            aborted: counts.aborted,
            not_sent: counts.not_sent,
            incomplete: counts.incomplete,
            withheld: counts.withheld,
            wrong: counts.wrong,
            from_cache: counts.from_cache,
            coalesced: counts.coalesced,
        }
    }
}

#[derive(Serialize)]
struct Client<'a> {
    name: &'a str,
    requests: Requests,
    errors: &'a BTreeMap<String, u64>,
    histograms: [&'a str; 2],
}

impl<'a> Client<'a> {
    fn of((name, client): (&'a String, &'a ClientRecord)) -> Self {
        Self {
            name,
            requests: Requests::of(client.requests),
            errors: &client.errors,
            histograms: [&client.latency.hdr, &client.ttft.hdr],
        }
    }
}

#[derive(Serialize)]
struct Hosts<'a> {
    counts: [u64; 9],
    replica_us: u64,
    probes: [(u64, &'a str); 2],
    replicas: &'a [ReplicaPoint],
}

impl<'a> Hosts<'a> {
    /// `None` where nothing happened to the processes, and nobody asked after them.
    fn of(variant: &'a VariantRecord) -> Option<Self> {
        let probe = |probe: &'a ProbeRecord| (probe.failed, probe.took.hdr.as_str());
        let (counts, replica_us) = host_integers(&variant.hosts);
        let probes = [probe(&variant.probes.liveness), probe(&variant.probes.readiness)];
        let asked = probes.iter().any(|(_, hdr)| !hdr.is_empty());
        (asked || variant.hosts.is_eventful()).then_some(Self {
            counts,
            replica_us,
            probes,
            replicas: &variant.replicas,
        })
    }
}

fn host_integers(hosts: &HostRecord) -> ([u64; 9], u64) {
    let counts = [
        hosts.started,
        hosts.restarts,
        hosts.terminated,
        hosts.killed,
        hosts.failed_liveness,
        hosts.ejected,
        hosts.admitted,
        hosts.most_ready,
        hosts.least_ready,
    ];
    // Seconds came from whole microseconds, so these are the same again.
    (counts, (hosts.replica_seconds * 1e6).round() as u64)
}

#[derive(Serialize)]
struct Phase<'a> {
    name: &'a str,
    requests: Requests,
    errors: &'a BTreeMap<String, u64>,
    histograms: [&'a str; 3],
}

/// The distributions of a variant, with their keys in the record.
pub(crate) fn distributions(variant: &VariantRecord) -> [(&'static str, &Distribution); 8] {
    [
        ("latency", &variant.latency),
        ("ack", &variant.ack),
        ("service_time", &variant.service_time),
        ("failure_time", &variant.failure_time),
        ("ttft", &variant.ttft),
        ("inter_token", &variant.inter_token),
        ("lateness", &variant.lateness),
        ("cancel_lag", &variant.cancel_lag),
    ]
}

impl<'a> Integers<'a> {
    fn of(variant: &'a VariantRecord) -> Self {
        let (tokens, per_request) = (&variant.tokens, &variant.tokens.histogram);
        let times = distributions(variant).map(|(_, distribution)| distribution.hdr.as_str());
        let counts = [&per_request.billed, &per_request.delivered, &per_request.wasted];
        let attempts = &variant.attempts;
        let books = &variant.books;
        Self {
            name: &variant.name,
            requests: Requests::of(variant.requests),
            errors: &variant.errors,
            status: &variant.status,
            histograms: times
                .into_iter()
                .chain(counts.map(|tokens| tokens.hdr.as_str()))
                .collect(),
            tokens: [
                tokens.billed,
                tokens.used,
                tokens.delivered,
                tokens.wasted,
                tokens.prompt,
            ],
            wasted_by: tokens.wasted_by,
            picodollars: [variant.cost_picodollars, variant.wasted_picodollars],
            attempts: (
                attempts.upstream,
                attempts.rate_limited,
                &attempts.by_provider,
                &attempts.by_fault,
            ),
            attribution_us: &variant.attribution_us,
            phases: variant.phases.iter().map(Phase::of).collect(),
            timeline: &variant.timeline,
            books: (
                books.balanced,
                books.joined,
                books.discrepancies.len() as u64,
                books.overhead,
            ),
            clients: variant.clients.iter().map(Client::of).collect(),
            hosts: Hosts::of(variant),
            shared: (tokens.from_cache + tokens.fan_out > 0).then_some([
                tokens.from_cache,
                tokens.fan_out,
                attempts.distinct_prompts,
                attempts.per_prompt_max,
            ]),
        }
    }
}

impl<'a> Phase<'a> {
    fn of(phase: &'a crate::record::PhaseRecord) -> Self {
        Self {
            name: &phase.name,
            requests: Requests::of(phase.requests),
            errors: &phase.errors,
            histograms: [&phase.latency.hdr, &phase.ttft.hdr, &phase.failure_time.hdr],
        }
    }
}

/// The fingerprint of all variants, in hex.
pub(crate) fn results_fingerprint(variants: &[VariantRecord]) -> String {
    let integers: Vec<_> = variants.iter().map(Integers::of).collect();
    let bytes = serde_json::to_vec(&integers).expect("text keys and whole numbers always serialise");
    sha2::Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::variant_record;

    fn has_float(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Number(number) => number.is_f64(),
            serde_json::Value::Array(parts) => parts.iter().any(has_float),
            serde_json::Value::Object(parts) => parts.values().any(has_float),
            _ => false,
        }
    }

    #[test]
    fn a_fingerprint_follows_the_integers_and_nothing_else() {
        let record = variant_record("held", 200_000);
        let print = results_fingerprint(std::slice::from_ref(&record));
        assert_eq!(print.len(), 64);
        let same = VariantRecord {
            throughput_rps: 99.0,
            culprit: Some("nobody".into()),
            ..record.clone()
        };
        assert_eq!(results_fingerprint(&[same]), print);
        let other = variant_record("held", 200_300);
        assert_ne!(
            results_fingerprint(&[other]),
            print,
            "300 us is more than the histogram forgives"
        );
        let mut one_second = record;
        one_second.timeline[3].attempts += 1;
        assert_ne!(results_fingerprint(&[one_second]), print);
    }

    #[test]
    fn what_happened_to_processes_and_kinds_of_clients_is_in_it_where_there_is_any() {
        let record = variant_record("held", 200_000);
        let print = results_fingerprint(std::slice::from_ref(&record));
        let text = serde_json::to_string(&Integers::of(&record)).expect("serialises");
        for later in [
            "incomplete",
            "withheld",
            "wrong",
            "coalesced",
            "clients",
            "hosts",
            "shared",
        ] {
            assert!(
                !text.contains(later),
                "{later}: baselines from before it was known must stay valid"
            );
        }
        let mut changed = [record.clone(), record.clone(), record.clone()];
        changed[0].requests.incomplete = 1;
        changed[1].clients.insert("noisy".to_owned(), ClientRecord::default());
        (changed[2].hosts.started, changed[2].hosts.restarts) = (2, 1);
        for record in changed {
            assert_ne!(results_fingerprint(&[record]), print);
        }
    }

    #[test]
    fn there_is_no_float_in_it() {
        let mut record = variant_record("held", 200_000);
        (record.hosts.started, record.hosts.replica_seconds) = (2, 9.5);
        let text = serde_json::to_string(&Integers::of(&record)).expect("serialises");
        let value: serde_json::Value = serde_json::from_str(&text).expect("reads back");
        assert!(!has_float(&value));
    }
}
