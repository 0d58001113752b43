//! What a request tells about itself while it lives and when it is over: spans that cover it, headers, metrics.

use std::path::Path;
use std::process::{Command, Stdio};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::provider::{COLLECTOR, End, Provider, Reply, stream_of, word};
use super::support::{Answer, Host, ms, secs};

/// All spans of the test's trace at the collector.
fn spans(provider: &Provider) -> Vec<Value> {
    let seen = provider.seen();
    let posts = seen.iter().filter(|seen| seen.host == COLLECTOR);
    posts
        .flat_map(|post| {
            let spans = &post.body["resourceSpans"][0]["scopeSpans"][0]["spans"];
            spans.as_array().unwrap().clone()
        })
        .collect()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    found.map_or(&Value::Null, |attribute| &attribute["value"])
}

/// Start and end in microseconds.
fn times(span: &Value) -> (u64, u64) {
    let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap() / 1_000;
    (time("startTimeUnixNano"), time("endTimeUnixNano"))
}

fn lasted(span: &Value) -> u64 {
    let (start, end) = times(span);
    end - start
}

fn lines(text: &str, start: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with(start))
        .map(str::to_owned)
        .collect()
}

async fn wait_for_spans() {
    tokio::time::sleep(secs(3)).await;
}

fn traced(mut service: Value) -> Value {
    service["otlp_endpoint"] = "http://otlp.sim".into();
    service
}

/// A request that waits for a worker, waits for a connection, is refused, backs off, is answered, and is written down.
async fn troubled(path: &str) -> Vec<Value> {
    let provider = Provider::new(|n, seen| match (seen.host.as_str(), n) {
        (COLLECTOR, _) => Reply::Body("{}"),
        (_, 1) => Reply::Status(429, Some("2")),
        (_, n) if seen.body["stream"] == true && n != 0 => stream_of(ms(400), ms(100), &["one", " two", " three"]),
        _ => Reply::Whole(secs(1)),
    });
    let service = traced(json!({
        "design": "blocking", "blocking_workers": 1, "fallback": false,
        "database": { "pool": 1, "query_time": "3ms", "hold_connection": false },
    }));
    let host = Host::new(&provider, service);
    // The first one has the only worker.
    let first = tokio::spawn(host.post("/chat"));
    tokio::task::yield_now().await;
    // Somebody else has the only connection, until the second one has been waiting for it.
    let second = tokio::spawn(host.post(path));
    tokio::time::sleep(ms(1004)).await;
    let database = host.app.accounts.ping();
    let (_, answer) = tokio::join!(database, second);
    Answer::read(answer.unwrap()).await;
    assert_eq!(first.await.unwrap().status(), StatusCode::OK);
    wait_for_spans().await;
    spans(&provider)
}

#[tokio::test(start_paused = true)]
async fn the_spans_of_a_request_add_up_to_its_latency() {
    for path in ["/chat", "/chat/stream"] {
        let spans = troubled(path).await;
        let roots = spans.iter().filter(|span| span["kind"] == 2);
        let root = roots.max_by_key(|span| lasted(span)).unwrap();
        assert_eq!(root["name"], format!("POST {path}"));
        let children: Vec<&Value> = spans
            .iter()
            .filter(|span| span["parentSpanId"] == root["spanId"])
            .collect();
        let mut names: Vec<&str> = children.iter().map(|span| span["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "chat m",
                "chat m",
                "wait.backoff",
                "wait.pool",
                "wait.pool",
                "wait.worker",
                "work.session",
                "work.usage"
            ],
            "{path}"
        );
        let sum: u64 = children.iter().map(|span| lasted(span)).sum();
        assert!(
            sum.abs_diff(lasted(root)) <= 1_000,
            "{path}: {sum} of {}: {spans:#?}",
            lasted(root)
        );
        for wait in ["wait.worker", "wait.backoff", "work.session", "work.usage"] {
            let span = children.iter().find(|span| span["name"] == wait).unwrap();
            assert!(lasted(span) > 0, "{path}: {wait} took no time");
        }
        assert!(
            children
                .iter()
                .any(|span| span["name"] == "wait.pool" && lasted(span) > 0)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn spans_say_what_the_conventions_ask_for() {
    let provider = Provider::new(|_, seen| match seen.host.as_str() {
        COLLECTOR => Reply::Body("{}"),
        _ => stream_of(ms(400), ms(100), &["one", " two", " three"]),
    });
    let host = Host::new(&provider, traced(json!({ "environment": "test", "instance": "a-1" })));
    host.stream().await;
    wait_for_spans().await;
    let spans = spans(&provider);
    let root = spans.iter().find(|span| span["name"] == "POST /chat/stream").unwrap();
    for (key, value) in [
        ("http.request.method", json!({ "stringValue": "POST" })),
        ("http.route", json!({ "stringValue": "/chat/stream" })),
        ("url.path", json!({ "stringValue": "/chat/stream" })),
        ("http.response.status_code", json!({ "intValue": "200" })),
    ] {
        assert_eq!(*attribute(root, key), value, "{key}");
    }
    let attempt = spans.iter().find(|span| span["name"] == "chat m").unwrap();
    assert_eq!((attempt["kind"].as_u64(), &attempt["status"]), (Some(3), &Value::Null));
    for (key, value) in [
        ("gen_ai.response.model", json!({ "stringValue": "m-1" })),
        ("gen_ai.response.time_to_first_chunk", json!({ "doubleValue": 0.4 })),
        (
            "gen_ai.response.finish_reasons",
            json!({ "arrayValue": { "values": [{ "stringValue": "stop" }] } }),
        ),
        ("gen_ai.usage.input_tokens", json!({ "intValue": "3" })),
        ("gen_ai.usage.output_tokens", json!({ "intValue": "2" })),
    ] {
        assert_eq!(*attribute(attempt, key), value, "{key}");
    }
    let at = times(attempt).0 + 400_000;
    let event = json!([{ "name": "brownout.first_token", "timeUnixNano": format!("{at}000") }]);
    assert_eq!(attempt["events"], event);
    let resource = &provider
        .seen()
        .into_iter()
        .find(|seen| seen.host == COLLECTOR)
        .unwrap()
        .body;
    let resource = resource["resourceSpans"][0]["resource"].to_string();
    for part in ["brownout-service", "a-1", "deployment.environment.name"] {
        assert!(resource.contains(part), "{part} is not in {resource}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_where_its_time_went() {
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Status(429, Some("2")),
        _ => Reply::Whole(ms(500)),
    });
    let service = json!({ "fallback": false, "database": { "query_time": "5ms" } });
    let answer = Host::new(&provider, service).chat().await;
    assert_eq!(
        answer.header("server-timing"),
        "db;dur=10, provider;dur=500, backoff;dur=2000, app;dur=0, total;dur=2510"
    );
    assert_eq!(answer.header("x-brownout-overhead-ms"), "2010");
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_where_the_time_to_its_first_token_went() {
    let provider = Provider::new(|_, _| stream_of(ms(400), ms(100), &["one", " two"]));
    let host = Host::new(&provider, json!({ "database": { "query_time": "5ms" } }));
    let answer = host.stream().await;
    assert_eq!(
        answer.header("server-timing"),
        "db;dur=5, provider;dur=400, app;dur=0, total;dur=405"
    );
    let metrics = host.get("/metrics").await.body;
    let first = lines(&metrics, "service_time_to_first_token_seconds_sum");
    assert_eq!(
        first,
        [r#"service_time_to_first_token_seconds_sum{endpoint="POST /chat/stream",model="m"} 0.405"#]
    );
    // Two tokens by the provider's count, so one gap, and 100 ms from the first token to the end.
    let each = lines(&metrics, "service_time_per_output_token_seconds_sum");
    assert_eq!(each, [r#"service_time_per_output_token_seconds_sum{model="m"} 0.1"#]);
}

#[tokio::test(start_paused = true)]
async fn every_response_says_which_request_it_answers() {
    let host = Host::new(&Provider::new(|_, _| Reply::Whole(ms(1))), json!({}));
    for (method, path, status) in [
        (Method::POST, "/chat", 400),
        (Method::GET, "/nowhere", 404),
        (Method::DELETE, "/chat", 405),
        (Method::GET, "/jobs/none", 501),
        (Method::GET, "/livez", 200),
        (Method::GET, "/metrics", 200),
    ] {
        let answer = Answer::read(host.send(method, path, "").await).await;
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert_eq!(answer.header("x-request-id"), "prompt-17", "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_counted_by_the_kind_of_problem_whichever_way_they_are_told() {
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Status(400, None),
        _ => Reply::Stream(vec![(ms(1), word("one"))], End::Clean),
    });
    let host = Host::new(&provider, json!({ "fallback": false, "rescue": "off" }));
    host.chat().await;
    host.stream().await;
    let metrics = host.get("/metrics").await.body;
    assert_eq!(
        {
            let mut errors = lines(&metrics, "service_request_errors_total");
            errors.sort();
            errors
        },
        [
            r#"service_request_errors_total{endpoint="POST /chat",kind="upstream-refused"} 1"#,
            r#"service_request_errors_total{endpoint="POST /chat/stream",kind="upstream-truncated"} 1"#,
        ]
    );
    let wasted = lines(&metrics, "service_wasted_tokens_total");
    assert_eq!(
        wasted,
        [r#"service_wasted_tokens_total{reason="truncated",estimated="true"} 1"#]
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_priced_where_prices_are_known() {
    let provider = |name: &str| json!({ "name": name, "base_url": format!("http://{name}.sim/v1"), "model": "m" });
    let mut priced = provider("a");
    priced["prompt_usd_per_million"] = 1.into();
    priced["completion_usd_per_million"] = 10.into();
    for (first, lines_of_cost) in [
        (priced, vec![r#"service_request_cost_usd_sum{model="m"} 0.000023"#]),
        (provider("a"), vec![]),
    ] {
        let host = Host::new(
            &Provider::new(|_, _| Reply::Whole(ms(1))),
            json!({ "providers": [first] }),
        );
        host.chat().await;
        let metrics = host.get("/metrics").await.body;
        assert_eq!(lines(&metrics, "service_request_cost_usd_sum"), lines_of_cost);
    }
}

async fn wasted_after_leaving(disconnect: &str, path: &str) -> Vec<String> {
    let provider = Provider::new(|_, seen| {
        if seen.body["stream"] == true {
            stream_of(secs(1), secs(1), &["one", " two", " three", " four"])
        } else {
            Reply::Whole(secs(3))
        }
    });
    let host = Host::new(&provider, json!({ "disconnect": disconnect }));
    let leaving = async { Answer::read(host.post(path).await).await };
    assert!(tokio::time::timeout(ms(2500), leaving).await.is_err());
    tokio::time::sleep(secs(10)).await;
    let metrics = host.get("/metrics").await.body;
    assert_eq!(lines(&metrics, "service_cancelled_total").len(), 1);
    lines(&metrics, "service_wasted_tokens_total")
}

#[tokio::test(start_paused = true)]
async fn tokens_that_come_when_the_client_has_left_are_counted_as_wasted() {
    // A whole answer: the provider says how many there were. Two of the stream's pieces came too late.
    let whole = r#"service_wasted_tokens_total{reason="abandoned",estimated="false"} 2"#;
    assert_eq!(wasted_after_leaving("run_on", "/chat").await, [whole]);
    let streamed = r#"service_wasted_tokens_total{reason="abandoned",estimated="true"} 2"#;
    assert_eq!(wasted_after_leaving("run_on", "/chat/stream").await, [streamed]);
    // The mirror: whoever hangs up on the provider gets no more of them.
    for path in ["/chat", "/chat/stream"] {
        assert_eq!(wasted_after_leaving("cancel", path).await, Vec::<String>::new());
    }
}

/// Metrics of an instance that did some of everything.
async fn busy(accept: &str) -> String {
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Status(503, None),
        n if n % 2 == 0 => Reply::Whole(ms(10)),
        _ => stream_of(ms(400), ms(100), &["one", " two"]),
    });
    let host = Host::new(&provider, json!({}));
    host.chat().await;
    host.stream().await;
    host.stream().await;
    let request = http::Request::get("/metrics").header("accept", accept);
    let response = host.ask(request.body(axum::body::Body::empty()).unwrap()).await;
    Answer::read(response).await.body
}

#[tokio::test(start_paused = true)]
async fn promtool_accepts_the_classic_format() {
    let promtool = Path::new("/usr/bin/promtool");
    if !promtool.exists() {
        assert!(
            std::env::var_os("CI").is_none(),
            "promtool is missing: install the package prometheus"
        );
        eprintln!("skipped: promtool is missing");
        return;
    }
    let metrics = busy("text/plain").await;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{metrics}");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_openmetrics_gets_it() {
    let metrics = busy("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert!(metrics.ends_with("# EOF\n"));
    assert!(metrics.contains("# TYPE service_requests counter\n"), "{metrics}");
}
