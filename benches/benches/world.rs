//! How many streamed tokens does the virtual world play in a second of CPU, from the plan to the record?
//!
//! Three hops (client, reference service, provider), telemetry and measuring included; one variant, so one thread.

mod common;
mod plans;

use std::path::PathBuf;
use std::sync::Arc;

use brownout::mount::ReferenceService;
use brownout_measure::record::{ClockKind, RunRecord};
use brownout_scenario::Plan;
use brownout_world::Options;
use brownout_world::run::{Events, run};
use criterion::{Criterion, SamplingMode, Throughput};
use tokio_util::sync::CancellationToken;

/// Ten answers of `tokens` tokens a second, for `seconds`.
fn scenario(endpoint: &str, seconds: u64, tokens: u64) -> Plan {
    plans::plan(&format!(
        r#"
question = "What does a token cost?"
seed = 7
duration = "{seconds}s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = {{ kind = "lognormal", p50 = "350ms", p99 = "900ms" }}
inter_token = {{ kind = "lognormal", p50 = "12ms", p99 = "25ms" }}
output_tokens = {tokens}

[load]
arrivals = {{ kind = "constant", rate = "10/s" }}
endpoint = "{endpoint}"

[[variant]]
name = "only"
service = {{ preset = "resilient", design = "coupled" }}
"#
    ))
}

fn main() {
    let mut criterion = common::criterion();
    streamed(&mut criterion);
    unary(&mut criterion);
    criterion.final_summary();
}

fn streamed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("world, streamed");
    group.sampling_mode(SamplingMode::Flat);
    for (name, seconds, tokens) in [
        ("100 answers of 200 tokens", 10, 200),
        ("100 answers of 1,000 tokens", 10, 1_000),
        ("500 answers of 200 tokens", 50, 200),
    ] {
        let plan = scenario("stream", seconds, tokens);
        let all = seconds * 10 * tokens;
        assert_eq!(played(&plan).results.variants[0].tokens.delivered, all);
        group.throughput(Throughput::Elements(all));
        group.bench_function(name, |b| b.iter(|| played(&plan)));
    }
    group.finish();
}

fn unary(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("world, unary");
    group.sampling_mode(SamplingMode::Flat);
    let plan = scenario("chat", 50, 200);
    group.throughput(Throughput::Elements(500));
    group.bench_function("500 answers of 200 tokens", |b| b.iter(|| played(&plan)));
    group.finish();
}

/// Plays `plan` whole; every book must balance.
fn played(plan: &Plan) -> RunRecord {
    let options = Options {
        clock: ClockKind::Virtual,
        brownout: brownout::VERSION.to_owned(),
        engine: brownout::ENGINE.to_owned(),
        command: String::new(),
        started: String::new(),
        scratch: PathBuf::new(),
        stop: CancellationToken::new(),
    };
    let nobody: Events = Arc::new(|_| {});
    let record = run(plan, &Arc::new(ReferenceService), &options, &nobody)
        .expect("the world stands")
        .record;
    let variant = &record.results.variants[0];
    assert!(
        variant.books.balanced && variant.requests.answered == variant.requests.due,
        "an answer went wrong"
    );
    record
}
