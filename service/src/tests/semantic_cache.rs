use http::Method;
use serde_json::{Value, json};

use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms, secs};
use crate::answering;

fn meaning(more: &Value) -> Value {
    let mut cache = json!({ "exact": true, "semantic": true, "threshold": 0.9, "ttl": "60s" });
    cache.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "cache": cache, "retry": { "max_attempts": 1 }, "fallback": false })
}

async fn ask(host: &Host, messages: &[(&str, &str)], more: &Value) -> Answer {
    let turn = |(role, content): &(&str, &str)| json!({ "role": role, "content": content });
    let mut body = json!({ "messages": messages.iter().map(turn).collect::<Vec<_>>() });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Answer::read(host.send(Method::POST, "/chat", &body.to_string()).await).await
}

async fn asked(host: &Host, text: &str) -> String {
    let answer = ask(host, &[("user", text)], &json!({})).await;
    format!(
        "{} {}",
        answer.header("x-cache"),
        answer.json()["content"].as_str().unwrap()
    )
}

fn counting() -> std::sync::Arc<Provider> {
    Provider::new(|n, _| Reply::Says(ms(1), format!("answer {n}")))
}

const ASKED: &str = "How do I cancel my subscription?";
const AGAIN: &str = "Could you please tell me how to cancel a subscription";

#[tokio::test(start_paused = true)]
async fn the_same_in_other_words_has_the_same_answer_until_it_lapses() {
    let host = Host::new(&counting(), meaning(&json!({})));
    assert_eq!(asked(&host, ASKED).await, "miss answer 0");
    assert_eq!(asked(&host, AGAIN).await, "semantic answer 0");
    assert_eq!(asked(&host, ASKED).await, "hit answer 0", "the exact cache comes first");
    assert_eq!(asked(&host, "How do I renew my subscription?").await, "miss answer 1");
    tokio::time::sleep(secs(60)).await;
    assert_eq!(asked(&host, AGAIN).await, "miss answer 2");
    let metrics = host.get("/metrics").await.body;
    let hit = r#"service_cache_lookups_total{cache="semantic",outcome="hit"} 1"#;
    assert!(metrics.contains(hit), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_new_answer_renews_the_one_that_others_get() {
    let host = Host::new(&counting(), meaning(&json!({})));
    assert_eq!(asked(&host, ASKED).await, "miss answer 0");
    let body = json!({ "messages": [{ "role": "user", "content": ASKED }] }).to_string();
    for (said, n) in [("no-cache", 1), ("no-store", 2)] {
        let sent = host.send_with(Method::POST, "/chat", &[("cache-control", said)], &body);
        assert_eq!(Answer::read(sent.await).await.json()["content"], format!("answer {n}"));
        assert_eq!(asked(&host, AGAIN).await, "semantic answer 1", "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_last_question_is_compared_and_all_else_has_to_be_equal() {
    let host = Host::new(&counting(), meaning(&json!({})));
    let said =
        async |messages: &[(&str, &str)], more: Value| ask(&host, messages, &more).await.header("x-cache").to_owned();
    let before = ("assistant", "Which one?");
    assert_eq!(said(&[before, ("user", ASKED)], json!({})).await, "miss");
    assert_eq!(said(&[before, ("user", AGAIN)], json!({})).await, "semantic");
    assert_eq!(
        said(&[("user", AGAIN)], json!({})).await,
        "miss",
        "nothing was said before"
    );
    assert_eq!(
        said(&[("assistant", "Which?"), ("user", AGAIN)], json!({})).await,
        "miss"
    );
    assert_eq!(
        said(&[before, ("user", AGAIN)], json!({ "max_tokens": 7 })).await,
        "miss"
    );
    let completion = |text: &str, more: Value| {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": text }] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host.send(Method::POST, "/v1/chat/completions", &body.to_string())
    };
    for (n, more) in [json!({}), json!({ "temperature": 0.5 }), json!({ "seed": 1 })]
        .into_iter()
        .enumerate()
    {
        assert_eq!(
            completion(ASKED, more.clone()).await.headers()["x-cache"],
            "miss",
            "{n}"
        );
        assert_eq!(completion(AGAIN, more).await.headers()["x-cache"], "semantic", "{n}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_to_agree_is_looked_at_unless_it_is_switched_off() {
    let (two, three) = (
        "Can I bring 2 bags on board the plane?",
        "Can I bring 3 bags on board the plane?",
    );
    for (guards, second) in [(true, "miss answer 1"), (false, "semantic answer 0")] {
        let host = Host::new(&counting(), meaning(&json!({ "guards": guards, "threshold": 0.7 })));
        asked(&host, two).await;
        assert_eq!(asked(&host, three).await, second);
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_service_asks_at_its_start_is_there_for_every_tenant_and_asked_once_one_at_a_time() {
    let provider = Provider::new(|n, _| match n {
        1 => Reply::Status(500, None),
        _ => Reply::Says(secs(1), format!("answer {n}")),
    });
    let warm = [ASKED, "How long is the warranty?", "Where is my parcel?"];
    let host = Host::new(&provider, meaning(&json!({ "warm": warm })));
    answering::warm(std::sync::Arc::clone(&host.app)).await;
    assert_eq!((provider.seen().len(), provider.most_at_once()), (3, 1));
    let bounded = json!({ "max_tokens": 50 });
    for (text, from) in [
        (ASKED, "hit"),
        (AGAIN, "semantic"),
        ("Where's my parcel please?", "semantic"),
    ] {
        assert_eq!(
            ask(&host, &[("user", text)], &bounded).await.header("x-cache"),
            from,
            "{text}"
        );
    }
    // The answer has two tokens.
    assert_eq!(
        ask(&host, &[("user", ASKED)], &json!({ "max_tokens": 1 }))
            .await
            .header("x-cache"),
        "miss"
    );
    assert_eq!(asked(&host, "How long is the warranty?").await, "miss answer 4");
    tokio::time::sleep(secs(3600)).await;
    assert_eq!(asked(&host, ASKED).await, "hit answer 0", "these do not lapse");
}
