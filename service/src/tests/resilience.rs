use serde_json::json;

use super::provider::{End, Fate, Provider, Reply, stream_of, word};
use super::support::{Host, ms, secs};

/// One provider, no fallback: what is seen is the retry policy.
fn alone(retry: &serde_json::Value) -> serde_json::Value {
    json!({ "fallback": false, "retry": retry })
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_is_tried_again_and_one_that_lasts_is_not() {
    let provider = Provider::new(|n, _| {
        if n < 2 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(10))
        }
    });
    let answer = Host::new(&provider, alone(&json!({}))).chat().await;
    assert_eq!((answer.status.as_u16(), provider.seen().len()), (200, 3));
    let provider = Provider::new(|_, _| Reply::Status(400, None));
    let answer = Host::new(&provider, alone(&json!({}))).chat().await;
    assert_eq!((answer.status.as_u16(), provider.seen().len()), (502, 1));
}

#[tokio::test(start_paused = true)]
async fn attempts_are_bounded() {
    let provider = Provider::new(|_, _| Reply::Status(500, None));
    let answer = Host::new(&provider, alone(&json!({ "max_attempts": 4 }))).chat().await;
    assert_eq!((answer.status.as_u16(), provider.seen().len()), (502, 4));
}

#[tokio::test(start_paused = true)]
async fn the_naive_preset_comes_back_at_once_and_the_resilient_one_when_it_was_told_to() {
    let script = |n, _: &_| {
        if n < 2 {
            Reply::Status(429, Some("3"))
        } else {
            Reply::Whole(ms(10))
        }
    };
    let provider = Provider::new(script);
    Host::new(&provider, json!({ "preset": "naive" })).chat().await;
    assert_eq!(provider.times(), [0, 0, 0]);
    let provider = Provider::new(script);
    Host::new(&provider, alone(&json!({}))).chat().await;
    let times = provider.times();
    assert!(times[1] >= 3000 && times[2] >= times[1] + 3000, "{times:?}");
    assert!(
        times[2] <= 2 * 3000 + 1000,
        "{times:?}: the floor is no addition to the back-off"
    );
}

#[tokio::test(start_paused = true)]
async fn a_hostile_retry_after_is_capped() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            Reply::Status(429, Some("86400"))
        } else {
            Reply::Whole(ms(10))
        }
    });
    let answer = Host::new(&provider, alone(&json!({ "retry_after_cap": "20s" })))
        .chat()
        .await;
    assert_eq!((answer.status.as_u16(), provider.times()), (200, vec![0, 20_000]));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_retry_that_would_come_too_late() {
    let provider = Provider::new(|_, _| Reply::Status(429, Some("30")));
    let host = Host::new(&provider, json!({ "fallback": false, "deadline": { "total": "10s" } }));
    let answer = host.chat().await;
    assert_eq!(answer.problem(), (429, "upstream-rate-limited".to_owned()));
    assert_eq!((answer.header("retry-after"), host.elapsed_ms()), ("30", 0));
}

#[tokio::test(start_paused = true)]
async fn jitter_differs_between_requests_and_not_between_runs() {
    async fn second_attempt(request_seed: u64) -> u128 {
        let provider = Provider::new(|n, _| {
            if n == 0 {
                Reply::Status(503, None)
            } else {
                Reply::Whole(ms(1))
            }
        });
        let host = Host::new(&provider, alone(&json!({ "base": "8s", "cap": "8s" })));
        // Another request id is another draw; the host itself has the same seed each time.
        let body = super::support::question().to_string();
        let request = http::Request::post("/chat")
            .header("x-request-id", format!("prompt-{request_seed}"))
            .body(axum::body::Body::from(body))
            .unwrap();
        let router = crate::features::router(std::sync::Arc::clone(&host.app));
        tower::ServiceExt::oneshot(router, request).await.unwrap();
        provider.times()[1]
    }
    assert_eq!(second_attempt(1).await, second_attempt(1).await);
    assert_ne!(second_attempt(1).await, second_attempt(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_does_not_begin_in_time_is_left_for_the_next_at_once() {
    let provider = Provider::new(|n, _| stream_of(if n == 0 { ms(5001) } else { ms(100) }, ms(10), &["word"]));
    let host = Host::new(&provider, json!({}));
    let answer = host.stream().await;
    assert_eq!(answer.event_names(), ["delta", "usage", "done"]);
    assert_eq!(
        (provider.times(), provider.hosts()),
        (vec![0, 5000], vec!["a.sim".into(), "b.sim".into()])
    );
    assert_eq!(provider.fates()[0], Fate::HungUp(secs(5)));
    // The mirror: a millisecond sooner and it is waited for.
    let provider = Provider::new(|_, _| stream_of(ms(4999), ms(10), &["word"]));
    let answer = Host::new(&provider, json!({})).stream().await;
    assert_eq!(
        (answer.event_names().len(), provider.hosts()),
        (3, vec!["a.sim".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn the_chain_is_walked_before_anyone_is_asked_again() {
    let provider = Provider::new(|n, _| {
        if n < 3 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(1))
        }
    });
    let answer = Host::new(&provider, json!({})).chat().await;
    assert_eq!(answer.json()["provider"], "b");
    assert_eq!(provider.hosts(), ["a.sim", "b.sim", "a.sim", "b.sim"]);
    let times = provider.times();
    assert!(times[1] == 0 && times[2] > 0, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn without_fallback_the_second_provider_is_never_asked() {
    let provider = Provider::new(|_, seen| {
        if seen.host == "a.sim" {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(1))
        }
    });
    let answer = Host::new(&provider, json!({ "fallback": false })).chat().await;
    assert_eq!(answer.status, 502);
    assert!(provider.hosts().iter().all(|host| host == "a.sim"));
    let answer = Host::new(&provider, json!({ "fallback": true })).chat().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(start_paused = true)]
async fn fallback_needs_no_retry_budget() {
    let provider = Provider::new(|_, seen| {
        if seen.host == "a.sim" {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(1))
        }
    });
    let host = Host::new(
        &provider,
        json!({ "retry": { "budget_ratio": 0.0, "max_attempts": 1 } }),
    );
    for _ in 0..30 {
        assert_eq!(host.chat().await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn the_retry_budget_bounds_the_load_on_a_provider_that_is_down() {
    let provider = Provider::new(|_, _| Reply::Status(503, None));
    let unbroken = |budget: serde_json::Value| {
        json!({
            "fallback": false, "retry": { "budget_ratio": budget },
            "breaker": { "failures": "off", "error_ratio": "off" },
        })
    };
    let host = Host::new(&provider, unbroken(json!(0.2)));
    for _ in 0..200 {
        host.chat().await;
    }
    let attempts = provider.seen().len();
    assert!(
        (240..=252).contains(&attempts),
        "{attempts}: 200 first attempts, a fifth more, and the reserve"
    );
    let unbounded = Host::new(&provider, unbroken(json!("off")));
    unbounded.chat().await;
    assert_eq!(provider.seen().len(), attempts + 5);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_is_ended_and_one_that_dawdles_is_not() {
    let silent = vec![(ms(10), word("one"))];
    let provider = Provider::new(move |_, _| Reply::Stream(silent.clone(), End::Silence));
    let host = Host::new(&provider, json!({ "rescue": "off" }));
    let answer = host.stream().await;
    assert_eq!(answer.event_names(), ["delta", "error"]);
    assert_eq!(
        answer.events()[1].1["detail"],
        "no answer in time: the idle deadline passed"
    );
    assert_eq!(provider.fates(), [Fate::HungUp(ms(10_010))]);
    let provider = Provider::new(|_, _| stream_of(ms(10), ms(9_900), &["one", " two", " three"]));
    let answer = Host::new(&provider, json!({})).stream().await;
    assert_eq!(answer.event_names().last().unwrap(), "done");
}

#[tokio::test(start_paused = true)]
async fn the_total_deadline_ends_everything() {
    let provider = Provider::new(|_, _| Reply::Silence);
    let host = Host::new(&provider, json!({ "preset": "naive" }));
    let answer = host.chat().await;
    assert_eq!(answer.problem(), (504, "deadline-exceeded".to_owned()));
    assert_eq!(
        (host.elapsed_ms(), provider.fates()),
        (60_000, vec![Fate::HungUp(secs(60))])
    );
    let provider = Provider::new(|_, _| stream_of(ms(10), secs(5), &["x"; 100]));
    let host = Host::new(&provider, json!({ "preset": "naive" }));
    let answer = host.stream().await;
    assert_eq!(
        (host.elapsed_ms(), answer.event_names().last().unwrap().as_str()),
        (60_000, "error")
    );
}
