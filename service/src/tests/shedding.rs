use futures::future::join_all;
use serde_json::{Value, json};

use super::provider::{Fate, Provider, Reply, stream_of};
use super::support::{Answer, Host, ms, secs};

fn host(provider: &std::sync::Arc<Provider>, shed: &Value) -> Host {
    Host::new(provider, json!({ "shed": shed, "fallback": false }))
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_waits_in_line_and_who_finds_the_line_full_is_told_at_once() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let host = host(&provider, &json!({ "concurrent": 2, "queue": 3, "wait": "10s" }));
    let crowd = (0..7).map(async |_| {
        let answer = host.chat().await;
        (answer.status.as_u16(), host.elapsed_ms())
    });
    let all = join_all(crowd).await;
    let expected = [
        (200, 1000),
        (200, 1000),
        (200, 2000),
        (200, 2000),
        (200, 3000),
        (503, 0),
        (503, 0),
    ];
    assert_eq!(all, expected);
    assert_eq!(provider.most_at_once(), 2);
    let metrics = host.get("/metrics").await.body;
    for line in [
        "service_places 2",
        "service_places_in_use 0",
        "service_places_waiting 0",
        r#"service_shed_total{reason="full"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_how_much_work_is_there_in_milliseconds() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(600)));
    let host = host(&provider, &json!({ "concurrent": 1, "queue": 1 }));
    assert_eq!(host.chat().await.status, 200);
    let all = join_all((0..3).map(|_| host.chat())).await;
    assert_eq!(all[2].problem(), (503, "overloaded".to_owned()));
    assert_eq!(
        (all[2].header("retry-after-ms"), all[2].header("retry-after")),
        ("1200", "2")
    );
}

#[tokio::test(start_paused = true)]
async fn who_would_be_served_too_late_is_told_at_once() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(2)));
    let deadline = json!({ "total": "5s", "attempt": "off" });
    let shed = json!({ "concurrent": 1, "queue": 100, "wait": "60s" });
    let host = Host::new(
        &provider,
        json!({ "shed": shed, "deadline": deadline, "fallback": false }),
    );
    assert_eq!(host.chat().await.status, 200);
    let began = host.elapsed_ms();
    let crowd = (0..4).map(async |_| {
        let answer = host.chat().await;
        (answer.status.as_u16(), host.elapsed_ms() - began)
    });
    // At work for 2 s; the next is done after 4 s; the third would be after 6 s, and has 5 s.
    assert_eq!(join_all(crowd).await, [(200, 2000), (200, 4000), (503, 0), (503, 0)]);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_as_long_as_it_may_is_refused() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(30)));
    let host = host(&provider, &json!({ "concurrent": 1, "queue": 5, "wait": "2s" }));
    let crowd = (0..3).map(async |_| {
        let answer = host.chat().await;
        (answer.status.as_u16(), host.elapsed_ms())
    });
    assert_eq!(join_all(crowd).await, [(200, 30_000), (503, 2_000), (503, 2_000)]);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_until_the_last_piece_and_given_back_by_whoever_leaves() {
    let provider = Provider::new(|_, _| stream_of(ms(100), secs(1), &["one", " two", " three"]));
    let host = host(&provider, &json!({ "concurrent": 1, "queue": 2, "wait": "20s" }));
    let reading = host.post("/chat/stream").await;
    let waiting = tokio::spawn(host.post("/chat/stream"));
    let leaving = tokio::spawn(host.post("/chat/stream"));
    tokio::time::sleep(ms(50)).await;
    assert_eq!(host.stream().await.status, 503, "two wait");
    leaving.abort();
    let _ = leaving.await;
    let next = tokio::spawn(host.post("/chat/stream"));
    // The first one leaves in the middle of its answer.
    tokio::time::sleep(ms(450)).await;
    drop(reading);
    let second = Answer::read(waiting.await.unwrap()).await;
    assert_eq!(second.event_names().last().unwrap(), "done");
    let third = Answer::read(next.await.unwrap()).await;
    assert_eq!(third.event_names().last().unwrap(), "done");
    assert_eq!(provider.seen().len(), 3, "who left the line was never asked for");
    assert_eq!(provider.most_at_once(), 1);
    assert!(matches!(provider.fates()[0], Fate::HungUp(_)));
}

#[tokio::test(start_paused = true)]
async fn who_is_shed_before_anything_is_finished_is_not_told_to_come_back_at_once() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(20)));
    let host = host(&provider, &json!({ "concurrent": 1, "queue": 0 }));
    let working = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(ms(1)).await;
    assert_eq!(host.chat().await.header("retry-after-ms"), "100");
    tokio::time::sleep(secs(4)).await;
    assert_eq!(
        host.chat().await.header("retry-after-ms"),
        "4001",
        "what it took so far"
    );
    working.abort();
}

#[tokio::test(start_paused = true)]
async fn what_reaches_no_provider_says_nothing_about_how_long_an_answer_takes() {
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Whole(secs(10)),
        1 => Reply::Status(401, None),
        _ => Reply::Whole(secs(20)),
    });
    let providers = json!([{ "name": "a", "base_url": "http://a.sim", "model": "m" }]);
    let shed = json!({ "concurrent": 1, "queue": 0 });
    let host = Host::new(
        &provider,
        json!({ "shed": shed, "providers": providers, "database": { "query_time": "1ms" } }),
    );
    assert_eq!(host.chat().await.status, 200);
    assert_eq!(host.chat().await.status, 502);
    // Refused within a millisecond, because the breaker is open.
    for _ in 0..50 {
        assert_eq!(host.chat().await.problem().1, "providers-unavailable");
    }
    tokio::time::sleep(secs(200)).await;
    let working = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(secs(3)).await;
    let after: u64 = host.chat().await.header("retry-after-ms").parse().unwrap();
    assert!(after >= 8000, "{after}");
    working.abort();
}
