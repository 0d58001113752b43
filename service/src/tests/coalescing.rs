use futures::future::join_all;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::provider::{Fate, Provider, Reply, stream_of};
use super::support::{Answer, Host, ms, secs};
use crate::settings::Digest;

fn sharing() -> Value {
    json!({ "cache": { "coalesce": true }, "retry": { "max_attempts": 1 }, "fallback": false })
}

fn words() -> Reply {
    stream_of(secs(1), secs(1), &["one", " two", " three", " four"])
}

fn deltas(answer: &Answer) -> Vec<String> {
    let events = answer.events().into_iter();
    let deltas = events.filter(|(name, _)| name == "delta");
    deltas
        .map(|(_, data)| data["text"].as_str().unwrap().to_owned())
        .collect()
}

/// Asks at `at_ms` and reads to the end.
async fn ask(host: &Host, path: &str, at_ms: u64) -> Answer {
    tokio::time::sleep(ms(at_ms)).await;
    Answer::read(host.post(path).await).await
}

/// Asks at `at_ms` and leaves at `until_ms`, having read what there was.
async fn leave(host: &Host, path: &str, at_ms: u64, until_ms: u64) {
    tokio::time::sleep(ms(at_ms)).await;
    let reading = async {
        let mut body = host.post(path).await.into_body();
        while body.frame().await.is_some() {}
    };
    let left = tokio::time::timeout(ms(until_ms - at_ms), reading).await;
    assert!(left.is_err(), "the answer came before the client left");
}

#[tokio::test(start_paused = true)]
async fn equal_questions_at_the_same_time_are_one_call_and_all_hear_all_of_it() {
    let provider = Provider::new(|_, _| words());
    let host = Host::new(&provider, sharing());
    let answers = join_all((0..20).map(|n| ask(&host, "/chat/stream", n * 150))).await;
    let sources: Vec<&str> = answers.iter().map(|answer| answer.header("x-cache")).collect();
    assert_eq!(
        (sources[0], sources[1..].iter().all(|source| *source == "coalesced")),
        ("miss", true)
    );
    for answer in &answers {
        assert_eq!(deltas(answer).concat(), "one two three four");
        assert_eq!(answer.event_names().last().unwrap(), "done");
        assert!(answer.event_names().contains(&"usage".to_owned()));
    }
    assert_eq!((provider.seen().len(), host.elapsed_ms()), (1, 4000));
    assert_eq!(host.app.flights.count(), 0, "nothing is left behind");
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains(r#"service_coalesced_total{outcome="joined"} 19"#),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_no_limits_gets_no_answer_that_was_bounded_for_somebody_who_has() {
    let key = |name: &str, more: Value| {
        let mut key = json!({ "name": name, "tenant": "t", "sha256": Digest::of(name.as_bytes()).to_hex() });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    };
    let mut service = sharing();
    service["auth"] = json!("required");
    service["keys"] = json!([
        key("bounded", json!({ "tokens_per_minute": 100_000 })),
        key("free", json!({}))
    ]);
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let host = Host::new(&provider, service);
    let ask = async |who: &str, max_tokens: Value| {
        let body = json!({ "messages": [{ "role": "user", "content": "hello" }], "max_tokens": max_tokens });
        let bearer = format!("Bearer {who}");
        let sent = host.send_with(Method::POST, "/chat", &[("authorization", &bearer)], &body.to_string());
        assert_eq!(Answer::read(sent.await).await.status, 200);
    };
    tokio::join!(ask("bounded", Value::Null), ask("free", Value::Null));
    let bounds: Vec<Value> = provider
        .seen()
        .iter()
        .map(|seen| seen.body["max_tokens"].clone())
        .collect();
    assert_eq!(bounds, [json!(4096), Value::Null]);
    tokio::join!(ask("bounded", json!(50)), ask("free", json!(50)));
    assert_eq!(provider.seen().len(), 3, "the same bound, asked for by both");
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_it_whole_may_read_a_stream_along_but_not_the_other_way_round() {
    let provider = Provider::new(|_, seen| match seen.body["stream"].as_bool() {
        Some(true) => words(),
        _ => Reply::Says(secs(2), "whole".to_owned()),
    });
    let host = Host::new(&provider, sharing());
    let (stream, whole) = tokio::join!(ask(&host, "/chat/stream", 0), ask(&host, "/chat", 1500));
    assert_eq!(whole.json()["content"], "one two three four");
    assert_eq!((whole.header("x-cache"), provider.seen().len()), ("coalesced", 1));
    assert_eq!(whole.json()["usage"], stream.events()[4].1);
    let (whole, stream) = tokio::join!(ask(&host, "/chat", 0), ask(&host, "/chat/stream", 500));
    assert_eq!(
        (whole.json()["content"].as_str(), deltas(&stream).len()),
        (Some("whole"), 4)
    );
    assert_eq!(provider.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_first_takes_nothing_along_and_the_last_one_hangs_up() {
    for path in ["/chat/stream", "/chat"] {
        // Before anything was said.
        let provider = Provider::new(|_, _| Reply::Silence);
        let host = Host::new(&provider, sharing());
        let all = [
            leave(&host, path, 0, 300),
            leave(&host, path, 100, 700),
            leave(&host, path, 200, 500),
        ];
        join_all(all).await;
        tokio::time::sleep(secs(60)).await;
        assert_eq!(provider.fates(), [Fate::HungUp(ms(700))], "{path}");
        assert_eq!(host.app.flights.count(), 0);
    }
    // In the middle of it.
    let provider = Provider::new(|_, _| words());
    let host = Host::new(&provider, sharing());
    let leaving = [
        leave(&host, "/chat/stream", 0, 1500),
        leave(&host, "/chat/stream", 500, 2500),
    ];
    join_all(leaving).await;
    assert_eq!(provider.fates(), [Fate::HungUp(ms(2500))]);
    // The one in front leaves, somebody stays.
    let provider = Provider::new(|_, _| words());
    let host = Host::new(&provider, sharing());
    let leaving = leave(&host, "/chat/stream", 0, 1500);
    let ((), answer) = tokio::join!(leaving, ask(&host, "/chat/stream", 1200));
    assert_eq!(deltas(&answer), ["one", " two", " three", " four"]);
    assert_eq!(provider.fates(), [Fate::Finished(secs(4))]);
}

#[tokio::test(start_paused = true)]
async fn what_is_done_for_those_who_stay_is_not_wasted() {
    let provider = Provider::new(|_, _| words());
    let host = Host::new(&provider, sharing());
    let leaving = leave(&host, "/chat/stream", 0, 1500);
    tokio::join!(leaving, ask(&host, "/chat/stream", 1200));
    let metrics = host.get("/metrics").await.body;
    assert!(!metrics.contains("service_wasted_tokens_total{"), "{metrics}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_and_nobody_asks_again() {
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Silence,
        _ => words(),
    });
    let host = Host::new(&provider, sharing());
    let answers = join_all((0..10).map(|n| ask(&host, "/chat/stream", n * 100))).await;
    for answer in answers {
        assert_eq!(answer.problem(), (504, "deadline-exceeded".to_owned()));
    }
    assert_eq!((provider.seen().len(), host.elapsed_ms()), (1, 5000));
    assert_eq!(ask(&host, "/chat/stream", 0).await.header("x-cache"), "miss");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_breaks_off_for_all() {
    let provider = Provider::new(|_, _| match words() {
        Reply::Stream(frames, end) => Reply::Stream(frames.into_iter().take(2).collect(), end),
        other => other,
    });
    let host = Host::new(&provider, sharing());
    let answers = join_all((0..3).map(|n| ask(&host, "/chat/stream", n * 700))).await;
    for answer in answers {
        assert_eq!(
            (
                deltas(&answer).concat().as_str(),
                answer.event_names().last().unwrap().as_str()
            ),
            ("one two", "error")
        );
    }
    assert_eq!(provider.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whose_time_is_up_does_not_take_that_of_others_and_they_ask_one_at_a_time() {
    let provider = Provider::new(|n, _| match n {
        0 | 2 => Reply::Silence,
        _ => words(),
    });
    let mut service = sharing();
    service["deadline"] = json!({ "first_token": "off", "total": "10s" });
    let host = Host::new(&provider, service);
    let answers = join_all([0, 4500, 4800].map(|at| ask(&host, "/chat/stream", at))).await;
    assert_eq!(answers[0].problem(), (504, "deadline-exceeded".to_owned()));
    for answer in &answers[1..] {
        assert_eq!(deltas(answer).concat(), "one two three four");
    }
    assert_eq!(provider.times(), [0, 10_000]);
    // A call that has less than half of the time left that somebody has is not joined by him.
    let late = join_all([0, 6000].map(|at| ask(&host, "/chat/stream", at))).await;
    assert_eq!((late[1].header("x-cache"), provider.seen().len()), ("miss", 4));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_holds_nobody_up() {
    let provider = Provider::new(|_, _| stream_of(ms(10), ms(10), &["word"; 500]));
    let host = Host::new(&provider, sharing());
    let slow = async {
        let mut body = host.post("/chat/stream").await.into_body();
        let (mut frames, mut text) = (0, String::new());
        while let Some(Ok(frame)) = body.frame().await {
            frames += 1;
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
            tokio::time::sleep(secs(1)).await;
        }
        (frames, text)
    };
    let quick = async {
        let answer = ask(&host, "/chat/stream", 100).await;
        (deltas(&answer).concat(), host.elapsed_ms())
    };
    let ((frames, text), (all, took_ms)) = tokio::join!(slow, quick);
    assert_eq!(all.len(), 2000);
    assert!(took_ms < 5100, "{took_ms}");
    assert!(text.contains("event: done") && text.matches("word").count() == 500);
    assert!(
        frames < 60,
        "{frames}: who is behind is given the rest in larger pieces"
    );
    assert!(matches!(provider.fates()[..], [Fate::Finished(after)] if after < ms(5100)));
}
