//! How many requests can the load generator send and account for in a second of CPU?
//!
//! The target answers by itself, over the in-memory network on a paused clock, so nearly all of the time is the
//! dispatcher's, its clients' and hyper's.

mod common;
mod plans;

use std::convert::Infallible;
use std::time::Duration;

use brownout_load::{Audience, play};
use brownout_net::{Network, RunClock, serve};
use brownout_scenario::Plan;
use brownout_scenario::observe::Outcome;
use brownout_scenario::schedule::{due_times, planned};
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

const REQUESTS: u64 = 2_000;

/// 1,000 requests a second, for 2 s.
const SCENARIO: &str = r#"
question = "What does a request cost?"
duration = "2s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "1ms"

[load]
arrivals = { kind = "constant", rate = "1000/s" }

[[variant]]
name = "only"
"#;

fn main() {
    let mut criterion = common::criterion();
    schedule(&mut criterion);
    dispatcher(&mut criterion);
    criterion.final_summary();
}

fn schedule(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule 2,000 requests");
    group.throughput(Throughput::Elements(REQUESTS));
    let constant = plans::plan(SCENARIO);
    let poisson = plans::plan(&SCENARIO.replace("constant", "poisson"));
    group.bench_function("constant due times", |b| {
        b.iter(|| due_times(&constant, &constant.variants[0].load));
    });
    // About 2,000: the draws decide.
    group.bench_function("poisson due times", |b| {
        b.iter(|| due_times(&poisson, &poisson.variants[0].load));
    });
    group.bench_function("clients and prompts", |b| {
        b.iter(|| {
            (0..REQUESTS)
                .map(|index| planned(&constant, &constant.variants[0].load, index))
                .collect::<Vec<_>>()
        });
    });
    group.finish();
}

fn dispatcher(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("play 2,000 requests");
    group.throughput(Throughput::Elements(REQUESTS));
    let plan = plans::plan(SCENARIO);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    for (name, delay) in [
        ("at once", Duration::ZERO),
        ("after 1 s, 1,000 open", Duration::from_secs(1)),
    ] {
        let id = BenchmarkId::new("answered", name);
        group.bench_with_input(id, &delay, |b, delay| {
            b.iter(|| runtime.block_on(played(&plan, *delay)));
        });
    }
    group.finish();
}

/// Plays `plan` against a service that gives everybody the same answer after `delay`.
async fn played(plan: &Plan, delay: Duration) {
    let network = Network::memory();
    let listener = network.listen("service").expect("nobody else listens");
    let service = service_fn(move |_: Request<Incoming>| async move {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{\"content\":\"yes\"}"))))
    });
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, service, shutdown.clone(), Duration::ZERO));
    let audience = Audience {
        network,
        authority: "service".to_owned(),
        clock: RunClock::start(),
    };
    let seen = play(plan, &plan.variants[0].load, audience, CancellationToken::new(), |_| {}).await;
    assert_eq!(seen.len() as u64, REQUESTS);
    assert!(
        seen.iter().all(|request| request.outcome == Outcome::Answered),
        "a request was not answered"
    );
    shutdown.cancel();
    serving.await.expect("the service ends");
}
