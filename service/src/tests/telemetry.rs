use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::provider::{Provider, Reply};
use super::support::{Host, ms, secs};

/// Spans that arrived at the collector, by name: (start, end, attributes), times in milliseconds since the start.
fn collected(provider: &Provider) -> BTreeMap<String, Vec<(u64, u64, Value)>> {
    let mut spans = BTreeMap::<String, Vec<_>>::new();
    let seen = provider.seen();
    for post in seen.iter().filter(|seen| seen.host == "otlp.sim") {
        for span in post.body["resourceSpans"][0]["scopeSpans"][0]["spans"]
            .as_array()
            .unwrap()
        {
            assert_eq!(span["traceId"], "62726f776e6f75740000000000000011");
            let time = |key: &str| {
                let nanoseconds: u64 = span[key].as_str().unwrap().parse().unwrap();
                (nanoseconds - 1_767_225_600_000_000_000) / 1_000_000
            };
            let times = (
                time("startTimeUnixNano"),
                time("endTimeUnixNano"),
                span["attributes"].clone(),
            );
            spans
                .entry(span["name"].as_str().unwrap().to_owned())
                .or_default()
                .push(times);
        }
    }
    spans
}

/// What the conventions say of an attempt that got a 429.
fn refused_attempt() -> Value {
    json!([
        { "key": "gen_ai.operation.name", "value": { "stringValue": "chat" } },
        { "key": "gen_ai.provider.name", "value": { "stringValue": "openai" } },
        { "key": "brownout.provider", "value": { "stringValue": "a" } },
        { "key": "gen_ai.request.model", "value": { "stringValue": "m" } },
        { "key": "gen_ai.request.stream", "value": { "boolValue": false } },
        { "key": "gen_ai.request.max_tokens", "value": { "intValue": "50" } },
        { "key": "server.address", "value": { "stringValue": "a.sim" } },
        { "key": "server.port", "value": { "intValue": "80" } },
        { "key": "brownout.route.reason", "value": { "stringValue": "order" } },
        { "key": "http.response.status_code", "value": { "intValue": "429" } },
        { "key": "error.type", "value": { "stringValue": "rate_limited" } },
    ])
}

#[tokio::test(start_paused = true)]
async fn the_spans_of_a_request_say_where_its_time_went() {
    let provider = Provider::new(|n, seen| match (seen.host.as_str(), n) {
        ("otlp.sim", _) => Reply::Body("{}"),
        (_, 0) => Reply::Whole(secs(1)),
        (_, 1) => Reply::Status(429, Some("2")),
        _ => Reply::Whole(ms(500)),
    });
    let service = json!({
        "otlp_endpoint": "http://otlp.sim", "fallback": false, "database": { "pool": 1, "hold_connection": true },
    });
    let host = Host::new(&provider, service);
    let first = tokio::spawn(host.post("/chat"));
    tokio::task::yield_now().await;
    let second = host.chat().await;
    assert_eq!(
        (first.await.unwrap().status().as_u16(), second.status.as_u16()),
        (200, 200)
    );
    tokio::time::sleep(secs(2)).await;
    let spans = collected(&provider);
    let names: Vec<&str> = spans.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "POST /chat",
            "chat m",
            "wait.backoff",
            "wait.pool",
            "work.session",
            "work.usage"
        ]
    );
    let times = |name: &str| {
        spans[name]
            .iter()
            .map(|(start, end, _)| (*start, *end))
            .collect::<Vec<_>>()
    };
    assert_eq!(times("wait.pool"), [(0, 0), (0, 1000)]);
    assert_eq!(times("chat m"), [(0, 1000), (1000, 1000), (3000, 3500)]);
    assert_eq!(times("wait.backoff"), [(1000, 3000)]);
    assert_eq!(times("POST /chat"), [(0, 1000), (0, 3500)]);
    assert_eq!(spans["chat m"][1].2, refused_attempt());
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_worker_is_a_span() {
    let provider = Provider::new(|_, seen| match seen.host.as_str() {
        "otlp.sim" => Reply::Body("{}"),
        _ => Reply::Whole(secs(1)),
    });
    let service = json!({ "design": "blocking", "blocking_workers": 1, "otlp_endpoint": "http://otlp.sim" });
    let host = Host::new(&provider, service);
    tokio::join!(host.chat(), host.chat());
    tokio::time::sleep(secs(2)).await;
    let waits: Vec<_> = collected(&provider)["wait.worker"]
        .iter()
        .map(|(start, end, _)| (*start, *end))
        .collect();
    assert_eq!(waits, [(0, 0), (0, 1000)]);
}

#[tokio::test(start_paused = true)]
async fn the_wait_in_a_queue_belongs_to_the_request_that_asked() {
    for design in ["background", "queued"] {
        let provider = Provider::new(|_, seen| match seen.host.as_str() {
            "otlp.sim" => Reply::Body("{}"),
            _ => Reply::Whole(secs(2)),
        });
        let jobs = json!({ "concurrency": 1, "coalesce": false });
        let service = json!({ "design": design, "jobs": jobs, "otlp_endpoint": "http://otlp.sim" });
        let host = Host::new(&provider, service);
        if design == "queued" {
            let app = std::sync::Arc::clone(&host.app);
            tokio::spawn(async move { crate::designs::work(&app).await });
        }
        host.post("/jobs").await;
        host.post("/jobs").await;
        tokio::time::sleep(secs(10)).await;
        let waits: Vec<_> = collected(&provider)["wait.queue"]
            .iter()
            .map(|(start, end, _)| (*start, *end))
            .collect();
        assert_eq!(waits.len(), 2, "{design}");
        assert!(
            waits[0].1 <= 100 && (2000..=2100).contains(&waits[1].1),
            "{design}: {waits:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_down_costs_spans_and_nothing_else() {
    let provider = Provider::new(|_, seen| match seen.host.as_str() {
        "otlp.sim" => Reply::Silence,
        _ => Reply::Whole(ms(10)),
    });
    let host = Host::new(&provider, json!({ "otlp_endpoint": "http://otlp.sim" }));
    assert_eq!((host.chat().await.status.as_u16(), host.elapsed_ms()), (200, 10));
    tokio::time::sleep(secs(5)).await;
    let metrics = host.get("/metrics").await.body;
    assert!(metrics.contains("service_spans_dropped_total 6"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn metrics_count_what_happened() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(10))
        }
    });
    let host = Host::new(&provider, json!({}));
    host.chat().await;
    let metrics = host.get("/metrics").await;
    assert_eq!(
        metrics.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    for line in [
        r#"service_requests_total{endpoint="POST /chat",status="200"} 1"#,
        r#"service_upstream_attempts_total{provider="a",outcome="server_error"} 1"#,
        r#"service_upstream_attempts_total{provider="b",outcome="ok"} 1"#,
        r#"service_upstream_attempt_duration_seconds_count{provider="b"} 1"#,
        r#"service_tokens_total{model="m",direction="output"} 2"#,
        r#"service_build_info{version="0.1.0"} 1"#,
        "process_start_time_seconds 1767225600.0",
        "service_requests_in_flight 0",
        "service_fallbacks_total 1",
        "service_retries_total 0",
        "service_pool_size 20",
        "service_pool_in_use 0",
    ] {
        assert_has(&metrics.body, line);
    }
}

fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
}
