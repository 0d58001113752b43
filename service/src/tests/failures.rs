//! What follows each class of failure, and what a breaker spares.

use serde_json::{Value, json};

use super::provider::{End, Fate, Provider, Reply, Seen, stream_of, word};
use super::support::{Host, ms, secs};

const QUOTA: &str = r#"{"error":{"message":"x","type":"insufficient_quota","code":"insufficient_quota"}}"#;
const TOO_LONG: &str = r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#;
const FILTERED: &str = r#"{"error":{"message":"x","code":"content_filter"}}"#;
const CUT_OFF: &str = r#"{"model":"m-1","choices":[{"message":{"content":"Half an"},"finish_reason":"content_filter"}],
    "usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

/// `a` replies so, and `b` answers.
fn first(reply: Reply) -> impl Fn(usize, &Seen) -> Reply + Send + Sync {
    move |_, seen| {
        if seen.host == "a.sim" {
            reply.clone()
        } else {
            Reply::Whole(ms(10))
        }
    }
}

fn providers(windows: [Option<u32>; 2]) -> Value {
    let entry = |(name, window): (&str, Option<u32>)| {
        let mut entry = json!({ "name": name, "base_url": format!("http://{name}.sim/v1"), "model": "m" });
        if let Some(window) = window {
            entry["context_window"] = json!(window);
        }
        entry
    };
    ["a", "b"].into_iter().zip(windows).map(entry).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_is_silent_is_left_for_another_and_not_asked_again() {
    let provider = Provider::new(|_, seen| {
        if seen.host == "a.sim" {
            Reply::Silence
        } else {
            Reply::Status(503, None)
        }
    });
    let host = Host::new(&provider, json!({}));
    let answer = host.stream().await;
    assert_eq!(answer.problem(), (502, "upstream-failed".to_owned()));
    assert_eq!(provider.hosts(), ["a.sim", "b.sim", "b.sim", "b.sim", "b.sim"]);
    let alone = Provider::new(|_, _| Reply::Silence);
    let host = Host::new(&alone, json!({ "fallback": false }));
    let answer = host.stream().await;
    assert_eq!(answer.problem(), (504, "deadline-exceeded".to_owned()));
    assert_eq!((alone.fates(), host.elapsed_ms()), (vec![Fate::HungUp(secs(5))], 5_000));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_refused_is_shown_once_and_not_again_for_long() {
    for refused in [
        Reply::Status(401, None),
        Reply::Status(403, None),
        Reply::Refusal(429, QUOTA),
    ] {
        let provider = Provider::new(first(refused.clone()));
        let host = Host::new(&provider, json!({}));
        for _ in 0..20 {
            assert_eq!(host.chat().await.json()["provider"], "b", "{refused:?}");
            tokio::time::sleep(secs(5)).await;
        }
        let asked = provider.hosts().iter().filter(|host| *host == "a.sim").count();
        assert_eq!(asked, 1, "{refused:?}");
        tokio::time::sleep(secs(40)).await;
        host.chat().await;
        let asked = provider.hosts().iter().filter(|host| *host == "a.sim").count();
        assert_eq!(asked, 2, "{refused:?}: a look now and then");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_request_is_asked_once_and_held_against_nobody() {
    let provider = Provider::new(|_, _| Reply::Status(400, None));
    let host = Host::new(&provider, json!({}));
    for _ in 0..20 {
        assert_eq!(host.chat().await.problem(), (502, "upstream-refused".to_owned()));
    }
    assert_eq!(provider.hosts(), vec!["a.sim"; 20]);
    assert_eq!(host.get("/readyz").await.json()["status"], "ready");
    // The mirror: what a decorator does that retries everything.
    let provider = Provider::new(|_, _| Reply::Status(400, None));
    let everything = json!({ "preset": "naive", "retry": { "on": "everything", "max_attempts": 4 } });
    assert_eq!(Host::new(&provider, everything).chat().await.status, 502);
    assert_eq!(provider.seen().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_is_too_long_goes_to_a_larger_window_or_back() {
    for (windows, asked) in [
        ([Some(8_000), Some(32_000)], vec!["a.sim", "b.sim"]),
        ([Some(8_000), Some(8_000)], vec!["a.sim"]),
        ([Some(8_000), None], vec!["a.sim"]),
        ([None, None], vec!["a.sim"]),
    ] {
        let provider = Provider::new(first(Reply::Refusal(400, TOO_LONG)));
        let host = Host::new(&provider, json!({ "providers": providers(windows) }));
        let answer = host.chat().await;
        assert_eq!(provider.hosts(), asked, "{windows:?}");
        if asked.len() == 2 {
            assert_eq!(answer.json()["provider"], "b");
        } else {
            assert_eq!(answer.problem(), (413, "context-length-exceeded".to_owned()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_filter_stops_is_an_error_and_asked_of_nobody_else() {
    for reply in [Reply::Refusal(400, FILTERED), Reply::Body(CUT_OFF)] {
        let provider = Provider::new(move |_, _| reply.clone());
        let host = Host::new(&provider, json!({}));
        assert_eq!(host.chat().await.problem(), (422, "content-filtered".to_owned()));
        assert_eq!(provider.hosts(), ["a.sim"]);
    }
    // The naive one takes the words that came for the answer.
    let provider = Provider::new(|_, _| Reply::Body(CUT_OFF));
    let answer = Host::new(&provider, json!({ "preset": "naive" })).chat().await;
    assert_eq!(answer.json()["content"], "Half an");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_a_filter_cuts_off_says_so_in_band_and_before_its_first_word_by_its_status() {
    let end = concat!(
        r#"data: {"model":"m-1","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}"#,
        "\n\ndata: [DONE]\n\n"
    );
    let begun = vec![(ms(10), word("Half")), (ms(10), end.to_owned())];
    let provider = Provider::new(move |n, _| match n {
        0 | 1 => Reply::Stream(begun.clone(), End::Clean),
        _ => Reply::Stream(vec![(ms(10), end.to_owned())], End::Clean),
    });
    let host = Host::new(&provider, json!({}));
    let answer = host.stream().await;
    assert_eq!(answer.event_names(), ["delta", "error"]);
    let kind = answer.events()[1].1["type"].as_str().unwrap().to_owned();
    assert!(kind.ends_with("content-filtered"), "{kind}");
    let naive = Host::new(&provider, json!({ "preset": "naive" })).stream().await;
    assert_eq!(naive.event_names().last().unwrap(), "done");
    assert_eq!(host.stream().await.problem(), (422, "content-filtered".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_does_not_fit_is_not_slept_away() {
    let provider = Provider::new(first(Reply::Status(429, Some("40"))));
    let host = Host::new(&provider, json!({ "deadline": { "total": "30s" } }));
    let answer = host.chat().await;
    assert_eq!((answer.json()["provider"].clone(), host.elapsed_ms()), (json!("b"), 10));
    let provider = Provider::new(|_, _| Reply::Status(429, Some("86400")));
    let host = Host::new(&provider, json!({ "fallback": false }));
    let answer = host.chat().await;
    assert_eq!(answer.problem(), (429, "upstream-rate-limited".to_owned()));
    assert_eq!((answer.header("retry-after"), host.elapsed_ms()), ("60", 0));
}

/// One provider that is down, no retries.
fn down() -> Value {
    let alone = json!([{ "name": "a", "base_url": "http://a.sim/v1", "model": "m" }]);
    json!({ "providers": alone, "retry": { "max_attempts": 1 } })
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_answers_at_once_and_says_when_to_come_back() {
    let provider = Provider::new(|_, _| Reply::Status(503, None));
    let host = Host::new(&provider, down());
    for _ in 0..5 {
        assert_eq!(host.chat().await.status, 502);
    }
    for _ in 0..50 {
        let answer = host.chat().await;
        assert_eq!(answer.problem(), (503, "providers-unavailable".to_owned()));
        let after: u64 = answer.header("retry-after").parse().unwrap();
        assert!((9..=11).contains(&after), "{after}");
    }
    assert_eq!((provider.seen().len(), host.elapsed_ms()), (5, 0));
    let metrics = host.get("/metrics").await.body;
    for line in [
        r#"service_breaker_state{provider="a",operation="chat"} 2"#,
        r#"service_breaker_transitions_total{provider="a",operation="chat",to="open"} 1"#,
        r#"service_breaker_refused_total{provider="a",operation="chat"} 50"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_after_the_first_token_closes_the_breaker() {
    for (reads, state) in [(ms(1500), 0), (ms(500), 1)] {
        let provider = Provider::new(|n, _| match n {
            0..5 => Reply::Status(503, None),
            _ => stream_of(ms(1000), secs(1), &["one", " two", " three"]),
        });
        let host = Host::new(&provider, down());
        for _ in 0..5 {
            host.chat().await;
        }
        tokio::time::sleep(secs(12)).await;
        let _ = tokio::time::timeout(reads, host.stream()).await;
        assert_eq!(provider.seen().len(), 6);
        let metrics = host.get("/metrics").await.body;
        let line = format!(r#"service_breaker_state{{provider="a",operation="chat"}} {state}"#);
        assert!(metrics.contains(&line), "{reads:?}: {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_is_passed_over_without_an_attempt_and_without_a_retry() {
    let provider = Provider::new(first(Reply::Status(500, None)));
    let host = Host::new(&provider, json!({ "retry": { "max_attempts": 1 } }));
    for _ in 0..30 {
        assert_eq!(host.chat().await.json()["provider"], "b");
    }
    let asked = provider.hosts().iter().filter(|host| *host == "a.sim").count();
    assert_eq!(asked, 5);
}

#[tokio::test(start_paused = true)]
async fn after_the_cooldown_one_request_probes_and_the_others_wait_for_what_becomes_of_it() {
    let provider = Provider::new(|n, _| {
        if n < 5 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(secs(2))
        }
    });
    let host = Host::new(&provider, down());
    for _ in 0..5 {
        host.chat().await;
    }
    tokio::time::sleep(secs(12)).await;
    let answers = futures::future::join_all((0..20).map(|_| host.chat())).await;
    let answered = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((answered, provider.seen().len()), (1, 6));
    let answers = futures::future::join_all((0..20).map(|_| host.chat())).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

#[tokio::test(start_paused = true)]
async fn a_probe_whose_client_leaves_makes_room_for_the_next() {
    let provider = Provider::new(|n, _| {
        if n < 5 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(secs(2))
        }
    });
    let host = Host::new(&provider, down());
    for _ in 0..5 {
        host.chat().await;
    }
    tokio::time::sleep(secs(12)).await;
    assert!(tokio::time::timeout(secs(1), host.post("/chat")).await.is_err());
    assert_eq!(host.chat().await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_stream_counts_at_its_end_and_not_when_its_client_leaves() {
    let broken = vec![(ms(10), word("one"))];
    let provider = Provider::new(move |_, _| Reply::Stream(broken.clone(), End::Broken));
    let host = Host::new(&provider, down());
    for _ in 0..5 {
        assert_eq!(host.stream().await.event_names(), ["delta", "error"]);
    }
    assert_eq!(host.stream().await.problem().1, "providers-unavailable");
    // The mirror: ten clients that leave after the first word say nothing about the provider.
    let provider = Provider::new(|_, _| stream_of(ms(10), secs(5), &["one", " two"]));
    let host = Host::new(&provider, down());
    for _ in 0..10 {
        assert!(tokio::time::timeout(secs(1), host.stream()).await.is_err());
    }
    assert_eq!(host.get("/readyz").await.json()["providers"]["a"], "ok");
}
