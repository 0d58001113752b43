//! What does a token cost on the simulated provider's side of the wire, and what does reading it back cost?
//!
//! The encoder is private, so `encode` asks the public [`Script`], which reads the request, decides, books and writes
//! the whole body, and touches no network; `count` asks it for a single token, so that reading the prompt is what takes
//! the time; `stream` is one paced answer of the streaming engine, over the in-memory network to a client that drops what
//! it reads.

mod common;

use std::hint::black_box;

use brownout_net::{Network, RunClock};
use brownout_provider::Provider;
use brownout_provider::engine::wiremock::Script;
use brownout_scenario::Providers;
use brownout_scenario::plan::{Dialect, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use brownout_scenario::tracer::{self, Reader};
use brownout_scenario::units::PromptId;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
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
    count(&mut criterion);
    stream(&mut criterion);
    read(&mut criterion);
    criterion.final_summary();
}

/// A provider that answers with so many tokens, with these gaps between them.
fn provider(dialect: Dialect, gaps: &str, tokens: u64) -> ProviderPlan {
    let text = format!(
        r#"
[[provider]]
name = "primary"
dialect = "{}"
model = "{}"
first_token = "350ms"
inter_token = {gaps}
output_tokens = {tokens}
"#,
        dialect.name(),
        model(dialect)
    );
    let mut file = Providers::parse("bench.toml", &text).expect("the provider of this benchmark is valid");
    file.providers.remove(0)
}

/// A model that the price table knows.
fn model(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAi => "gpt-4o-mini",
        Dialect::Anthropic => "claude-haiku-4-5",
        Dialect::Gemini => "gemini-2.5-flash",
        Dialect::Ollama => "llama3.2",
    }
}

const CONSTANT: &str = r#""12ms""#;
const LOGNORMAL: &str = r#"{ kind = "lognormal", p50 = "12ms", p99 = "25ms" }"#;

/// The body of a chat request for [`TOKENS`] tokens at least. Gemini's says elsewhere whether it streams.
fn chat(dialect: Dialect, stream: bool, content: &str) -> String {
    let model = model(dialect);
    let messages = serde_json::json!([{ "role": "user", "content": content }]);
    let body = match dialect {
        Dialect::OpenAi | Dialect::Ollama => {
            serde_json::json!({ "model": model, "stream": stream, "messages": messages })
        }
        Dialect::Anthropic => {
            serde_json::json!({ "model": model, "stream": stream, "max_tokens": 4_096, "messages": messages })
        }
        Dialect::Gemini => serde_json::json!({ "contents": [{ "role": "user", "parts": [{ "text": content }] }] }),
    };
    body.to_string()
}

/// A chat request as wiremock hands it over.
fn request(dialect: Dialect, stream: bool, content: &str) -> Request {
    let path = match (dialect, stream) {
        (Dialect::OpenAi, _) => "/v1/chat/completions".to_owned(),
        (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
        (Dialect::Gemini, false) => format!("/v1beta/models/{}:generateContent", model(dialect)),
        (Dialect::Gemini, true) => format!("/v1beta/models/{}:streamGenerateContent?alt=sse", model(dialect)),
        (Dialect::Ollama, _) => "/api/chat".to_owned(),
    };
    let headers = [
        ("authorization", "Bearer any"),
        ("x-api-key", "any"),
        ("x-goog-api-key", "any"),
        ("anthropic-version", "2023-06-01"),
        ("content-type", "application/json"),
    ];
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Request {
        url: format!("http://provider{path}").parse().expect("a URL"),
        method: Method::POST,
        headers: HeaderMap::from_iter(headers.map(header)),
        body: chat(dialect, stream, content).into_bytes(),
    }
}

fn script(plan: ProviderPlan) -> Script {
    Script::new(plan, SeedTree::new(7), RunClock::start()).expect("a plain plan")
}

fn assert_billed(script: &Script, tokens: u64) {
    let rows = script.ledger().rows();
    assert!(
        rows.iter().all(|row| row.status == 200 && row.billed == tokens),
        "an answer went wrong"
    );
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode 1,000 tokens");
    group.throughput(Throughput::Elements(TOKENS));
    let content = tracer::prompt_text(PROMPT, 100);
    for (dialect, gaps, drawn) in [
        (Dialect::OpenAi, CONSTANT, ""),
        (Dialect::OpenAi, LOGNORMAL, ", gaps drawn"),
        (Dialect::Anthropic, CONSTANT, ""),
        (Dialect::Gemini, CONSTANT, ""),
        (Dialect::Ollama, CONSTANT, ""),
    ] {
        for (way, stream) in [("unary", false), ("stream", true)] {
            let request = request(dialect, stream, &content);
            let script = script(provider(dialect, gaps, TOKENS));
            let name = format!("{}, {way}{drawn}", dialect.name());
            group.bench_function(name, |b| b.iter(|| script.respond(black_box(&request))));
            assert_billed(&script, TOKENS);
        }
    }
    group.finish();
}

/// Reading a prompt of 1,000 tokens, or about as many, and answering with one.
fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("count a prompt of 1,000 tokens");
    group.throughput(Throughput::Elements(TOKENS));
    let mut number = 0;
    let mut next = || {
        number += 1;
        number
    };
    let script = script(provider(Dialect::OpenAi, CONSTANT, 1));
    let traced = || tracer::prompt_text(PROMPT, TOKENS);
    // The same words, but no tracer text: it begins otherwise.
    let mut free = || format!("Question {}: {}", next(), traced());
    let known = free();
    let mut content: [(&str, &mut dyn FnMut() -> String); 3] = [
        ("tracer text", &mut || traced()),
        ("free text, never seen before", &mut free),
        ("free text, seen lately", &mut || known.clone()),
    ];
    for (name, content) in &mut content {
        group.bench_function(*name, |b| {
            b.iter_batched(
                || request(Dialect::OpenAi, false, &content()),
                |request| script.respond(&request),
                BatchSize::SmallInput,
            );
        });
    }
    assert_billed(&script, 1);
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
            let listener = network.listen("provider").expect("nobody else listens");
            let plan = provider(Dialect::OpenAi, gaps, TOKENS);
            Provider::start_streaming(plan, SeedTree::new(7), RunClock::start(), listener, &shutdown)
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
    let body = chat(Dialect::OpenAi, true, &tracer::prompt_text(PROMPT, 100));
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "provider")
        .header("authorization", "Bearer any")
        .body(Full::new(Bytes::from(body)))
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
