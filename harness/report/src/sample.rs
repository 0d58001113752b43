//! A realistic record for tests: two variants through a fault window, drawn request by request.
//!
//! Whole numbers only, so that the record is the same on every platform.

use std::collections::BTreeMap;

use brownout_measure::histogram::Histogram;
use brownout_measure::record::{
    AttemptRecord, Books, ClockKind, Distribution, Environment, ExpectationRecord, PhaseRecord, RequestCounts, Results,
    RunRecord, SCHEMA, TimelinePoint, TokenHistograms, TokenRecord, VariantRecord, Verdict, WastedBy,
};

const SECONDS: u64 = 60;
const PER_SECOND: u64 = 24;
const WINDOW: (u64, u64) = (20, 32);
const ANSWER_TOKENS: u64 = 200;

/// Two variants, one expectation that holds, one that does not, one that cannot be judged.
pub(crate) fn record() -> RunRecord {
    let variants = vec![variant("naive", &NAIVE), variant("resilient", &RESILIENT)];
    let wasted = variants[1].tokens.wasted_ratio;
    let expectation = |text: &str, variant: Option<&str>, value, verdict, because: Option<&str>| ExpectationRecord {
        text: text.to_owned(),
        variant: variant.map(str::to_owned),
        value,
        verdict,
        because: because.map(str::to_owned),
    };
    let expectations = vec![
        expectation(
            "tokens.wasted_ratio is at most 0.05",
            Some("resilient"),
            Some(wasted),
            Verdict::Passed,
            Some("A service that passes the hang-up on stops paying for answers nobody reads."),
        ),
        expectation("latency.p99_ms is at most 2500", Some("naive"), Some(variants[0].latency.p99_ms), Verdict::Failed, None),
        expectation("ack.p99_ms, resilient / naive, is at most 0.1", None, None, Verdict::Inconclusive, None),
    ];
    RunRecord {
        schema: SCHEMA.to_owned(),
        brownout: "0.1.0".to_owned(),
        scenario: "hang-ups".to_owned(),
        question: "Who pays for the tokens nobody reads?".to_owned(),
        claim: Some("Passing a client's hang-up on to the provider saves most of the wasted tokens.".to_owned()),
        clock: ClockKind::Virtual,
        seed: 7,
        engine: "9f2c1e5ab0774d21".to_owned(),
        plan_fingerprint: "5c1d0c9ad8e64a1fb9d1c2b54a2f9f0f6e3b7f3c2a190d8e7c6b5a4938271605".to_owned(),
        results_fingerprint: "e07b1f4427d94a5c8b1d3e9f6a5c4b3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b".to_owned(),
        command: "brownout run scenarios/hang-ups.toml --clock virtual --seed 7".to_owned(),
        interrupted: false,
        environment: Environment {
            platform: "linux x86_64".to_owned(),
            cpus: 2,
            wall_s: 3.4,
            notes: vec!["CPU time is not modelled; storage was replaced by memory.".to_owned()],
            ..Environment::default()
        },
        results: Results {
            variants,
            expectations,
            verdict: Verdict::Failed,
            answer: "The invoice does: naive pays for the rest of every answer its clients leave, resilient stops paying.".to_owned(),
        },
    }
}

/// A failed, a passed and an inconclusive run, the last with nothing in it.
pub(crate) fn suite() -> Vec<RunRecord> {
    let mut quiet = record();
    quiet.scenario = "quiet-day".to_owned();
    quiet.question = "What do users get on a day without faults?".to_owned();
    quiet.claim = None;
    quiet.results.answer = "An answer, in time.".to_owned();
    quiet.results.verdict = Verdict::Passed;
    quiet.results.expectations.truncate(1);
    for variant in &mut quiet.results.variants {
        variant.requests = RequestCounts { due: 1_440, sent: 1_440, answered: 1_440, ..RequestCounts::default() };
        variant.tokens.wasted = 0;
        variant.tokens.wasted_ratio = 0.0;
        variant.tokens.wasted_by = WastedBy::default();
    }
    vec![record(), quiet, empty()]
}

/// A run in which nothing happened.
pub(crate) fn empty() -> RunRecord {
    let mut record = record();
    record.scenario = "nothing".to_owned();
    record.question = "What is there to see when nothing happens?".to_owned();
    record.results.answer = "Nothing fell due.".to_owned();
    record.results.verdict = Verdict::Inconclusive;
    record.results.expectations.clear();
    record.results.variants = vec![bare("idle")];
    record
}

/// A variant without a single request.
pub(crate) fn bare(name: &str) -> VariantRecord {
    VariantRecord {
        name: name.to_owned(),
        design: "coupled".to_owned(),
        endpoint: "stream".to_owned(),
        duration_s: SECONDS as f64,
        throughput_rps: 0.0,
        requests: RequestCounts::default(),
        errors: BTreeMap::new(),
        status: BTreeMap::new(),
        latency: Distribution::default(),
        ack: Distribution::default(),
        service_time: Distribution::default(),
        ttft: Distribution::default(),
        inter_token: Distribution::default(),
        lateness: Distribution::default(),
        cancel_lag: Distribution::default(),
        tokens: TokenRecord::default(),
        cost_usd: 0.0,
        cost_picodollars: 0,
        wasted_picodollars: 0,
        attempts: AttemptRecord::default(),
        attribution: BTreeMap::new(),
        attribution_us: BTreeMap::new(),
        culprit: None,
        phases: Vec::new(),
        recovery_s: None,
        timeline: Vec::new(),
        books: Books { balanced: true, joined: true, ..Books::default() },
        fault_window_s: None,
        engines: BTreeMap::new(),
    }
}

/// How a variant behaves. Shares are of a thousand.
struct Temper {
    fails_in_window: u64,
    slower_in_window: u64,
    tokens_wasted_on_abort: u64,
    retries_in_window: u64,
    attribution_us: [(&'static str, u64); 4],
    culprit: &'static str,
    recovery_s: f64,
}

const NAIVE: Temper = Temper {
    fails_in_window: 380,
    slower_in_window: 3,
    tokens_wasted_on_abort: 1_000,
    retries_in_window: 0,
    attribution_us: [("provider", 21_000_000), ("wait.pool", 71_000_000), ("own", 500_000), ("network", 900_000)],
    culprit: "76 % of the time of the slowest 1 % went into waiting for a free worker.",
    recovery_s: 9.0,
};

const RESILIENT: Temper = Temper {
    fails_in_window: 25,
    slower_in_window: 1,
    tokens_wasted_on_abort: 40,
    retries_in_window: 400,
    attribution_us: [("provider", 24_000_000), ("backoff", 14_000_000), ("own", 600_000), ("wait.rate_limit", 5_200_000)],
    culprit: "55 % of the time of the slowest 1 % went into the provider.",
    recovery_s: 2.0,
};

/// Latency in microseconds at each tenth of the requests, and at the slowest.
const LATENCY: [u64; 11] = [
    410_000, 560_000, 640_000, 705_000, 770_000, 840_000, 930_000, 1_040_000, 1_190_000, 1_520_000, 3_400_000,
];

/// A xorshift generator: whole numbers, the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    fn latency(&mut self) -> u64 {
        let (tenth, within) = (self.below(10) as usize, self.below(1_000));
        LATENCY[tenth] + (LATENCY[tenth + 1] - LATENCY[tenth]) * within / 1_000
    }
}

/// What is kept of the requests of one stretch of the run.
#[derive(Default)]
struct Stretch {
    requests: RequestCounts,
    errors: BTreeMap<String, u64>,
    latency: Histogram,
    ttft: Histogram,
}

fn variant(name: &str, temper: &Temper) -> VariantRecord {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut all = Stretch::default();
    let mut phases: [Stretch; 3] = Default::default();
    let (mut billed, mut delivered, mut wasted) = (Histogram::new(), Histogram::new(), Histogram::new());
    let mut by = WastedBy::default();
    let (mut sums, mut retries) = ([0; 3], 0);
    let mut timeline = Vec::new();
    for second in 0..SECONDS {
        let mut point = TimelinePoint { second, ..TimelinePoint::default() };
        let mut latencies = Vec::new();
        let phase = usize::from(second >= WINDOW.0) + usize::from(second >= WINDOW.1);
        for _ in 0..PER_SECOND - 4 + dice.below(9) {
            let fails = phase == 1 && dice.below(1_000) < temper.fails_in_window;
            let leaves = !fails && dice.below(1_000) < 100;
            let retried = phase == 1 && dice.below(1_000) < temper.retries_in_window;
            let slower = if phase == 1 { temper.slower_in_window } else { 1 };
            let us = dice.latency() * slower + if retried { 900_000 } else { 0 };
            let read = if leaves { 20 + dice.below(130) } else { ANSWER_TOKENS };
            let (used, left) = if fails { (0, 0) } else { (read, (ANSWER_TOKENS - read) * temper.tokens_wasted_on_abort / 1_000) };
            let again = if retried && !fails { dice.below(60) } else { 0 };
            by.abandoned += left;
            by.superseded += again;
            for (histogram, sum, tokens) in [(&mut billed, 0, used + left + again), (&mut delivered, 1, used), (&mut wasted, 2, left + again)] {
                histogram.record(tokens);
                sums[sum] += tokens;
            }
            retries += u64::from(retried);
            point.due += 1;
            point.attempts += 1 + u64::from(retried);
            for stretch in [&mut all, &mut phases[phase]] {
                stretch.requests.due += 1;
                stretch.requests.sent += 1;
                stretch.requests.failed += u64::from(fails);
                stretch.requests.aborted += u64::from(leaves);
                stretch.requests.answered += u64::from(!fails && !leaves);
                if fails {
                    let class = if us % 3 == 0 { "gateway_timeout_in_model" } else { "rate_limited" };
                    *stretch.errors.entry(class.to_owned()).or_default() += 1;
                } else if !leaves {
                    stretch.latency.record(us);
                    stretch.ttft.record(us / 3);
                }
            }
            if !fails && !leaves {
                latencies.push(us);
            }
            point.failed += u64::from(fails);
            point.aborted += u64::from(leaves);
        }
        latencies.sort_unstable();
        point.answered = latencies.len() as u64;
        point.p50_us = latencies.get(latencies.len() / 2).copied().unwrap_or(0);
        point.max_us = latencies.last().copied().unwrap_or(0);
        timeline.push(point);
    }
    let window = (WINDOW.0 as f64, WINDOW.1 as f64);
    let bounds = [("before", 0.0, window.0), ("during", window.0, window.1), ("after", window.1, SECONDS as f64)];
    let phases = phases.into_iter().zip(bounds).map(|(stretch, (name, from_s, until_s))| PhaseRecord {
        name: name.to_owned(),
        from_s,
        until_s,
        requests: stretch.requests,
        errors: stretch.errors,
        latency: stretch.latency.distribution(),
        ttft: stretch.ttft.distribution(),
    });
    let cost = sums[0] * 600_000 + all.requests.sent * 120 * 150_000;
    let total: u64 = temper.attribution_us.iter().map(|(_, us)| us).sum();
    VariantRecord {
        throughput_rps: all.requests.answered as f64 / SECONDS as f64,
        requests: all.requests,
        status: BTreeMap::from([
            ("200".to_owned(), all.requests.answered + all.requests.aborted),
            ("429".to_owned(), all.errors.get("rate_limited").copied().unwrap_or(0)),
            ("504".to_owned(), all.errors.get("gateway_timeout_in_model").copied().unwrap_or(0)),
        ]),
        errors: all.errors,
        latency: all.latency.distribution(),
        service_time: all.latency.distribution(),
        ttft: all.ttft.distribution(),
        inter_token: (0..900).map(|n| 9_000 + n * 31).collect::<Histogram>().distribution(),
        lateness: (0..1_440).map(|n| n % 40).collect::<Histogram>().distribution(),
        cancel_lag: (0..140).map(|n| 900 + n * 7).collect::<Histogram>().distribution(),
        tokens: TokenRecord {
            billed: sums[0],
            used: sums[1],
            delivered: sums[1],
            wasted: sums[2],
            wasted_ratio: sums[2] as f64 / sums[0] as f64,
            wasted_by: by,
            prompt: all.requests.sent * 120,
            histogram: TokenHistograms { billed: billed.tokens(), delivered: delivered.tokens(), wasted: wasted.tokens() },
        },
        cost_usd: cost as f64 / 1e12,
        cost_picodollars: cost,
        wasted_picodollars: sums[2] * 600_000,
        attempts: AttemptRecord {
            upstream: all.requests.sent + retries,
            by_provider: BTreeMap::from([("primary".to_owned(), all.requests.sent + retries)]),
            amplification: (all.requests.sent + retries) as f64 / all.requests.sent as f64,
            rate_limited: 31,
        },
        attribution: temper.attribution_us.iter().map(|(phase, us)| ((*phase).to_owned(), *us as f64 / total as f64)).collect(),
        attribution_us: temper.attribution_us.iter().map(|(phase, us)| ((*phase).to_owned(), *us)).collect(),
        culprit: Some(temper.culprit.to_owned()),
        phases: phases.collect(),
        recovery_s: Some(temper.recovery_s),
        timeline,
        books: Books { balanced: true, joined: true, discrepancies: Vec::new(), overhead: 400 },
        fault_window_s: Some(window),
        engines: BTreeMap::from([("primary".to_owned(), "streaming: the plan needs paced SSE".to_owned())]),
        ..bare(name)
    }
}
