//! What does a token cost on the simulated provider's side of the wire, and what does reading it back cost?
//!
//! The encoder is private, so `encode` asks the public [`Script`], which reads the request, decides, books and writes
//! the whole body, and touches no network; `stream` is one paced answer of the streaming engine, over the in-memory
//! network to a client that drops what it reads.

mod common;

use std::hint::black_box;

use brownout_net::{Network, RunClock};
use brownout_provider::Provider;
use brownout_provider::engine::wiremock::Script;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use brownout_scenario::tracer::{self, Reader};
use brownout_scenario::units::PromptId;
use bytes::Bytes;
use criterion::{Criterion, Throughput};
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use wiremock::{Request, Respond};

const TOKENS: u64 = 1_000;
const PROMPT: PromptId = PromptId(17);

fn main() {
    let mut criterion = common::criterion();
    encode(&mut criterion);
    stream(&mut criterion);
    read(&mut criterion);
    criterion.final_summary();
}

/// A provider that answers with [`TOKENS`] tokens, with these gaps between them.
fn provider(gaps: &str) -> ProviderPlan {
    let text = format!(
        r#"
question = "What does a token cost?"
duration = "60s"
[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = "350ms"
inter_token = {gaps}
output_tokens = {TOKENS}
[load]
arrivals = {{ kind = "constant", rate = "1/s" }}
[[variant]]
name = "only"
"#
    );
    common::plan(&text).variants.remove(0).providers.remove(0)
}

const CONSTANT: &str = r#""12ms""#;
const LOGNORMAL: &str = r#"{ kind = "lognormal", p50 = "12ms", p99 = "25ms" }"#;

fn chat(stream: bool) -> String {
    let content = tracer::prompt_text(PROMPT, 100);
    let message = serde_json::json!({ "role": "user", "content": content });
    serde_json::json!({ "model": "gpt-4o-mini", "messages": [message], "stream": stream }).to_string()
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode 1,000 tokens");
    group.throughput(Throughput::Elements(TOKENS));
    for (name, stream, gaps) in [
        ("unary", false, CONSTANT),
        ("unary, gaps drawn", false, LOGNORMAL),
        ("stream", true, CONSTANT),
        ("stream, gaps drawn", true, LOGNORMAL),
    ] {
        let request = Request {
            url: "http://provider/v1/chat/completions".parse().expect("a URL"),
            method: Method::POST,
            headers: HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer any"))]),
            body: chat(stream).into_bytes(),
        };
        let script = Script::new(provider(gaps), SeedTree::new(7), RunClock::start()).expect("a plain plan");
        group.bench_function(name, |b| b.iter(|| script.respond(black_box(&request))));
        let rows = script.ledger().rows();
        assert!(
            rows.iter().all(|row| row.status == 200 && row.billed == TOKENS),
            "an answer went wrong"
        );
    }
    group.finish();
}

fn stream(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream 1,000 tokens");
    group.throughput(Throughput::Elements(TOKENS));
    let runtime = paused();
    for (name, gaps) in [
        ("a token to a write", CONSTANT),
        ("twenty tokens to a write", r#""50us""#),
    ] {
        let network = Network::memory();
        let shutdown = CancellationToken::new();
        let provider = runtime.block_on(async {
            let listener = network.listen("provider").await.expect("nobody else listens");
            Provider::start_streaming(provider(gaps), SeedTree::new(7), RunClock::start(), listener, &shutdown)
        });
        group.bench_function(name, |b| b.iter(|| runtime.block_on(exchange(&network))));
        let rows = provider.ledger.rows();
        assert!(
            rows.iter().all(|row| row.status == 200 && row.flushed == TOKENS),
            "an answer went wrong"
        );
    }
    group.finish();
}

fn paused() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
}

/// One connection, one streamed answer; the number of its bytes.
async fn exchange(network: &Network) -> usize {
    let stream = network.connect("provider").await.expect("the provider listens");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("it speaks HTTP");
    let driver = tokio::spawn(connection);
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "provider")
        .header("authorization", "Bearer any")
        .body(Full::new(Bytes::from(chat(true))))
        .expect("a request");
    let mut body = sender.send_request(request).await.expect("an answer").into_body();
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.expect("a whole answer").data_ref().map_or(0, Bytes::len);
    }
    driver.abort();
    bytes
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read 1,000 words of tracer text");
    group.throughput(Throughput::Elements(TOKENS));
    let whole = tracer::answer_text(PROMPT, TOKENS);
    group.bench_function("at once", |b| b.iter(|| counted([black_box(whole.as_str())])));
    let words: Vec<&str> = whole.split_inclusive(' ').collect();
    group.bench_function("word by word", |b| {
        b.iter(|| counted(black_box(&words).iter().copied()));
    });
    group.finish();
}

fn counted<'a>(pieces: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut reader = Reader::new(PROMPT);
    for piece in pieces {
        reader.push(piece);
        black_box(reader.words());
    }
    reader.finish().tokens
}
