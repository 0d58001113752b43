//! A realistic record for tests: two variants through a fault window, drawn request by request.
//!
//! Whole numbers only, so that the record is the same on every platform.

use std::collections::BTreeMap;

use brownout_measure::histogram::Histogram;
use brownout_measure::record::{
    AblationFigures, AblationRecord, AttemptRecord, Books, ClockKind, Distribution, Environment, ExpectationRecord,
    HostRecord, PhaseRecord, ProbeRecords, RequestCounts, Results, RunRecord, SCHEMA, TimelinePoint, TokenHistograms,
    TokenRecord, UnaskedRecord, VariantRecord, Verdict, WastedBy,
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
            "resilient: tokens.wasted_ratio at most 0.05",
            Some("resilient"),
            Some(wasted),
            Verdict::Passed,
            Some("A service that passes the hang-up on stops paying for answers nobody reads."),
        ),
        expectation(
            "naive: latency.p99_ms at most 2500",
            Some("naive"),
            Some(variants[0].latency.p99_ms),
            Verdict::Failed,
            None,
        ),
        expectation(
            "resilient / naive: ack.p99_ms at most 0.1 (no request was acknowledged)",
            None,
            None,
            Verdict::Inconclusive,
            None,
        ),
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
            answer:
                "The invoice does: naive pays for the rest of every answer its clients leave, resilient stops paying."
                    .to_owned(),
            ablation: Vec::new(),
        },
    }
}

/// The same, with two cures taken apart.
pub(crate) fn ablated() -> RunRecord {
    let mut run = record();
    let [base, full] = [0, 1].map(|n| brownout_measure::ablation::figures(&run.results.variants[n]));
    let changed = |end: AblationFigures, valid: u64, p99_ms: f64, usd: f64| AblationFigures {
        requests: RequestCounts {
            answered: valid,
            incomplete: 0,
            ..end.requests
        },
        p99_ms: Some(p99_ms),
        cost_per_valid_usd: end.cost_per_valid_usd.map(|cost| cost + usd),
        ..end
    };
    let row = |cure: &str, alone, without| AblationRecord {
        cure: cure.to_owned(),
        keys: vec![cure.to_owned()],
        base: "naive".to_owned(),
        full: "resilient".to_owned(),
        alone: Some(alone),
        without,
    };
    let (due, p99) = (base.requests.due, base.p99_ms.unwrap_or_default());
    run.results.ablation = vec![
        row("fallback", changed(base, base.requests.valid(), p99, 0.002), None),
        row(
            "retry",
            changed(base, due, p99 * 2.0, 0.0),
            Some(changed(full, due / 2, p99, -0.0001)),
        ),
    ];
    run
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
        variant.requests = RequestCounts {
            due: 1_440,
            sent: 1_440,
            answered: 1_440,
            ..RequestCounts::default()
        };
        variant.tokens.wasted = 0;
        variant.wasted_picodollars = 0;
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
        goodput_rps: 0.0,
        requests: RequestCounts::default(),
        errors: BTreeMap::new(),
        status: BTreeMap::new(),
        latency: Distribution::default(),
        ack: Distribution::default(),
        service_time: Distribution::default(),
        failure_time: Distribution::default(),
        ttft: Distribution::default(),
        inter_token: Distribution::default(),
        lateness: Distribution::default(),
        cancel_lag: Distribution::default(),
        tokens: TokenRecord::default(),
        cost_usd: 0.0,
        cost_picodollars: 0,
        unasked: UnaskedRecord::default(),
        wasted_picodollars: 0,
        attempts: AttemptRecord::default(),
        attribution: BTreeMap::new(),
        attribution_us: BTreeMap::new(),
        culprit: None,
        phases: Vec::new(),
        recovery_s: None,
        timeline: Vec::new(),
        clients: BTreeMap::new(),
        hosts: HostRecord::default(),
        probes: ProbeRecords::default(),
        replicas: Vec::new(),
        books: Books {
            balanced: true,
            joined: true,
            ..Books::default()
        },
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
    attribution_us: [
        ("provider", 21_000_000),
        ("wait.worker", 71_000_000),
        ("validate", 500_000),
        ("network", 900_000),
    ],
    culprit: "76 % of the p99 is waiting for a free worker (wait.worker)",
    recovery_s: 9.0,
};

const RESILIENT: Temper = Temper {
    fails_in_window: 25,
    slower_in_window: 1,
    tokens_wasted_on_abort: 40,
    retries_in_window: 400,
    attribution_us: [
        ("provider", 24_000_000),
        ("wait.backoff", 14_000_000),
        ("validate", 600_000),
        ("wait.rate_limit", 5_200_000),
    ],
    culprit: "55 % of the p99 is waiting for the model (provider)",
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

impl Stretch {
    fn add(&mut self, request: &Request) {
        self.requests.due += 1;
        self.requests.sent += 1;
        match request.end {
            End::Failed(class) => {
                self.requests.failed += 1;
                *self.errors.entry(class.to_owned()).or_default() += 1;
            }
            End::Aborted => self.requests.aborted += 1,
            End::Answered => {
                self.requests.answered += 1;
                self.latency.record(request.us);
                self.ttft.record(request.us / 3);
            }
        }
    }
}

/// One request, drawn.
struct Request {
    end: End,
    us: u64,
    retried: bool,
    used: u64,
    abandoned: u64,
    superseded: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Answered,
    Failed(&'static str),
    Aborted,
}

fn request(dice: &mut Dice, temper: &Temper, in_window: bool) -> Request {
    let fails = in_window && dice.below(1_000) < temper.fails_in_window;
    let leaves = !fails && dice.below(1_000) < 100;
    let retried = in_window && dice.below(1_000) < temper.retries_in_window;
    let slower = if in_window { temper.slower_in_window } else { 1 };
    let us = dice.latency() * slower + if retried { 900_000 } else { 0 };
    let read = if leaves { 20 + dice.below(130) } else { ANSWER_TOKENS };
    let (end, used) = match (fails, leaves) {
        (true, _) if dice.below(3) == 0 => (End::Failed("gateway_timeout_in_model"), 0),
        (true, _) => (End::Failed("rate_limited"), 0),
        (false, true) => (End::Aborted, read),
        (false, false) => (End::Answered, read),
    };
    let left = ANSWER_TOKENS - read;
    let abandoned = if fails {
        0
    } else {
        left * temper.tokens_wasted_on_abort / 1_000
    };
    let superseded = if retried && !fails { dice.below(60) } else { 0 };
    Request {
        end,
        us,
        retried,
        used,
        abandoned,
        superseded,
    }
}

/// Everything that is kept of a variant's requests.
#[derive(Default)]
struct Tally {
    all: Stretch,
    phases: [Stretch; 3],
    timeline: Vec<TimelinePoint>,
    billed: Histogram,
    delivered: Histogram,
    wasted: Histogram,
    wasted_by: WastedBy,
    used: u64,
    attempts: u64,
}

impl Tally {
    fn second(&mut self, second: u64, requests: &[Request]) {
        let phase = usize::from(second >= WINDOW.0) + usize::from(second >= WINDOW.1);
        let mut point = TimelinePoint {
            second,
            due: requests.len() as u64,
            ..TimelinePoint::default()
        };
        let mut latencies = Vec::new();
        for request in requests {
            self.all.add(request);
            self.phases[phase].add(request);
            let wasted = request.abandoned + request.superseded;
            self.billed.record(request.used + wasted);
            self.delivered.record(request.used);
            self.wasted.record(wasted);
            self.wasted_by.abandoned += request.abandoned;
            self.wasted_by.superseded += request.superseded;
            self.used += request.used;
            point.attempts += 1 + u64::from(request.retried);
            match request.end {
                End::Answered => latencies.push(request.us),
                End::Failed(_) => point.failed += 1,
                End::Aborted => point.aborted += 1,
            }
        }
        latencies.sort_unstable();
        point.answered = latencies.len() as u64;
        point.p50_us = latencies.get(latencies.len() / 2).copied().unwrap_or(0);
        point.max_us = latencies.last().copied().unwrap_or(0);
        self.attempts += point.attempts;
        self.timeline.push(point);
    }

    fn tokens(&self) -> TokenRecord {
        let wasted = self.wasted_by.abandoned + self.wasted_by.superseded;
        let billed = self.used + wasted;
        TokenRecord {
            billed,
            used: self.used,
            delivered: self.used,
            wasted,
            wasted_ratio: wasted as f64 / billed as f64,
            wasted_by: self.wasted_by,
            from_cache: 0,
            fan_out: 0,
            prompt: self.all.requests.sent * 120,
            histogram: TokenHistograms {
                billed: self.billed.tokens(),
                delivered: self.delivered.tokens(),
                wasted: self.wasted.tokens(),
            },
        }
    }

    fn attempts(&self) -> AttemptRecord {
        AttemptRecord {
            upstream: self.attempts,
            by_provider: BTreeMap::from([("primary".to_owned(), self.attempts)]),
            by_fault: BTreeMap::from([("primary/status#0".to_owned(), 34)]),
            amplification: self.attempts as f64 / self.all.requests.sent as f64,
            rate_limited: 31,
            distinct_prompts: self.all.requests.sent,
            per_prompt_max: 3,
        }
    }

    fn phases(&self) -> Vec<PhaseRecord> {
        let bounds = [
            ("before", 0, WINDOW.0),
            ("during", WINDOW.0, WINDOW.1),
            ("after", WINDOW.1, SECONDS),
        ];
        let phase = |(stretch, (name, from, until)): (&Stretch, (&str, u64, u64))| PhaseRecord {
            name: name.to_owned(),
            from_s: from as f64,
            until_s: until as f64,
            requests: stretch.requests,
            errors: stretch.errors.clone(),
            latency: stretch.latency.distribution(),
            ttft: stretch.ttft.distribution(),
            ..PhaseRecord::default()
        };
        self.phases.iter().zip(bounds).map(phase).collect()
    }
}

fn variant(name: &str, temper: &Temper) -> VariantRecord {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let mut tally = Tally::default();
    for second in 0..SECONDS {
        let in_window = (WINDOW.0..WINDOW.1).contains(&second);
        let due = PER_SECOND - 4 + dice.below(9);
        let requests: Vec<_> = (0..due).map(|_| request(&mut dice, temper, in_window)).collect();
        tally.second(second, &requests);
    }
    let (requests, tokens) = (tally.all.requests, tally.tokens());
    let cost = tokens.billed * 600_000 + tokens.prompt * 150_000;
    let slow: u64 = temper.attribution_us.iter().map(|(_, us)| us).sum();
    let failures = |class: &str| tally.all.errors.get(class).copied().unwrap_or(0);
    VariantRecord {
        throughput_rps: requests.answered as f64 / SECONDS as f64,
        goodput_rps: requests.answered as f64 / SECONDS as f64,
        requests,
        status: BTreeMap::from([
            ("200".to_owned(), requests.answered + requests.aborted),
            ("429".to_owned(), failures("rate_limited")),
            ("504".to_owned(), failures("gateway_timeout_in_model")),
        ]),
        errors: tally.all.errors.clone(),
        latency: tally.all.latency.distribution(),
        service_time: tally.all.latency.distribution(),
        ttft: tally.all.ttft.distribution(),
        inter_token: (0..900).map(|n| 9_000 + n * 31).collect::<Histogram>().distribution(),
        lateness: (0..1_440).map(|n| n % 40).collect::<Histogram>().distribution(),
        cancel_lag: (0..140).map(|n| 900 + n * 7).collect::<Histogram>().distribution(),
        cost_usd: cost as f64 / 1e12,
        cost_picodollars: cost,
        wasted_picodollars: tokens.wasted * 600_000,
        tokens,
        attempts: tally.attempts(),
        attribution: temper
            .attribution_us
            .iter()
            .map(|(phase, us)| ((*phase).to_owned(), *us as f64 / slow as f64))
            .collect(),
        attribution_us: temper
            .attribution_us
            .iter()
            .map(|(phase, us)| ((*phase).to_owned(), *us))
            .collect(),
        culprit: Some(temper.culprit.to_owned()),
        phases: tally.phases(),
        recovery_s: Some(temper.recovery_s),
        timeline: tally.timeline,
        books: Books {
            balanced: true,
            joined: true,
            discrepancies: Vec::new(),
            overhead: 400,
        },
        fault_window_s: Some((WINDOW.0 as f64, WINDOW.1 as f64)),
        engines: BTreeMap::from([("primary".to_owned(), "streaming: the plan needs paced SSE".to_owned())]),
        ..bare(name)
    }
}
