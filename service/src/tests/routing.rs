use http::Method;
use serde_json::{Value, json};

use super::provider::{Provider, Reply, Seen, stream_of};
use super::support::{Answer, Host, ms, secs};

/// Two providers: `a` is dear and large, `b` cheap and small.
fn pair(route: &Value) -> Value {
    let provider = |name: &str, window: u32, price: f64| {
        json!({
            "name": name, "base_url": format!("http://{name}.sim/v1"), "model": format!("model-{name}"),
            "context_window": window, "prompt_usd_per_million": price, "completion_usd_per_million": price * 4.0,
        })
    };
    let mut providers = [provider("a", 100_000, 2.5), provider("b", 1_000, 0.1)];
    providers[0]["tasks"] = json!(["code"]);
    json!({ "route": route, "providers": providers })
}

fn quick() -> std::sync::Arc<Provider> {
    Provider::new(|_, _| Reply::Whole(ms(1)))
}

fn asked(content: &str, more: &Value) -> String {
    let mut body = json!({ "messages": [{ "role": "user", "content": content }] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

async fn chat(host: &Host, body: &str) -> Answer {
    Answer::read(host.send(Method::POST, "/chat", body).await).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_who_was_to_be_asked_and_why() {
    let provider = quick();
    let host = Host::new(&provider, pair(&json!({})));
    let answer = host.chat().await;
    assert_eq!(
        (answer.header("x-route-reason"), answer.json()["provider"].as_str()),
        ("order: a, then b", Some("a"))
    );
    let host = Host::new(&provider, pair(&json!({ "policy": "cost" })));
    let answer = host.chat().await;
    assert_eq!(
        (answer.header("x-route-reason"), answer.json()["provider"].as_str()),
        ("cost: b 0.000021 USD, then a", Some("b"))
    );
    let metrics = host.get("/metrics").await.body;
    let line = r#"service_routes_total{provider="b",reason="cost"} 1"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_asked_for_is_asked_first_whatever_the_policy_says() {
    let provider = quick();
    let host = Host::new(&provider, pair(&json!({ "policy": "cost" })));
    let answer = host.complete(json!({ "model": "model-a" })).await;
    assert_eq!(answer.header("x-route-reason"), "asked: a, then b");
    let answer = host.complete(json!({ "model": "default" })).await;
    assert!(answer.header("x-route-reason").starts_with("cost: b "));
    assert_eq!(provider.hosts(), ["a.sim", "b.sim"]);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_room_anywhere_is_refused_and_nobody_is_asked() {
    let provider = quick();
    let host = Host::new(&provider, pair(&json!({ "policy": "cost" })));
    let long = chat(&host, &asked(&"word ".repeat(2_000), &json!({}))).await;
    assert!(
        long.header("x-route-reason")
            .starts_with("window: a (b has no room for 2500 tokens)"),
        "{long:?}"
    );
    let too_long = chat(&host, &asked(&"word ".repeat(150_000), &json!({}))).await;
    assert_eq!(too_long.problem(), (413, "context-length-exceeded".to_owned()));
    assert!(too_long.body.contains("about 187500 tokens"), "{}", too_long.body);
    let too_long = host.complete(json!({ "messages": [{ "role": "user", "content": "word ".repeat(150_000) }] }));
    assert_eq!(too_long.await.json()["error"]["code"], "context_length_exceeded");
    assert_eq!(provider.hosts(), ["a.sim"]);
    let naive = Host::new(&provider, pair(&json!({ "check_window": false })));
    assert_eq!(
        chat(&naive, &asked(&"word ".repeat(150_000), &json!({}))).await.status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_is_named_in_the_body_or_in_a_header_and_is_a_short_word() {
    let provider = quick();
    let mut settings = pair(&json!({ "policy": "task" }));
    settings["providers"].as_array_mut().unwrap().reverse();
    let host = Host::new(&provider, settings);
    let by_body = chat(&host, &asked("Sort this.", &json!({ "task": "code" }))).await;
    assert_eq!(by_body.header("x-route-reason"), "task: a for code, then b");
    assert_eq!(host.chat().await.header("x-route-reason"), "task: b, then a");
    let with = |task: &'static str| {
        let body = asked("Sort this.", &json!({ "model": "default" }));
        let sent = host.send_with(Method::POST, "/v1/chat/completions", &[("x-task", task)], &body);
        async { Answer::read(sent.await).await }
    };
    assert_eq!(with("code").await.header("x-route-reason"), "task: a for code, then b");
    let bad = with("two words").await;
    assert_eq!(
        (bad.status.as_u16(), &bad.json()["error"]["code"]),
        (400, &json!("task_malformed"))
    );
    let bad = chat(&host, &asked("Sort this.", &json!({ "task": "two words" }))).await;
    assert_eq!(bad.problem(), (422, "invalid-request".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn latency_leaves_who_became_slow_and_tries_it_again_later() {
    let script = |_: usize, seen: &Seen| {
        let slow = seen.host == "a.sim" && seen.at < secs(5);
        stream_of(if slow { ms(2_000) } else { ms(100) }, ms(1), &["one", " two"])
    };
    let provider = Provider::new(script);
    let host = Host::new(&provider, pair(&json!({ "policy": "latency", "half_life": "2s" })));
    for _ in 0..20 {
        host.stream().await;
        tokio::time::sleep(secs(1)).await;
    }
    let hosts = provider.hosts();
    let to_a: Vec<usize> = (0..20).filter(|n| hosts[*n] == "a.sim").collect();
    assert!(to_a.len() >= 3, "{hosts:?}: it is tried again");
    let while_slow = to_a.iter().filter(|n| provider.times()[**n] < 5_000).count();
    assert_eq!(while_slow, 1, "{hosts:?}: one request found out");
}

#[tokio::test(start_paused = true)]
async fn a_long_conversation_is_trimmed_and_its_client_is_told() {
    let provider = quick();
    let host = Host::new(&provider, json!({ "diet": { "history_tokens": 10, "max_tokens": 20 } }));
    let turns: Vec<Value> = [
        ("system", 40),
        ("user", 40),
        ("assistant", 40),
        ("user", 20),
        ("assistant", 20),
        ("user", 90),
    ]
    .into_iter()
    .map(|(role, bytes)| json!({ "role": role, "content": "x".repeat(bytes) }))
    .collect();
    let answer = chat(&host, &json!({ "messages": turns, "max_tokens": 50 }).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-history-dropped")), (200, "2"));
    let seen = &provider.seen()[0].body;
    assert_eq!(
        (
            &seen["max_tokens"],
            &seen["messages"][1],
            seen["messages"].as_array().unwrap().len()
        ),
        (&json!(20), &turns[3], 4)
    );
    let metrics = host.get("/metrics").await.body;
    for line in [
        "service_diet_dropped_tokens_total 20",
        "service_diet_capped_answers_total 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    }
    assert_eq!(host.chat().await.header("x-history-dropped"), "");
}
