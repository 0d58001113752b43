use axum::body::Body;
use axum::response::Response;
use http::{Method, Request};
use serde_json::{Value, json};

use super::provider::{Provider, Reply, stream_of};
use super::support::{Answer, Host, ms, question, secs};
use crate::access::Caller;
use crate::settings::Digest;

fn sum(key: &str) -> String {
    Digest::of(key.as_bytes()).to_hex()
}

fn key(name: &str, more: &Value) -> Value {
    let mut key = json!({ "name": name, "sha256": sum(&format!("key-of-{name}")) });
    key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    key
}

fn host(provider: &std::sync::Arc<Provider>, keys: &[Value]) -> Host {
    with(provider, keys, json!({}))
}

fn with(provider: &std::sync::Arc<Provider>, keys: &[Value], mut service: Value) -> Host {
    let price = |name: &str| {
        json!({
            "name": name, "base_url": format!("http://{name}.sim"), "model": "m",
            "prompt_usd_per_million": 1, "completion_usd_per_million": 10,
        })
    };
    let access = json!({ "auth": "required", "keys": keys, "providers": [price("a"), price("b")] });
    service
        .as_object_mut()
        .unwrap()
        .extend(access.as_object().unwrap().clone());
    Host::new(provider, service)
}

fn request(path: &str, authorization: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri(path);
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.header("x-request-id", "r-1").body(body).unwrap()
}

async fn ask(host: &Host, path: &str, name: &str) -> Response {
    let bearer = format!("Bearer key-of-{name}");
    host.ask(request(path, Some(&bearer), Body::from(question().to_string())))
        .await
}

async fn asked(host: &Host, name: &str) -> Answer {
    Answer::read(ask(host, "/chat", name).await).await
}

#[tokio::test(start_paused = true)]
async fn only_a_key_that_is_known_and_enabled_gets_in() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = host(
        &provider,
        &[key("good", &json!({})), key("old", &json!({ "disabled": true }))],
    );
    assert_eq!(asked(&host, "good").await.status, 200);
    let refused = asked(&host, "old").await;
    assert_eq!(refused.problem(), (403, "key-disabled".to_owned()));
    let cases = [
        None,
        Some("Bearer wrong"),
        Some("Bearer "),
        Some("Basic key-of-good"),
        Some("key-of-good"),
        Some("Bearer key-of-good x"),
    ];
    for authorization in cases {
        for path in ["/chat", "/chat/stream", "/jobs", "/jobs/job-1", "/nowhere"] {
            let answer = host.ask(request(path, authorization, Body::from("{}"))).await;
            let answer = Answer::read(answer).await;
            assert_eq!(
                answer.problem(),
                (401, "unauthenticated".to_owned()),
                "{path} {authorization:?}"
            );
            assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="brownout-service""#);
            assert_eq!(answer.header("x-request-id"), "r-1");
        }
    }
    assert_eq!(provider.seen().len(), 1);
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains(r#"service_access_refused_total{kind="unauthenticated"} 30"#),
        "{metrics}"
    );
    for open in ["/livez", "/readyz"] {
        assert_eq!(host.get(open).await.status, 200, "{open}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_stranger_is_never_read() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = host(&provider, &[key("good", &json!({}))]);
    let never = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let answer = host.ask(request("/chat", Some("Bearer wrong"), never)).await;
    assert_eq!((answer.status().as_u16(), host.elapsed_ms()), (401, 0));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_used_up_its_rate_is_told_when_to_come_back_and_others_are_not_touched() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let limited = json!({ "requests_per_minute": 30 });
    let host = host(&provider, &[key("limited", &limited), key("other", &json!({}))]);
    for _ in 0..5 {
        assert_eq!(asked(&host, "limited").await.status, 200);
    }
    let refused = asked(&host, "limited").await;
    assert_eq!(refused.problem(), (429, "rate-limited".to_owned()));
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(asked(&host, "other").await.status, 200);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(asked(&host, "limited").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_taken_until_the_last_byte_or_until_the_client_leaves() {
    let provider = Provider::new(|_, _| stream_of(ms(100), secs(1), &["one", " two", " three"]));
    let host = host(&provider, &[key("narrow", &json!({ "concurrent": 1 }))]);
    let stream = ask(&host, "/chat/stream", "narrow").await;
    let refused = asked(&host, "narrow").await;
    assert_eq!(refused.problem(), (429, "too-many-at-once".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(Answer::read(stream).await.event_names().last().unwrap(), "done");
    let left = ask(&host, "/chat/stream", "narrow").await;
    assert_eq!(left.status(), 200);
    drop(left);
    let early = tokio::time::timeout(ms(50), ask(&host, "/chat/stream", "narrow")).await;
    assert!(early.is_err(), "left before the first token");
    let again = ask(&host, "/chat/stream", "narrow").await;
    assert_eq!(again.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_taken_as_long_as_anybody_works_for_a_client_that_left() {
    let leave = async |service: Value, path: &str| {
        let provider = Provider::new(|_, _| Reply::Whole(secs(3)));
        let streaming = Provider::new(|_, _| stream_of(secs(1), secs(1), &["one", " two", " three"]));
        let provider = if path == "/chat" { provider } else { streaming };
        let host = with(&provider, &[key("narrow", &json!({ "concurrent": 1 }))], service);
        assert!(tokio::time::timeout(ms(500), ask(&host, path, "narrow")).await.is_err());
        let at_once = asked(&host, "narrow").await.status.as_u16();
        tokio::time::sleep(secs(3)).await;
        (at_once, asked(&host, "narrow").await.status.as_u16())
    };
    for path in ["/chat", "/chat/stream"] {
        let blocking = json!({ "design": "blocking", "disconnect": "run_on" });
        for service in [
            json!({ "disconnect": "run_on" }),
            json!({ "disconnect": "drain" }),
            blocking,
        ] {
            assert_eq!(leave(service.clone(), path).await.0, 429, "{path} {service}");
        }
    }
    assert_eq!(leave(json!({ "disconnect": "drain" }), "/chat").await, (429, 200));
    assert_eq!(leave(json!({ "disconnect": "cancel" }), "/chat").await.0, 200);
}

/// What `question` can cost: its 17 bytes are 17 tokens at most, its form 80, and its 50 tokens of answer cost ten times as much.
const MOST: f64 = (64.0 + 16.0 + 17.0 + 50.0 * 10.0) / 1e6;

#[tokio::test(start_paused = true)]
async fn requests_at_the_same_time_cannot_spend_more_than_the_budget() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let host = host(
        &provider,
        &[key("poor", &json!({ "budget_usd": 2.5 * MOST, "budget_window": "1h" }))],
    );
    let all = futures::future::join_all((0..5).map(|_| asked(&host, "poor"))).await;
    let statuses: Vec<u16> = all.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [200, 200, 402, 402, 402]);
    assert_eq!(all[2].problem(), (402, "budget-exhausted".to_owned()));
    let wait: u64 = all[2].header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&wait), "{wait}");
    assert_eq!(provider.seen().len(), 2);
    // They used far less than was set aside: 3 and 2 tokens, 23 micro-dollars each.
    let later = futures::future::join_all((0..5).map(|_| asked(&host, "poor"))).await;
    assert_eq!(later.iter().filter(|answer| answer.status == 200).count(), 2);
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(asked(&host, "poor").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_billed_is_given_back_and_what_nobody_waited_for_is_not() {
    let budget = json!({ "budget_usd": 1.5 * MOST });
    let provider = Provider::new(|n, _| match n {
        0..4 => Reply::Status(400, None),
        _ => stream_of(ms(100), secs(60), &["one", " two"]),
    });
    let host = host(&provider, &[key("poor", &budget)]);
    for _ in 0..4 {
        assert_eq!(asked(&host, "poor").await.status, 502);
    }
    let stream = ask(&host, "/chat/stream", "poor").await;
    assert_eq!(stream.status(), 200, "refusals cost nothing");
    drop(stream);
    assert_eq!(asked(&host, "poor").await.status, 402, "nobody knows what was billed");
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_is_charged_as_it_was_used_and_what_is_cancelled_as_it_could_be_at_most() {
    for (policy, answered) in [("drain", 200), ("cancel", 402)] {
        let provider = Provider::new(|_, seen| {
            if seen.body["stream"] == true {
                stream_of(secs(1), secs(1), &["one", " two", " three"])
            } else {
                Reply::Whole(ms(1))
            }
        });
        let poor = key("poor", &json!({ "budget_usd": 1.5 * MOST, "budget_window": "1h" }));
        let host = with(&provider, &[poor], json!({ "disconnect": policy }));
        let stream = async { Answer::read(ask(&host, "/chat/stream", "poor").await).await };
        assert!(tokio::time::timeout(ms(2500), stream).await.is_err());
        tokio::time::sleep(secs(5)).await;
        assert_eq!(asked(&host, "poor").await.status, answered, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_with_a_budget_asks_for_a_bounded_answer() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = host(
        &provider,
        &[key("rich", &json!({ "budget_usd": 100 })), key("free", &json!({}))],
    );
    for (name, expected) in [("rich", json!(4096)), ("free", Value::Null)] {
        let body = json!({ "messages": [{ "role": "user", "content": "hello" }] }).to_string();
        let bearer = format!("Bearer key-of-{name}");
        let answer = host.ask(request("/chat", Some(&bearer), Body::from(body))).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(provider.seen().last().unwrap().body["max_tokens"], expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_do_not_share_sessions() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let shared = json!({ "tenant": "shared" });
    let host = host(
        &provider,
        &[key("one", &shared), key("two", &shared), key("other", &json!({}))],
    );
    for name in ["one", "two", "other"] {
        assert_eq!(asked(&host, name).await.status, 200);
    }
    let mut connection = host.stores.database.acquire().await.unwrap();
    for (session, answers) in [("shared/default", 2), ("other/default", 1), ("default", 0)] {
        assert_eq!(connection.session(session).await.unwrap().answers, answers, "{session}");
    }
    let caller = |tenant: &str| Caller {
        name: "n".to_owned(),
        tenant: tenant.to_owned(),
    };
    assert_ne!(caller("a").owned("b/c"), caller("b").owned("c"));
}

#[tokio::test(start_paused = true)]
async fn where_no_key_is_asked_for_none_is_looked_at() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(
        &provider,
        json!({ "keys": [key("n", &json!({ "requests_per_minute": 1 }))] }),
    );
    for _ in 0..5 {
        assert_eq!(asked(&host, "n").await.status, 200);
    }
}
