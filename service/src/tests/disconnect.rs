use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::provider::{Fate, Provider, Reply, stream_of};
use super::support::{Host, ms, secs};

/// Leaves a request after `patience` and returns what the provider saw, a minute later.
async fn leave(service: Value, path: &str, patience: u64, reply: Reply) -> Vec<Fate> {
    let provider = Provider::new(move |_, _| reply.clone());
    let host = Host::new(&provider, service);
    let asking = host.post(path);
    let left = tokio::time::timeout(ms(patience), async {
        let mut body = asking.await.into_body();
        while body.frame().await.is_some() {}
    });
    assert!(left.await.is_err(), "the answer came before the client left");
    tokio::time::sleep(secs(60)).await;
    provider.fates()
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
async fn a_client_that_left_is_counted() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(3)));
    let host = Host::new(&provider, json!({}));
    assert!(tokio::time::timeout(secs(1), host.post("/chat")).await.is_err());
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains(r#"service_cancelled_total{endpoint="POST /chat"} 1"#),
        "{metrics}"
    );
    let attempt = r#"service_upstream_attempts_total{provider="a",outcome="cancelled"} 1"#;
    assert!(metrics.contains(attempt), "{metrics}");
}
