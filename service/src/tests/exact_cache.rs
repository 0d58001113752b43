use http::Method;
use serde_json::{Value, json};

use super::provider::{End, Provider, Reply, ending, stream_of, word};
use super::support::{Answer, Host, ms, question, secs};
use crate::settings::Digest;

fn caching(more: &Value) -> Value {
    let mut cache = json!({ "exact": true, "ttl": "60s" });
    cache.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "cache": cache, "retry": { "max_attempts": 1 }, "fallback": false })
}

async fn said_with(host: &Host, headers: &[(&str, &str)]) -> Answer {
    let body = question().to_string();
    Answer::read(host.send_with(Method::POST, "/chat", headers, &body).await).await
}

fn text(answer: &Answer) -> String {
    let events = answer.events().into_iter();
    let deltas = events.filter(|(name, _)| name == "delta");
    deltas
        .map(|(_, data)| data["text"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_again_on_every_route_with_what_it_used_and_a_name_of_its_own() {
    let provider = Provider::new(|_, _| stream_of(ms(100), ms(100), &["one", " two"]));
    let host = Host::new(&provider, caching(&json!({})));
    let first = host.stream().await;
    assert_eq!((first.header("x-cache"), text(&first)), ("miss", "one two".to_owned()));
    let took = host.elapsed_ms();
    let again = host.stream().await;
    assert_eq!((again.header("x-cache"), text(&again)), ("hit", "one two".to_owned()));
    assert_eq!(again.event_names(), ["delta", "usage", "done"]);
    assert_eq!(again.events()[1], first.events()[2], "usage");
    let done = |answer: &Answer| answer.events().last().unwrap().1.clone();
    assert_ne!(done(&first)["id"], done(&again)["id"]);
    assert_eq!(done(&again)["provider"], "a");
    let whole = host.chat().await;
    assert_eq!(
        (whole.header("x-cache"), &whole.json()["content"]),
        ("hit", &json!("one two"))
    );
    assert_eq!(whole.json()["usage"], first.events()[2].1);
    let completion = host.complete(json!({})).await;
    assert_eq!(completion.header("x-cache"), "hit");
    assert_eq!(completion.json()["choices"][0]["message"]["content"], "one two");
    assert_eq!((provider.seen().len(), host.elapsed_ms()), (1, took));
    let metrics = host.get("/metrics").await.body;
    for line in [
        r#"service_cache_lookups_total{cache="exact",outcome="hit"} 3"#,
        r#"service_cache_lookups_total{cache="exact",outcome="miss"} 1"#,
        r#"service_cache_stores_total{cache="exact",outcome="stored"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_lapses_and_another_question_has_another_answer() {
    let provider = Provider::new(|n, _| Reply::Says(ms(1), format!("answer {n}")));
    let host = Host::new(&provider, caching(&json!({})));
    let ask = |more: Value| async { host.complete(more).await.json()["choices"][0]["message"]["content"].clone() };
    assert_eq!(ask(json!({})).await, "answer 0");
    assert_eq!(ask(json!({})).await, "answer 0");
    assert_eq!(ask(json!({ "max_tokens": 51 })).await, "answer 1");
    assert_eq!(ask(json!({ "seed": 1 })).await, "answer 2");
    let named = ask(json!({ "model": "b" })).await;
    assert_eq!(named, "answer 3", "who names a model wants no other");
    assert_eq!(
        ask(json!({ "model": "m" })).await,
        named,
        "the same one, by its other name"
    );
    tokio::time::sleep(secs(60)).await;
    assert_eq!(ask(json!({})).await, "answer 4");
}

#[tokio::test(start_paused = true)]
async fn who_wants_a_new_answer_gets_one_and_who_wants_variety_always_does() {
    let provider = Provider::new(|n, _| Reply::Says(ms(1), format!("answer {n}")));
    let host = Host::new(&provider, caching(&json!({})));
    let content = |answer: Answer| answer.json()["content"].as_str().unwrap().to_owned();
    assert_eq!(content(host.chat().await), "answer 0");
    let fresh = said_with(&host, &[("cache-control", "no-cache")]).await;
    assert_eq!(
        (fresh.header("x-cache"), content(fresh.clone())),
        ("miss", "answer 1".to_owned())
    );
    assert_eq!(content(host.chat().await), "answer 1", "the new one took its place");
    assert_eq!(
        content(said_with(&host, &[("cache-control", "no-store")]).await),
        "answer 2"
    );
    assert_eq!(content(host.chat().await), "answer 1", "that one was not kept");
    for n in 3..6 {
        let varied = host.complete(json!({ "temperature": 1.5 })).await;
        assert_eq!(varied.json()["choices"][0]["message"]["content"], format!("answer {n}"));
        assert_eq!(varied.header("x-cache"), "");
    }
}

/// Streams that are no answer for anybody else, however they end for the client who asked.
fn faults() -> Vec<(&'static str, Reply)> {
    let words = || vec![(ms(1), word("half")), (ms(1), word(" an answer"))];
    let with = |more: &[String], end| {
        let frames = words()
            .into_iter()
            .chain(more.iter().map(|frame| (ms(1), frame.clone())));
        Reply::Stream(frames.collect(), end)
    };
    let finish = |reason: &str| {
        let chunk = json!({ "model": "m-1", "choices": [{ "index": 0, "delta": {}, "finish_reason": reason }] });
        format!("data: {chunk}\n\n")
    };
    let done = || "data: [DONE]\n\n".to_owned();
    let error = || r#"data: {"error":{"message":"x","type":"server_error"}}"#.to_owned() + "\n\n";
    vec![
        ("a clean end of file", with(&[], End::Clean)),
        ("a reset", with(&[], End::Broken)),
        ("silence", with(&[], End::Silence)),
        ("no terminator", with(&[finish("stop")], End::Clean)),
        ("no finish", with(&[done()], End::Clean)),
        ("a malformed frame", with(&["data: {\"oops\n\n".to_owned()], End::Clean)),
        ("an error event", with(&[error()], End::Clean)),
        (
            "a content filter",
            with(&[finish("content_filter"), done()], End::Clean),
        ),
        (
            "nothing said",
            Reply::Stream(vec![(ms(1), finish("stop")), (ms(1), done())], End::Clean),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn only_complete_answers_enter_whatever_breaks_and_whoever_hides_it() {
    for hidden in ["report", "ignore"] {
        for (name, fault) in faults() {
            let provider = Provider::new(move |n, _| match n {
                0 => fault.clone(),
                _ => stream_of(ms(1), ms(1), &["all", " of it"]),
            });
            let mut service = caching(&json!({ "coalesce": true }));
            service["broken_stream"] = json!(hidden);
            let host = Host::new(&provider, service);
            host.stream().await;
            let second = host.stream().await;
            assert_eq!(
                (second.header("x-cache"), text(&second)),
                ("miss", "all of it".to_owned()),
                "{name}"
            );
            assert_eq!(text(&host.stream().await), "all of it");
            assert_eq!(provider.seen().len(), 2, "{name}: the second answer is kept");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_cut_off_by_its_bound_is_one_if_the_bound_was_asked_for() {
    let cut = || {
        let finish = json!({ "model": "m-1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "length" }] });
        let mut frames = vec![(ms(1), word("up to the")), (ms(1), format!("data: {finish}\n\n"))];
        frames.extend(ending().into_iter().skip(1));
        Reply::Stream(frames, End::Clean)
    };
    let provider = Provider::new(move |_, _| cut());
    let host = Host::new(&provider, caching(&json!({})));
    host.stream().await;
    assert_eq!(host.stream().await.header("x-cache"), "hit");
    let unbounded = json!({ "messages": question()["messages"] }).to_string();
    for _ in 0..2 {
        let answer = Answer::read(host.send(Method::POST, "/chat/stream", &unbounded).await).await;
        assert_eq!(answer.header("x-cache"), "miss");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_substitute_says_is_not_kept() {
    let service = json!({
        "cache": { "exact": true },
        "providers": [
            { "name": "a", "base_url": "http://a.sim", "model": "large" },
            { "name": "b", "base_url": "http://b.sim", "model": "small" },
        ],
    });
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Status(503, None),
        _ => Reply::Whole(ms(1)),
    });
    let host = Host::new(&provider, service);
    assert_eq!(host.chat().await.json()["provider"], "b");
    let second = host.chat().await;
    assert_eq!(
        (second.header("x-cache"), &second.json()["provider"]),
        ("miss", &json!("a"))
    );
    assert_eq!(host.chat().await.header("x-cache"), "hit");
}

#[tokio::test(start_paused = true)]
async fn what_a_substitute_says_is_not_kept_either_while_its_principal_is_known_to_fail() {
    let service = json!({
        "cache": { "exact": true }, "retry": { "max_attempts": 2 }, "breaker": { "failures": 2, "cooldown": "60s" },
        "providers": [
            { "name": "a", "base_url": "http://a.sim", "model": "large" },
            { "name": "b", "base_url": "http://b.sim", "model": "small" },
        ],
    });
    let provider = Provider::new(|_, seen| match seen.body["model"].as_str() {
        Some("large") => Reply::Status(503, None),
        _ => Reply::Whole(ms(1)),
    });
    let host = Host::new(&provider, service);
    let asked_of = |model: &str| {
        provider
            .seen()
            .iter()
            .filter(|seen| seen.body["model"] == model)
            .count()
    };
    for n in 1..=5 {
        let answer = host.chat().await;
        assert_eq!(
            (answer.header("x-cache"), &answer.json()["provider"]),
            ("miss", &json!("b")),
            "{n}"
        );
    }
    assert_eq!((asked_of("large"), asked_of("small")), (2, 5), "its breaker is open");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_can_pay_for_less_keeps_no_cheap_answer_under_a_dear_name() {
    let provider = |name: &str, model: &str, price: f64| {
        json!({ "name": name, "base_url": format!("http://{name}.sim"), "model": model,
            "prompt_usd_per_million": price, "completion_usd_per_million": price })
    };
    let key = |name: &str, budget: Value| json!({ "name": name, "tenant": "t", "sha256": Digest::of(name.as_bytes()).to_hex(), "budget_usd": budget });
    // A question of 17 bytes and 50 tokens costs 15,000 micro-dollars and more of the dear one.
    let service = json!({
        "cache": { "exact": true }, "auth": "required",
        "providers": [provider("a", "large", 100.0), provider("b", "small", 0.1)],
        "keys": [key("poor", json!(0.001)), key("rich", json!(1000))],
    });
    let told = Provider::new(|_, seen| Reply::Says(ms(1), seen.body["model"].as_str().unwrap().to_owned()));
    let host = Host::new(&told, service);
    let mut body = question();
    body["model"] = json!("large");
    for (who, said) in [("poor", "small"), ("rich", "large"), ("poor", "large")] {
        let bearer = format!("Bearer {who}");
        let sent = host.send_with(
            Method::POST,
            "/v1/chat/completions",
            &[("authorization", &bearer)],
            &body.to_string(),
        );
        let answer = Answer::read(sent.await).await.json();
        assert_eq!(answer["choices"][0]["message"]["content"], said, "{who}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hit_costs_no_money_no_connection_and_no_row() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let mut service = caching(&json!({}));
    service["database"] = json!({ "pool": 1, "hold_connection": true, "query_time": "0s" });
    let host = Host::new(&provider, service);
    host.chat().await;
    let mut held = host.stores.database.acquire().await.unwrap();
    let before = held.session("anonymous/default").await.unwrap();
    assert_eq!(
        host.chat().await.header("x-cache"),
        "hit",
        "although nobody has a connection left"
    );
    assert_eq!(
        (held.session("anonymous/default").await.unwrap(), before.answers),
        (before, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn replicas_share_answers_where_they_are_told_to() {
    for (store, calls) in [("memory", 2), ("shared", 1)] {
        let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
        let one = Host::new(&provider, caching(&json!({ "store": store })));
        let settings = one.app.settings.clone();
        let two = Host::with(&provider, settings, one.stores.replica());
        one.chat().await;
        two.chat().await;
        assert_eq!(provider.seen().len(), calls, "{store}");
        let mut elsewhere = one.app.settings.clone();
        elsewhere.providers[0].base_url = "http://elsewhere.sim/v1".to_owned();
        let other = Host::with(&provider, elsewhere, one.stores.replica());
        assert_eq!(
            other.chat().await.header("x-cache"),
            "miss",
            "another deployment on the same server"
        );
    }
}
