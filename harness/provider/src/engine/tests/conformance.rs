//! Both engines put the same on the wire: same script, same seed, real sockets.

use std::time::{Duration, Instant};

use brownout_net::{Network, RunClock};
use brownout_scenario::distribution::Distribution;
use brownout_scenario::observe::{Finish, LedgerRow};
use brownout_scenario::plan::{Dialect, FaultEffect, FaultPlan, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use brownout_scenario::units::{Micros, PromptId};
use http::Method;
use tokio_util::sync::CancellationToken;

use super::{Answer, CHAT, Client, MAX_BODY, STREAM, chat, read};
use crate::Provider;
use crate::samples::{fault, limits, lognormal, plan_with, status};

/// Headers that belong to the transport and not to the provider.
const TRANSPORT: [&str; 4] = ["date", "content-length", "transfer-encoding", "connection"];

/// Tiny latencies: this is real time.
fn quick(change: impl FnOnce(&mut ProviderPlan)) -> ProviderPlan {
    plan_with(|plan| {
        plan.first_token = lognormal(3_000.0, 9_000.0);
        plan.inter_token = Distribution::Constant { value: 100.0 };
        plan.output_tokens = Distribution::Uniform { min: 1.0, max: 40.0 };
        change(plan);
    })
}

fn any_port() -> std::net::TcpListener {
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap()
}

/// What each request got, and what the ledger says about it.
type Seen = (Vec<Answer>, Vec<LedgerRow>);

async fn play(plan: &ProviderPlan, requests: &[(Method, &str, String)], on_wiremock: bool) -> Seen {
    let (seed, clock, shutdown) = (SeedTree::new(11), RunClock::start(), CancellationToken::new());
    let network = Network::tcp();
    let provider = if on_wiremock {
        Provider::start_wiremock(plan.clone(), seed, clock, any_port())
            .await
            .unwrap()
    } else {
        let listener = network.listen("provider").unwrap();
        Provider::start_streaming(plan.clone(), seed, clock, listener, &shutdown)
    };
    let mut answers = Vec::new();
    for (method, path, body) in requests {
        let mut client = Client::connect(&network, &provider.authority).await;
        let request = client.request(method.clone(), path, body);
        let mut answer = read(client.send(request).await).await;
        for name in TRANSPORT {
            answer.headers.remove(name);
        }
        answer.text = without_dates(&answer.text);
        answers.push(answer);
    }
    (answers, provider.ledger.rows())
}

/// Ollama's answers tell the time of day.
fn without_dates(text: &str) -> String {
    let mut parts = text.split("\"created_at\":\"");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept.push_str(part.split_once('"').map_or("", |(_, rest)| rest));
    }
    kept
}

/// A row without its times, which differ between two real runs.
fn timeless(row: &LedgerRow) -> LedgerRow {
    LedgerRow {
        arrived: Micros::ZERO,
        first_token: row.first_token.map(|first| first.since(row.arrived)),
        ended: row.ended.since(row.arrived),
        ..row.clone()
    }
}

fn assert_same(streaming: &Seen, wiremock: &Seen) {
    for (n, (one, other)) in streaming.0.iter().zip(&wiremock.0).enumerate() {
        assert_eq!(one, other, "request {n}");
    }
    let rows = |seen: &Seen| seen.1.iter().map(timeless).collect::<Vec<_>>();
    assert_eq!(rows(streaming), rows(wiremock));
}

#[tokio::test]
async fn answers_errors_and_refusals_are_equal() {
    let plan = quick(|plan| {
        let hit = |id: &str, fault: FaultPlan, first| FaultPlan {
            id: id.to_owned(),
            first: Some(first),
            ..fault
        };
        plan.faults = vec![
            hit("status#0", status(429, Some(Micros(1_500_000))), 1),
            hit("status#1", status(500, None), 2),
        ];
    });
    let post = |body: String| (Method::POST, CHAT, body);
    let requests = [
        post(chat(1, "")),
        post(chat(1, "")),
        post(chat(1, "")),
        post(chat(2, r#","max_tokens":1"#)),
        post(chat(3, STREAM)),
        post(chat(3, r#","stream":true,"stream_options":{"include_usage":true}"#)),
        post(chat(4, "").replace("gpt-4o-mini", "gpt-9")),
        post("not json [prompt 5]".to_owned()),
        post(format!("{}{}", chat(6, ""), " ".repeat(MAX_BODY))),
        (Method::GET, "/v1/models", String::new()),
        (Method::GET, "/v1/nothing", String::new()),
        (Method::DELETE, CHAT, String::new()),
    ];
    let streaming = play(&plan, &requests, false).await;
    let wiremock = play(&plan, &requests, true).await;
    let statuses: Vec<u16> = streaming.0.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [429, 500, 200, 200, 200, 200, 404, 400, 413, 200, 404, 405]);
    assert_same(&streaming, &wiremock);
}

/// One request to each endpoint of a dialect, whole, streamed, wrong and cut short.
fn requests_of(dialect: Dialect) -> Vec<(Method, &'static str, String)> {
    let prompt = |n: u64| brownout_scenario::tracer::prompt_text(PromptId(n), 12);
    let messages = |n| format!(r#""messages":[{{"role":"user","content":"{}"}}]"#, prompt(n));
    let contents = |n| {
        format!(
            r#"{{"contents":[{{"role":"user","parts":[{{"text":"{}"}}]}}]}}"#,
            prompt(n)
        )
    };
    let model = r#""model":"gpt-4o-mini""#;
    match dialect {
        Dialect::OpenAi => vec![
            (Method::POST, CHAT, format!("{{{model},{}}}", messages(1))),
            (
                Method::POST,
                CHAT,
                format!("{{{model},\"stream\":true,{}}}", messages(2)),
            ),
            (Method::POST, CHAT, "{".to_owned()),
            (Method::GET, "/v1/models/gpt-4o-mini", String::new()),
        ],
        Dialect::Anthropic => {
            let path = "/v1/messages";
            let body = |n, more: &str| format!("{{{model},\"max_tokens\":900{more},{}}}", messages(n));
            vec![
                (Method::POST, path, body(1, "")),
                (Method::POST, path, body(2, ",\"stream\":true")),
                (Method::POST, path, body(3, "").replace("900", "0")),
                (Method::GET, "/v1/models", String::new()),
            ]
        }
        Dialect::Gemini => vec![
            (Method::POST, "/v1beta/models/gpt-4o-mini:generateContent", contents(1)),
            (
                Method::POST,
                "/v1beta/models/gpt-4o-mini:streamGenerateContent?alt=sse",
                contents(2),
            ),
            (
                Method::POST,
                "/v1beta/models/gpt-4o-mini:streamGenerateContent",
                contents(3),
            ),
            (Method::POST, "/v1beta/models/none:generateContent", contents(4)),
            (Method::GET, "/v1beta/models", String::new()),
        ],
        Dialect::Ollama => vec![
            (
                Method::POST,
                "/api/chat",
                format!("{{{model},\"stream\":false,{}}}", messages(1)),
            ),
            (Method::POST, "/api/chat", format!("{{{model},{}}}", messages(2))),
            (Method::POST, "/api/chat", messages(3)),
            (Method::GET, "/api/tags", String::new()),
            (Method::GET, "/api/version", String::new()),
        ],
    }
}

#[tokio::test]
async fn every_dialect_is_equal_on_both_engines() {
    for dialect in Dialect::ALL {
        let plan = quick(|plan| {
            plan.dialect = dialect;
            plan.reasoning_tokens = Distribution::Constant { value: 4.0 };
            let late = FaultPlan {
                first: Some(1),
                ..status(503, Some(Micros(1_500_000)))
            };
            plan.faults = vec![late];
        });
        let mut requests = requests_of(dialect);
        let first = requests[0].clone();
        requests.insert(0, first);
        let streaming = play(&plan, &requests, false).await;
        let wiremock = play(&plan, &requests, true).await;
        assert_eq!(streaming.0[0].status, 503, "{dialect:?}: {:?}", streaming.0[0]);
        assert_eq!(
            (streaming.0[1].status, streaming.0[2].status),
            (200, 200),
            "{dialect:?}: {streaming:?}"
        );
        assert!(
            streaming.0[2].text.contains("t2.0"),
            "{dialect:?}: {:?}",
            streaming.0[2]
        );
        assert_same(&streaming, &wiremock);
    }
}

/// Faults that are all status, headers and a whole body look the same on both engines, asked for whole or streamed.
#[tokio::test]
async fn plain_faults_are_equal_on_both_engines() {
    let after = || Some(Distribution::Constant { value: 2.0 });
    let effects = [
        FaultEffect::Html200,
        FaultEffect::Empty200 { object: true },
        FaultEffect::Empty200 { object: false },
        FaultEffect::ContextLength,
        FaultEffect::ContentFilter { after_tokens: after() },
        FaultEffect::CleanEof { after_tokens: after() },
        FaultEffect::MalformedFrame { after_tokens: after() },
        FaultEffect::MissingDone,
        FaultEffect::DuplicateFrame { after_tokens: after() },
        FaultEffect::ErrorEvent {
            after_tokens: after(),
            status: 503,
        },
        FaultEffect::Stall {
            after_tokens: after(),
            lasts: Some(Distribution::Constant { value: 30_000.0 }),
        },
    ];
    for effect in effects {
        let plan = quick(|plan| plan.faults = vec![fault(effect.clone())]);
        let requests = [chat(1, ""), chat(2, STREAM)].map(|body| (Method::POST, CHAT, body));
        let streaming = play(&plan, &requests, false).await;
        let wiremock = play(&plan, &requests, true).await;
        assert_same(&streaming, &wiremock);
    }
}

#[tokio::test]
async fn rate_limits_are_equal_but_for_the_moment_they_are_asked() {
    let plan = quick(|plan| plan.limits = Some(limits(Some(2), Some(500))));
    let requests = [1, 2, 3].map(|n| (Method::POST, CHAT, chat(n, r#","max_tokens":50"#)));
    let [streaming, wiremock] = [false, true].map(|engine| play(&plan, &requests, engine));
    let (mut streaming, mut wiremock) = (streaming.await, wiremock.await);
    assert_eq!(streaming.0[2].status, 429);
    assert_eq!(streaming.1[2].finish, Finish::RateLimited);
    for (answers, _) in [&mut streaming, &mut wiremock] {
        for answer in answers {
            for name in [
                "x-ratelimit-reset-requests",
                "x-ratelimit-reset-tokens",
                "retry-after-ms",
            ] {
                assert_eq!(
                    answer.headers.remove(name).is_some(),
                    name != "retry-after-ms" || answer.status == 429
                );
            }
            let said = answer
                .text
                .split(" Please try again in")
                .next()
                .unwrap_or_default()
                .to_owned();
            answer.text = said;
        }
    }
    assert_same(&streaming, &wiremock);
}

#[tokio::test]
async fn wiremock_waits_until_the_last_token_is_due() {
    let plan = quick(|plan| plan.first_token = Distribution::Constant { value: 80_000.0 });
    let provider = Provider::start_wiremock(plan, SeedTree::new(1), RunClock::start(), any_port())
        .await
        .unwrap();
    let mut client = Client::connect(&Network::tcp(), &provider.authority).await;
    #[expect(
        clippy::disallowed_methods,
        reason = "wiremock runs in real time, and the test measures it from outside"
    )]
    let sent = Instant::now();
    assert_eq!(client.post(&chat(1, "")).await.status, 200);
    assert!(sent.elapsed() >= Duration::from_millis(80), "{:?}", sent.elapsed());
}

#[tokio::test]
async fn what_wiremock_has_not_answered_at_the_end_of_the_run_is_unfinished() {
    let plan = quick(|plan| plan.first_token = Distribution::Constant { value: 5e6 });
    let clock = RunClock::start();
    let provider = Provider::start_wiremock(plan, SeedTree::new(1), clock, any_port())
        .await
        .unwrap();
    let mut client = Client::connect(&Network::tcp(), &provider.authority).await;
    let request = client.request(Method::POST, CHAT, &chat(1, ""));
    let answer = tokio::time::timeout(Duration::from_millis(200), client.send(request)).await;
    assert!(answer.is_err(), "answered five seconds early");
    provider.ledger.close(clock.now_us());
    let row = provider.ledger.rows().remove(0);
    assert_eq!(
        (row.finish, row.generated, row.flushed, row.billed),
        (Finish::Unfinished, 0, 0, 0)
    );
}
