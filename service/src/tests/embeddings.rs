use http::Method;
use serde_json::{Value, json};

use super::limits::keyed;
use super::provider::{Fate, Provider, Reply, Seen};
use super::support::{Answer, Host, ms};

fn quick() -> std::sync::Arc<Provider> {
    Provider::new(|_, _| Reply::Vectors(ms(50)))
}

async fn embed(host: &Host, input: Value) -> Answer {
    with(host, json!({ "model": "default", "input": input })).await
}

async fn with(host: &Host, body: Value) -> Answer {
    Answer::read(host.send(Method::POST, "/v1/embeddings", &body.to_string()).await).await
}

/// The inputs of each call.
fn calls(provider: &Provider) -> Vec<Value> {
    provider
        .seen()
        .into_iter()
        .map(|seen| seen.body["input"].clone())
        .collect()
}

fn vectors(answer: &Answer) -> Vec<Value> {
    let body = answer.json();
    let data = body["data"].as_array().unwrap_or_else(|| panic!("{}", answer.body));
    data.iter().map(|entry| entry["embedding"].clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_reads_as_openais_own() {
    let provider = quick();
    let answer = embed(&Host::new(&provider, json!({})), json!(["abc", "de"])).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/json")
    );
    let expected = json!({
        "object": "list", "model": "m-1",
        "data": [
            { "object": "embedding", "index": 0, "embedding": [3.0, 97.0] },
            { "object": "embedding", "index": 1, "embedding": [2.0, 100.0] },
        ],
        "usage": { "prompt_tokens": 5, "total_tokens": 5 },
    });
    assert_eq!(answer.json(), expected);
    let expected = json!({ "model": "m", "input": ["abc", "de"], "encoding_format": "float" });
    assert_eq!(provider.seen()[0].body, expected);
    let host = Host::new(&quick(), json!({}));
    let base64 = with(
        &host,
        json!({ "model": "m", "input": "abc", "encoding_format": "base64" }),
    );
    assert_eq!(vectors(&base64.await), ["AABAQAAAwkI="]);
}

#[tokio::test(start_paused = true)]
async fn inputs_of_requests_that_come_together_share_a_call_and_each_gets_its_own_vectors() {
    let provider = quick();
    let host = Host::new(&provider, json!({}));
    let (one, two, three) = tokio::join!(
        biased;
        embed(&host, json!("a")),
        embed(&host, json!(["bb", "ccc"])),
        async {
            tokio::time::sleep(ms(4)).await;
            embed(&host, json!("dddd")).await
        },
    );
    assert_eq!(calls(&provider), [json!(["a", "bb", "ccc", "dddd"])]);
    assert_eq!(vectors(&one), [json!([1.0, 97.0])]);
    assert_eq!(vectors(&two), [json!([2.0, 98.0]), json!([3.0, 99.0])]);
    assert_eq!(vectors(&three), [json!([4.0, 100.0])]);
    let tokens = [&one, &two, &three].map(|answer| answer.json()["usage"]["prompt_tokens"].clone());
    assert_eq!(tokens, [1, 5, 4]);
    assert_eq!(host.elapsed_ms(), 55, "the wait, then the call");
    let headers = &provider.seen()[0].headers;
    assert!(!headers.contains_key("traceparent"), "it is nobody's in particular");
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains("service_embedding_batch_inputs_sum 4.0\n"),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_naive_preset_makes_a_call_for_each_input() {
    let provider = quick();
    let host = Host::new(&provider, json!({ "preset": "naive" }));
    let answer = embed(&host, json!(["a", "bb"])).await;
    assert_eq!(calls(&provider), [json!(["a"]), json!(["bb"])]);
    assert_eq!((vectors(&answer).len(), host.elapsed_ms()), (2, 50));
    assert!(provider.seen()[0].headers.contains_key("traceparent"));
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_does_not_wait_and_what_differs_goes_apart() {
    let provider = quick();
    let host = Host::new(&provider, json!({ "batch": { "size": 2, "wait": "1s" } }));
    let long = json!({ "model": "m", "input": "long", "dimensions": 8 });
    let (_, _, _) = tokio::join!(biased; embed(&host, json!("a")), with(&host, long), embed(&host, json!("b")));
    assert_eq!(calls(&provider), [json!(["a", "b"]), json!(["long"])]);
    assert_eq!(provider.times(), [0, 1000]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_takes_only_its_own_input_out() {
    let provider = quick();
    let host = Host::new(&provider, json!({}));
    let early = async {
        let _ = tokio::time::timeout(ms(2), embed(&host, json!("early"))).await;
    };
    let late = async {
        let _ = tokio::time::timeout(ms(20), embed(&host, json!("late"))).await;
    };
    let ((), (), stays) = tokio::join!(biased; early, late, embed(&host, json!("stays")));
    assert_eq!(calls(&provider), [json!(["late", "stays"])]);
    assert_eq!(vectors(&stays), [json!([5.0, 115.0])]);
    assert_eq!(provider.fates(), [Fate::Finished(ms(55))]);
}

#[tokio::test(start_paused = true)]
async fn when_all_have_left_the_call_is_given_up() {
    let provider = quick();
    let host = Host::new(&provider, json!({}));
    let _ = tokio::time::timeout(ms(20), embed(&host, json!("a"))).await;
    tokio::time::sleep(ms(100)).await;
    assert_eq!(provider.fates(), [Fate::HungUp(ms(20))]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_is_retried_for_all_together() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            Reply::Status(503, None)
        } else {
            Reply::Vectors(ms(1))
        }
    });
    let host = Host::new(&provider, json!({}));
    let (one, two) = tokio::join!(biased; embed(&host, json!("a")), embed(&host, json!("bb")));
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    assert_eq!(calls(&provider), [json!(["a", "bb"]), json!(["a", "bb"])]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_input_stands_alone_in_the_end_and_the_others_are_answered() {
    let script = |_: usize, seen: &Seen| {
        let is_bad = seen.body["input"].as_array().unwrap().contains(&json!("bad"));
        if is_bad {
            Reply::Status(400, None)
        } else {
            Reply::Vectors(ms(1))
        }
    };
    let provider = Provider::new(script);
    let host = Host::new(&provider, json!({}));
    let (a, bad, b, c) = tokio::join!(
        biased;
        embed(&host, json!("a")),
        embed(&host, json!("bad")),
        embed(&host, json!("b")),
        embed(&host, json!("c")),
    );
    assert_eq!([&a, &b, &c].map(|answer| answer.status.as_u16()), [200; 3]);
    assert!(bad.status.is_client_error() || bad.status.is_server_error(), "{bad:?}");
    let expected = [
        json!(["a", "bad", "b", "c"]),
        json!(["a", "bad"]),
        json!(["a"]),
        json!(["bad"]),
        json!(["b", "c"]),
    ];
    assert_eq!(calls(&provider), expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_text_is_refused_and_nobody_is_asked() {
    let provider = quick();
    let host = Host::new(&provider, json!({}));
    for bad in [
        json!([]),
        json!(""),
        json!(["a", ""]),
        json!([1, 2]),
        json!(vec!["a"; 257]),
    ] {
        let answer = embed(&host, bad.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["code"]),
            (422, &json!("invalid_request")),
            "{bad}"
        );
    }
    let unknown = with(&host, json!({ "model": "gpt-99", "input": "a" })).await;
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
    assert_eq!(calls(&provider).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_has_no_embeddings_is_none_the_worse_at_chat() {
    let script = |_: usize, seen: &Seen| {
        if seen.body.get("input").is_some() {
            Reply::Status(404, None)
        } else {
            Reply::Whole(ms(1))
        }
    };
    let provider = Provider::new(script);
    let host = Host::new(&provider, json!({}));
    assert_eq!(embed(&host, json!("a")).await.status, 502);
    assert_eq!(
        embed(&host, json!("b")).await.status,
        503,
        "they are not asked for again"
    );
    let chat = host.chat().await;
    assert_eq!((chat.status.as_u16(), &chat.json()["provider"]), (200, &json!("a")));
    assert_eq!(provider.hosts(), ["a.sim", "a.sim"]);
    let metrics = host.get("/metrics").await.body;
    for line in [
        r#"service_breaker_state{provider="a",operation="chat"} 0"#,
        r#"service_breaker_state{provider="a",operation="embeddings"} 2"#,
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

/// A service whose key has so many micro-dollars, a token costing one; each input is a call.
fn with_budget(micros: u64) -> Value {
    let mut service = keyed(&json!({ "budget_usd": micros as f64 / 1e6 }), &json!({}));
    service["batch"] = json!({ "size": 1 });
    service["retry"] = json!({ "backoff": "none" });
    service
}

async fn paid(host: &Host, input: Value) -> u16 {
    let body = json!({ "model": "default", "input": input }).to_string();
    let key = [("authorization", "Bearer key")];
    let answer = host.send_with(Method::POST, "/v1/embeddings", &key, &body).await;
    Answer::read(answer).await.status.as_u16()
}

#[tokio::test(start_paused = true)]
async fn inputs_that_were_answered_are_paid_for_although_another_one_was_refused() {
    let script = |_: usize, seen: &Seen| {
        if seen.body["input"] == json!(["bad"]) {
            Reply::Status(400, None)
        } else {
            Reply::Vectors(ms(50))
        }
    };
    let provider = Provider::new(script);
    // "bad" and "ok" are 5 + 64 + 2 x 16 tokens at most; "ok" is two.
    let host = Host::new(&provider, with_budget(101 + 2));
    for n in 0..2 {
        assert_eq!(paid(&host, json!(["bad", "ok"])).await, 502, "{n}");
    }
    assert_eq!(paid(&host, json!(["bad", "ok"])).await, 402);
    assert_eq!(provider.seen().len(), 4);
    let host = Host::new(&provider, with_budget(102));
    for _ in 0..5 {
        assert_ne!(paid(&host, json!(["bad", "bad"])).await, 402, "costs nothing");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_at_embeddings_that_may_be_billed_is_paid_for_although_a_later_one_succeeds() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            Reply::Body("{}")
        } else {
            Reply::Vectors(ms(1))
        }
    });
    // 1 + 64 + 16 tokens at most.
    let host = Host::new(&provider, with_budget(81 + 80));
    assert_eq!(paid(&host, json!("a")).await, 200);
    assert_eq!(provider.seen().len(), 2);
    assert_eq!(paid(&host, json!("a")).await, 402, "all that was set aside is gone");
}
