//! Clients that leave, phase by phase: what becomes of the work, of the accounts and of the log.

use std::sync::Arc;

use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::provider::{Fate, Provider, Reply, stream_of};
use super::support::{Host, ms, secs};
use crate::storage::Session;

/// Leaves a request after `patience` and returns what the provider saw, a minute later.
async fn leave(service: Value, path: &str, patience: u64, reply: Reply) -> Vec<Fate> {
    let (provider, _) = left(service, path, patience, reply).await;
    provider.fates()
}

/// The same, with the host that was left.
async fn left(service: Value, path: &str, patience: u64, reply: Reply) -> (Arc<Provider>, Host) {
    let provider = Provider::new(move |_, _| reply.clone());
    let host = Host::new(&provider, service);
    leave_host(&host, path, patience).await;
    tokio::time::sleep(secs(60)).await;
    (provider, host)
}

/// Asks, reads for `patience`, and leaves.
async fn leave_host(host: &Host, path: &str, patience: u64) {
    let asking = host.post(path);
    let left = tokio::time::timeout(ms(patience), async {
        let mut body = asking.await.into_body();
        while body.frame().await.is_some() {}
    });
    assert!(left.await.is_err(), "the answer came before the client left");
}

/// What the accounts say of everybody together.
pub(super) async fn accounts(host: &Host) -> Session {
    let mut connection = host.stores.database.acquire().await.unwrap();
    connection.session("anonymous/default").await.unwrap()
}

async fn metric(host: &Host, line: &str) -> bool {
    let metrics = host.get("/metrics").await.body;
    metrics.lines().any(|found| found == line)
}

fn slow_stream() -> Reply {
    stream_of(secs(1), secs(1), &["one", " two", " three", " four"])
}

#[tokio::test(start_paused = true)]
async fn cancelling_hangs_up_on_the_provider_in_the_same_moment() {
    let cancel = || json!({ "disconnect": "cancel" });
    assert_eq!(
        leave(cancel(), "/chat", 700, Reply::Whole(secs(3))).await,
        [Fate::HungUp(ms(700))]
    );
    assert_eq!(
        leave(cancel(), "/chat/stream", 700, slow_stream()).await,
        [Fate::HungUp(ms(700))]
    );
    assert_eq!(
        leave(cancel(), "/chat/stream", 2500, slow_stream()).await,
        [Fate::HungUp(ms(2500))]
    );
}

#[tokio::test(start_paused = true)]
async fn running_on_pays_for_the_whole_answer() {
    let run_on = || json!({ "disconnect": "run_on" });
    assert_eq!(
        leave(run_on(), "/chat", 700, Reply::Whole(secs(3))).await,
        [Fate::Finished(secs(3))]
    );
    assert_eq!(
        leave(run_on(), "/chat/stream", 700, slow_stream()).await,
        [Fate::Finished(secs(4))]
    );
    assert_eq!(
        leave(run_on(), "/chat/stream", 2500, slow_stream()).await,
        [Fate::Finished(secs(4))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_during_the_back_off_causes_no_further_attempt() {
    let service = |policy: &str| json!({ "fallback": false, "disconnect": policy });
    let refusing = || Reply::Status(429, Some("5"));
    assert_eq!(leave(service("cancel"), "/chat", 2000, refusing()).await.len(), 1);
    assert_eq!(leave(service("run_on"), "/chat", 2000, refusing()).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_for_a_connection_gives_its_place_back() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(3)));
    let host = Host::new(&provider, json!({ "database": { "pool": 1, "hold_connection": true } }));
    let first = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(ms(10)).await;
    let second = tokio::spawn(host.post("/chat"));
    let third = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(secs(1)).await;
    second.abort();
    assert_eq!(first.await.unwrap().status(), 200);
    assert_eq!(third.await.unwrap().status(), 200);
    assert_eq!((provider.seen().len(), host.elapsed_ms()), (2, 6000));
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_goes_on_in_every_phase_and_is_written_down() {
    let drain = |more: Value| {
        let mut service = json!({ "disconnect": "drain", "fallback": false });
        service
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        service
    };
    let slow_database = || json!({ "database": { "query_time": "1s" } });
    let cases = [
        ("a unary call", "/chat", json!({}), 700, Reply::Whole(secs(3))),
        ("before the first token", "/chat/stream", json!({}), 700, slow_stream()),
        ("mid-stream", "/chat/stream", json!({}), 2500, slow_stream()),
        (
            "looking the session up",
            "/chat",
            slow_database(),
            500,
            Reply::Whole(secs(3)),
        ),
        ("writing usage", "/chat", slow_database(), 4500, Reply::Whole(secs(3))),
        (
            "writing a stream's usage",
            "/chat/stream",
            slow_database(),
            5500,
            slow_stream(),
        ),
    ];
    for (phase, path, service, patience, reply) in cases {
        let (provider, host) = left(drain(service), path, patience, reply).await;
        assert!(
            matches!(provider.fates()[..], [Fate::Finished(_)]),
            "{phase}: {:?}",
            provider.fates()
        );
        assert_eq!(accounts(&host).await.completion_tokens, 2, "{phase}");
        assert!(
            metric(&host, r#"service_drained_total{outcome="finished"} 1"#).await,
            "{phase}"
        );
        assert!(
            metric(&host, r#"service_abandoned_total{usage="authoritative"} 1"#).await,
            "{phase}"
        );
    }
    // In the back-off: the provider is asked again, and again.
    let again = leave(drain(json!({})), "/chat", 2000, Reply::Status(429, Some("5"))).await;
    assert_eq!(again.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_is_cut_at_its_time_and_beyond_its_number() {
    let service = |concurrent: u32, time: &str| json!({ "disconnect": "drain", "drain": { "concurrent": concurrent, "time": time } });
    assert_eq!(
        leave(service(1, "1s"), "/chat/stream", 2500, slow_stream()).await,
        [Fate::HungUp(ms(3500))]
    );
    let provider = Provider::new(|_, _| slow_stream());
    let host = Host::new(&provider, service(2, "1m"));
    let leaving = (0..3).map(|_| leave_host(&host, "/chat/stream", 2500));
    futures::future::join_all(leaving).await;
    assert!(host.app.tasks.wait(secs(3)).await, "an orderly end waits for them");
    let (cut, finished) = (Fate::HungUp(ms(2500)), Fate::Finished(secs(4)));
    let mut fates = provider.fates();
    fates.sort_by_key(|fate| *fate != cut);
    assert_eq!(fates, [cut, finished, finished]);
    let used = accounts(&host).await;
    // Four pieces of four words that came to two tokens by the provider's account, twice, and two pieces by ours.
    assert_eq!((used.answers, used.completion_tokens), (3, 2 + 2 + 2));
}

/// Two clients of a single worker leave: the first at work, the second in the backlog.
async fn leave_the_backlog(disconnect: &str, path: &str) -> (Vec<Fate>, u128) {
    let provider = Provider::new(|_, _| Reply::Whole(secs(3)));
    let service =
        json!({ "design": "blocking", "blocking_workers": 1, "blocking_backlog": 1, "disconnect": disconnect });
    let host = Host::new(&provider, service);
    tokio::join!(leave_host(&host, path, 500), async {
        tokio::time::sleep(ms(100)).await;
        leave_host(&host, path, 300).await;
    });
    let began = tokio::time::Instant::now();
    while host.chat().await.status != 200 {
        tokio::time::sleep(ms(100)).await;
    }
    tokio::time::sleep(secs(60)).await;
    (provider.fates(), began.elapsed().as_millis() - 60_000)
}

#[tokio::test(start_paused = true)]
async fn the_blocking_design_lets_go_of_whoever_leaves_at_work_and_in_the_backlog() {
    let cancelled = [Fate::HungUp(ms(500)), Fate::Finished(ms(3500))];
    assert_eq!(leave_the_backlog("cancel", "/chat").await, (cancelled.to_vec(), 3000));
    for policy in ["drain", "run_on"] {
        let all = [3, 6, 9].map(|at| Fate::Finished(secs(at)));
        let (fates, took) = leave_the_backlog(policy, "/chat").await;
        assert_eq!(fates, all, "{policy}");
        assert!(took > 8000, "{policy}: whoever stayed waited {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn usage_that_is_being_written_is_written_whoever_leaves() {
    for policy in ["cancel", "drain", "run_on"] {
        let service = json!({ "disconnect": policy, "database": { "query_time": "1s" } });
        let (_, host) = left(service, "/chat/stream", 5500, slow_stream()).await;
        assert_eq!(accounts(&host).await.answers, 1, "{policy}");
        assert!(
            metric(&host, r#"service_abandoned_total{usage="authoritative"} 1"#).await,
            "{policy}"
        );
        assert!(metric(&host, "service_usage_lost_total 0").await, "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_used_that_left_is_known_or_estimated_or_said_to_be_unknown() {
    let cases = [
        ("cancel", "/chat/stream", 2500, slow_stream(), "estimated", (1, 2)),
        ("cancel", "/chat/stream", 700, slow_stream(), "none", (0, 0)),
        ("cancel", "/chat", 700, Reply::Whole(secs(3)), "none", (0, 0)),
        ("drain", "/chat/stream", 2500, slow_stream(), "authoritative", (1, 2)),
        ("run_on", "/chat", 700, Reply::Whole(secs(3)), "authoritative", (1, 2)),
    ];
    for (policy, path, patience, reply, usage, counted) in cases {
        let (_, host) = left(json!({ "disconnect": policy }), path, patience, reply).await;
        let used = accounts(&host).await;
        assert_eq!(
            (used.answers, used.completion_tokens),
            counted,
            "{policy} {path} {patience}"
        );
        let known = format!(r#"service_abandoned_total{{usage="{usage}"}} 1"#);
        assert!(metric(&host, &known).await, "{policy} {path} {patience}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_in_large_pieces_is_estimated_by_its_length() {
    let long = "word ".repeat(40);
    let reply = stream_of(ms(1000), ms(1000), &[long.as_str(), "never read"]);
    let (_, host) = left(json!({ "disconnect": "cancel" }), "/chat/stream", 1500, reply).await;
    assert_eq!(accounts(&host).await.completion_tokens, 50);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_is_a_499_and_has_no_duration() {
    let (_, host) = left(json!({}), "/chat", 1000, Reply::Whole(secs(3))).await;
    for line in [
        r#"service_cancelled_total{endpoint="POST /chat"} 1"#,
        r#"service_requests_total{endpoint="POST /chat",status="499"} 1"#,
        r#"service_upstream_attempts_total{provider="a",outcome="cancelled"} 1"#,
    ] {
        assert!(metric(&host, line).await, "{line}");
    }
    let metrics = host.get("/metrics").await.body;
    assert!(
        !metrics.contains(r#"service_request_duration_seconds_count{endpoint="POST /chat"}"#),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_right_after_the_last_word_is_a_success() {
    for policy in ["cancel", "drain", "run_on"] {
        for path in ["/chat/stream", "/v1/chat/completions"] {
            let provider = Provider::new(|_, _| slow_stream());
            let host = Host::new(&provider, json!({ "disconnect": policy }));
            let asked = json!({ "model": "default", "stream": true });
            let mut body = super::support::question();
            body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
            let body = if path == "/chat/stream" {
                super::support::question()
            } else {
                body
            };
            let response = host.send(http::Method::POST, path, &body.to_string()).await;
            let mut body = response.into_body();
            loop {
                let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
                let text = String::from_utf8_lossy(&frame);
                if text.contains("event: done") || text.contains("[DONE]") {
                    break;
                }
            }
            drop(body);
            tokio::time::sleep(secs(60)).await;
            let ended = format!(r#"service_requests_total{{endpoint="POST {path}",status="200"}} 1"#);
            assert!(metric(&host, &ended).await, "{policy} {path}");
            let metrics = host.get("/metrics").await.body;
            for never in ["status=\"499\"", "service_drained_total{", "service_abandoned_total{"] {
                assert!(!metrics.contains(never), "{policy} {path}: {never}");
            }
        }
    }
}
