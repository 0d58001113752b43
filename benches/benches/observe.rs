//! What does it cost to turn what was seen into a record: per value, per gap, per histogram?

mod common;
mod plans;

use std::hint::black_box;

use brownout_measure::histogram::Histogram;
use brownout_measure::{Observations, measure};
use brownout_scenario::Plan;
use brownout_scenario::observe::{Delivered, Finish, LedgerRow, Outcome, RequestObservation, SpanRow, Usage};
use brownout_scenario::schedule::due_times;
use brownout_scenario::units::{Micros, Picodollars, PromptId};
use criterion::{Criterion, Throughput};

const REQUESTS: u64 = 1_000;
const GAPS: u64 = 100;
const TOKENS: u64 = GAPS + 1;
const PROMPT_TOKENS: u64 = 100;
const VALUES: u64 = 10_000;

const SCENARIO: &str = r#"
question = "What does measuring cost?"
duration = "100s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "350ms"
output_tokens = 101

[load]
arrivals = { kind = "constant", rate = "10/s" }
endpoint = "stream"

[[variant]]
name = "only"
"#;

fn main() {
    let mut criterion = common::criterion();
    histograms(&mut criterion);
    a_variant(&mut criterion);
    criterion.final_summary();
}

fn histograms(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("histogram");
    let times: Vec<u64> = (0..VALUES).map(scattered).collect();

    group.throughput(Throughput::Elements(VALUES));
    let mut histogram = Histogram::new();
    group.bench_function("record 10,000 values", |b| {
        b.iter(|| times.iter().for_each(|time| histogram.record(black_box(*time))));
    });

    group.throughput(Throughput::Elements(1));
    let one: Histogram = times.iter().copied().collect();
    let mut sum = one.clone();
    group.bench_function("merge two", |b| b.iter(|| sum.merge(black_box(&one))));
    group.bench_function("encode with percentiles", |b| b.iter(|| black_box(&one).distribution()));
    group.finish();
}

fn a_variant(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("variant");
    let plan = plans::plan(SCENARIO);
    let seen = observations(&plan);
    let variant = &plan.variants[0];
    let record = measure(variant, &plan, &seen);
    assert!(record.books.balanced, "{:?}", record.books);
    assert_eq!(record.inter_token.count, REQUESTS * GAPS);

    group.throughput(Throughput::Elements(REQUESTS * GAPS));
    group.bench_function("measure 1,000 requests of 100 gaps", |b| {
        b.iter(|| measure(variant, &plan, black_box(&seen)));
    });

    let bytes = serde_json::to_vec(&record).expect("a record is JSON").len();
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("write its record as JSON", |b| {
        b.iter(|| serde_json::to_vec(black_box(&record)));
    });
    group.finish();
}

/// What an honest world with a lively network would have seen.
fn observations(plan: &Plan) -> Observations {
    let price = &plan.variants[0].providers[0].models[0].price;
    let due = due_times(plan, &plan.variants[0].load).expect("an open schedule");
    assert_eq!(due.len() as u64, REQUESTS);
    let mut seen = Observations::default();
    for (index, due) in (0..).zip(due) {
        let prompt = PromptId(index + 1);
        let gaps: Vec<Micros> = (0..GAPS).map(|gap| Micros(scattered(index * GAPS + gap))).collect();
        let first = due.plus(Micros(350_000 + scattered(index)));
        let ended = gaps.iter().fold(first, |at, gap| at.plus(*gap));
        seen.requests.push(RequestObservation {
            index,
            prompt,
            client: 0,
            due,
            sent: Some(due),
            acknowledged: None,
            headers: Some(first),
            first_token: Some(first),
            ended,
            status: Some(200),
            outcome: Outcome::Answered,
            gaps,
            delivered: Delivered {
                tokens: TOKENS,
                ..Delivered::default()
            },
            reported: Some(Usage {
                prompt_tokens: PROMPT_TOKENS,
                completion_tokens: TOKENS,
            }),
            bytes: 40 * TOKENS,
        });
        seen.ledger.push(LedgerRow {
            provider: "primary".to_owned(),
            model: "gpt-4o-mini".to_owned(),
            prompt,
            attempt: 0,
            caller: Some(index),
            input: None,
            arrived: due,
            first_token: Some(first),
            ended,
            status: 200,
            prompt_tokens: PROMPT_TOKENS,
            cached_tokens: 0,
            cache_write_tokens: 0,
            generated: TOKENS,
            reasoning: 0,
            begun: 0,
            flushed: TOKENS,
            repeated: 0,
            billed: TOKENS,
            billed_prompt: PROMPT_TOKENS,
            price: Picodollars(PROMPT_TOKENS * price.prompt.0 + TOKENS * price.completion.0),
            fault: None,
            finish: Finish::Stop,
            hung_up: None,
        });
        let span = |name: &str, start, end| SpanRow {
            request: index,
            name: name.to_owned(),
            start,
            end,
        };
        let admitted = due.plus(Micros::from_millis(1));
        seen.spans.push(span("POST /chat/stream", due, ended));
        seen.spans.push(span("wait.pool", due, admitted));
        seen.spans.push(span("attempt", admitted, ended));
    }
    seen
}

/// A time between 5 and 25 ms that depends on `n` alone and looks like nothing in particular.
fn scattered(n: u64) -> u64 {
    5_000 + n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 20_000
}
