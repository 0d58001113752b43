//! What was seen of one variant becomes its record.
//!
//! Puts the parts together and decides which requests each part is about; the parts know how. It judges no
//! expectation.

use std::collections::BTreeMap;

use brownout_scenario::observe::{HostRow, LedgerRow, ProbeRow, RequestObservation, SpanRow};
use brownout_scenario::plan::{Endpoint, Plan, Variant};
use brownout_scenario::schedule::due_times;
use brownout_scenario::units::{Micros, Picodollars};

use crate::hosts::{self, Hosts};
use crate::join::{Join, Joined, join, measured};
use crate::phases::Windows;
use crate::prices::Prices;
use crate::record::{PhaseRecord, VariantRecord};
use crate::{attribution, books, clients, counts, latencies, phases, timeline, tokens};

/// All that was seen while a variant was played.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// What became of each request, by its client.
    pub requests: Vec<RequestObservation>,
    /// The ledgers of all providers.
    pub ledger: Vec<LedgerRow>,
    /// Spans from inside the service.
    pub spans: Vec<SpanRow>,
    /// Which engine served each provider, and why.
    pub engines: BTreeMap<String, String>,
    /// What happened to the target's processes, in the order of time.
    pub hosts: Vec<HostRow>,
    /// Questions after their health, in the order of time.
    pub probes: Vec<ProbeRow>,
    /// When the run was interrupted, if it was: what had fallen due by then counts.
    pub interrupted_at: Option<Micros>,
}

/// The record of `variant` of `plan`.
///
/// Figures are about requests due after the warm-up (and before an interruption) and the attempts at their prompts; the bill
/// is also about what nobody asked for, the books are about everything.
pub fn measure(variant: &Variant, plan: &Plan, observations: &Observations) -> VariantRecord {
    let endpoint = variant.load.endpoint;
    let end = observations
        .interrupted_at
        .map_or(plan.duration, |at| at.min(plan.duration));
    let all = join(&observations.requests, &observations.ledger, &variant.load);
    let subset = measured(&all, plan.warmup, end);
    let prices = Prices::of(&variant.providers);
    let requests = counts::requests(&subset);
    let cost = tokens::cost(&subset, &prices);
    let unasked = tokens::unasked(&all.strangers, end);
    let billed = cost.billed + unasked.picodollars;
    let duration_s = end.since(plan.warmup).as_secs_f64();
    let attribution_us = attribution::attribute(&subset, &observations.spans, endpoint);
    let windows = windows(variant, plan.warmup, end);
    let hosts = Hosts::of(&observations.hosts);
    let recovery = windows.and_then(|windows| phases::recovery(&subset, windows, endpoint));
    VariantRecord {
        name: variant.name.clone(),
        design: variant.service.design.clone(),
        endpoint: endpoint_name(endpoint).to_owned(),
        duration_s,
        throughput_rps: throughput(&all, plan.warmup, end, |joined| joined.latency().is_some()),
        goodput_rps: throughput(&all, plan.warmup, end, Joined::is_valid),
        requests,
        errors: counts::errors(&subset),
        status: counts::statuses(&subset),
        latency: latencies::latency(&subset),
        ack: latencies::ack(&subset),
        service_time: latencies::service_time(&subset),
        failure_time: latencies::failure_time(&subset),
        ttft: latencies::ttft(&subset, endpoint),
        inter_token: latencies::inter_token(&subset),
        lateness: latencies::lateness(&subset),
        cancel_lag: latencies::cancel_lag(&subset),
        tokens: tokens::tokens(&subset),
        cost_usd: Picodollars(billed).as_usd(),
        cost_picodollars: billed,
        unasked,
        wasted_picodollars: cost.wasted,
        attempts: tokens::attempts(&subset, requests.sent),
        attribution: attribution::shares(&attribution_us),
        culprit: attribution::culprit(&attribution_us),
        attribution_us,
        phases: all_phases(variant, &subset, &hosts, (plan.warmup, end)),
        recovery_s: recovery.map(Micros::as_secs_f64),
        timeline: timeline::timeline(&subset, plan.warmup, end),
        clients: clients::clients(&subset, &variant.load),
        hosts: hosts.whole(plan.warmup, end),
        probes: hosts::probes(&observations.probes, plan.warmup, end),
        replicas: hosts.timeline(plan.warmup, end),
        books: books::balance(
            &all,
            &prices,
            planned(variant, plan, observations),
            overhead(&all, &subset),
        ),
        fault_window_s: windows.map(|windows| (windows.fault.0.as_secs_f64(), windows.fault.1.as_secs_f64())),
        engines: observations.engines.clone(),
    }
}

/// What is before, during and after a fault, then the steps of the load.
fn all_phases(
    variant: &Variant,
    subset: &[&Joined],
    hosts: &Hosts,
    (start, end): (Micros, Micros),
) -> Vec<PhaseRecord> {
    let endpoint = variant.load.endpoint;
    let mut phases = windows(variant, start, end)
        .map(|windows| phases::phases(subset, windows, endpoint))
        .unwrap_or_default();
    phases.extend(phases::steps(subset, &variant.load.steps(end), (start, end), endpoint));
    for phase in &mut phases {
        let at = |s: f64| Micros((s * 1e6).round() as u64);
        phase.hosts = hosts.between(at(phase.from_s), at(phase.until_s));
    }
    phases
}

/// How many requests the schedule has: not known for users who wait for their answers, nor after an interruption.
fn planned(variant: &Variant, plan: &Plan, observations: &Observations) -> Option<u64> {
    if observations.interrupted_at.is_some() {
        return None;
    }
    due_times(plan, &variant.load).map(|due| due.len() as u64)
}

/// Tokens billed outside the figures: of the warm-up, and of prompts that no request carried.
fn overhead(all: &Join, subset: &[&Joined]) -> u64 {
    let requests: u64 = all.requests.iter().map(Joined::billed).sum();
    let figures: u64 = subset.iter().map(|joined| joined.billed()).sum();
    let strangers: u64 = all.strangers.iter().map(|row| row.billed).sum();
    requests - figures + strangers
}

/// Answers that count and arrived within the measured time, per second of it, whenever they had fallen due: at saturation
/// the first to arrive were asked for in the warm-up.
fn throughput<'a>(all: &Join<'a>, warmup: Micros, end: Micros, counts: impl Fn(&Joined<'a>) -> bool) -> f64 {
    let in_time = |joined: &&Joined<'a>| (warmup..=end).contains(&joined.request.ended) && counts(joined);
    let answers = all.requests.iter().filter(in_time).count() as f64;
    let seconds = end.since(warmup).as_secs_f64();
    if seconds > 0.0 { answers / seconds } else { 0.0 }
}

fn windows(variant: &Variant, start: Micros, end: Micros) -> Option<Windows> {
    let (from, until) = variant.fault_window()?;
    Some(Windows {
        start,
        end,
        fault: (from.min(end), until.min(end)),
    })
}

const fn endpoint_name(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Chat => "chat",
        Endpoint::Stream => "stream",
        Endpoint::Jobs => "jobs",
        Endpoint::Completions => "completions",
        Endpoint::CompletionsStream => "completions_stream",
        Endpoint::Embeddings => "embeddings",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::UnaskedRecord;
    use crate::testing::{observations, plan, row};

    #[test]
    fn the_warm_up_is_in_the_books_and_in_no_figure_but_what_nobody_asked_for_is_on_the_bill() {
        let plan = plan(&["only"], Vec::new());
        let mut seen = observations(200_000);
        seen.ledger.push(row(9_999, 0, 10, 4));
        let record = measure(&plan.variants[0], &plan, &seen);
        assert_eq!(
            (record.requests.due, record.latency.count, record.tokens.billed),
            (90, 90, 90 * 30)
        );
        assert_eq!(record.books.overhead, 10 * 30 + 4);
        assert!(record.books.balanced, "{:?}", record.books);
        assert_eq!(record.timeline.iter().map(|point| point.due).sum::<u64>(), 90);
        let nobodys = 10 * 150_000 + 4 * 600_000;
        assert_eq!(record.cost_picodollars, 90 * (10 * 150_000 + 30 * 600_000) + nobodys);
        let unasked = UnaskedRecord {
            attempts: 1,
            prompt: 10,
            billed: 4,
            picodollars: nobodys,
        };
        assert_eq!(record.unasked, unasked, "whenever it came ...");
        seen.ledger.push(row(9_998, 10_000_001, 10_000_010, 4));
        assert_eq!(
            measure(&plan.variants[0], &plan, &seen).unasked,
            unasked,
            "... but in the drain"
        );
    }

    #[test]
    fn an_answer_that_comes_in_the_drain_is_no_throughput() {
        let plan = plan(&["only"], Vec::new());
        let record = measure(&plan.variants[0], &plan, &observations(1_000_000));
        // Between 1 s and 10 s those arrive that fell due between 0 s and 9 s: 91 answers in 9 s.
        assert_eq!((record.requests.answered, record.throughput_rps), (90, 91.0 / 9.0));
    }

    #[test]
    fn an_interrupted_run_counts_what_had_fallen_due() {
        let plan = plan(&["only"], Vec::new());
        let mut seen = observations(1_000);
        seen.requests.truncate(51);
        seen.ledger.truncate(51);
        assert!(
            !measure(&plan.variants[0], &plan, &seen).books.balanced,
            "49 requests are missing"
        );
        seen.interrupted_at = Some(Micros::from_secs(5));
        let record = measure(&plan.variants[0], &plan, &seen);
        assert!(record.books.balanced, "{:?}", record.books);
        // The 41st was answered just after the interruption.
        let figures = (record.requests.due, record.duration_s, record.throughput_rps);
        assert_eq!(figures, (41, 4.0, 10.0));
    }
}
