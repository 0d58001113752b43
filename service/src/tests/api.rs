use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::provider::{End, Provider, Reply, ending, stream_of, word};
use super::support::{Answer, Host, ms, question, secs};

#[tokio::test(start_paused = true)]
async fn a_chat_is_answered_with_what_the_provider_said_and_charged() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(100)));
    let host = Host::new(&provider, json!({}));
    let answer = host.chat().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("x-request-id"), "prompt-17");
    let mut body = answer.json();
    let id = body.as_object_mut().unwrap().remove("id").unwrap();
    assert!(id.as_str().unwrap().starts_with("chat-"));
    let expected = json!({
        "content": "Hi there.", "finish_reason": "stop", "model": "m-1", "provider": "a",
        "usage": { "prompt_tokens": 3, "completion_tokens": 2 },
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn the_provider_gets_the_conversation_the_key_and_the_clients_ids() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    Host::new(&provider, json!({})).chat().await;
    let seen = &provider.seen()[0];
    let expected = json!({
        "model": "m", "max_tokens": 50, "messages": [{ "role": "user", "content": "[prompt 17] hello" }],
    });
    assert_eq!(seen.body, expected);
    assert_eq!(seen.headers["authorization"], "Bearer sk-test");
    assert_eq!(seen.headers["x-request-id"], "prompt-17");
    let traceparent = seen.headers["traceparent"].to_str().unwrap();
    assert!(
        traceparent.starts_with("00-62726f776e6f75740000000000000011-"),
        "{traceparent}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_passes_on_every_piece_as_it_is_and_says_when_it_is_complete() {
    let provider = Provider::new(|_, _| stream_of(ms(300), ms(20), &["t17.0", " t17.1", "\n  x "]));
    let host = Host::new(&provider, json!({}));
    let answer = host.stream().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let mut events = answer.events();
    let (name, mut done) = events.pop().unwrap();
    assert!(done.as_object_mut().unwrap().remove("id").is_some());
    assert_eq!(
        (name.as_str(), done),
        (
            "done",
            json!({ "finish_reason": "stop", "model": "m-1", "provider": "a" })
        )
    );
    let expected = [
        ("delta", json!({ "text": "t17.0" })),
        ("delta", json!({ "text": " t17.1" })),
        ("delta", json!({ "text": "\n  x " })),
        ("usage", json!({ "prompt_tokens": 3, "completion_tokens": 2 })),
    ];
    assert_eq!(events, expected.map(|(name, data)| (name.to_owned(), data)));
    assert_eq!(host.elapsed_ms(), 340);
    assert_eq!(
        provider.seen()[0].body["stream_options"],
        json!({ "include_usage": true })
    );
}

#[tokio::test(start_paused = true)]
async fn problems_are_told_in_full() {
    let provider = Provider::new(|_, _| Reply::Status(429, Some("7")));
    let host = Host::new(&provider, json!({ "preset": "naive" }));
    let answer = host.chat().await;
    let expected = json!({
        "type": "urn:brownout-service:problem:upstream-rate-limited",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "the model provider's rate limit is used up: try again later",
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(answer.header("x-request-id"), "prompt-17");
}

#[tokio::test(start_paused = true)]
async fn what_the_client_did_wrong_is_said_before_anything_is_paid_for() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, json!({ "max_body_bytes": 2000 }));
    let long = json!({ "messages": [{ "role": "user", "content": "x".repeat(3000) }] }).to_string();
    let cases: [(Method, &str, &str, u16, &str); 9] = [
        (Method::POST, "/chat", "{", 400, "malformed-body"),
        (Method::POST, "/chat", r#"{"messages":[]}"#, 422, "invalid-request"),
        (
            Method::POST,
            "/chat",
            r#"{"messages":[{"role":"robot","content":"x"}]}"#,
            422,
            "invalid-request",
        ),
        (
            Method::POST,
            "/chat/stream",
            r#"{"messages":[{"role":"user","content":""}]}"#,
            422,
            "invalid-request",
        ),
        (
            Method::POST,
            "/chat",
            r#"{"messages":[{"role":"user","content":"x"}],"max_tokens":0}"#,
            422,
            "invalid-request",
        ),
        (Method::POST, "/chat", &long, 413, "body-too-large"),
        (Method::GET, "/nowhere", "", 404, "not-found"),
        (Method::GET, "/chat", "", 405, "method-not-allowed"),
        (Method::POST, "/jobs", &question().to_string(), 501, "no-jobs"),
    ];
    for (method, path, body, status, kind) in cases {
        let answer = Answer::read(host.send(method, path, body).await).await;
        assert_eq!(answer.problem(), (status, kind.to_owned()), "{path} {body:.40}");
    }
    assert_eq!(provider.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_way_a_provider_fails_has_its_status_and_none_shows_its_words() {
    let cases: [(Reply, u16, &str); 7] = [
        (Reply::Status(503, None), 502, "upstream-failed"),
        (Reply::Status(400, None), 502, "upstream-refused"),
        (Reply::Status(429, None), 429, "upstream-rate-limited"),
        (Reply::Refuse, 502, "upstream-failed"),
        (Reply::Body("<html>SECRET</html>"), 502, "upstream-failed"),
        (Reply::Body(""), 502, "upstream-failed"),
        (Reply::Silence, 504, "deadline-exceeded"),
    ];
    for (reply, status, kind) in cases {
        let script = reply.clone();
        let provider = Provider::new(move |_, _| script.clone());
        let answer = Host::new(&provider, json!({ "preset": "naive" })).chat().await;
        assert_eq!(answer.problem(), (status, kind.to_owned()), "{reply:?}");
        assert!(!answer.body.contains("SECRET"), "{}", answer.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_just_ends_is_an_error_however_cleanly_it_closed() {
    for (frames, end, kind) in broken() {
        let provider = Provider::new(move |_, _| Reply::Stream(frames.clone(), end));
        let answer = Host::new(&provider, json!({ "rescue": "off" })).stream().await;
        assert_eq!(answer.event_names(), ["delta", "delta", "error"], "{kind}");
        let problem: Value = answer.events().pop().unwrap().1;
        assert_eq!(problem["type"], format!("urn:brownout-service:problem:{kind}"));
        assert_eq!(
            provider.seen().len(),
            1,
            "without rescue a stream is not begun again after its first piece"
        );
    }
    // The mirror: with its closing frame it is complete, usage or not.
    let frames = [&words()[..], &ending()[..1], &ending()[2..]].concat();
    let provider = Provider::new(move |_, _| Reply::Stream(frames.clone(), End::Clean));
    let answer = Host::new(&provider, json!({})).stream().await;
    assert_eq!(answer.event_names(), ["delta", "delta", "done"]);
}

#[tokio::test(start_paused = true)]
async fn the_naive_service_lets_half_an_answer_pass_for_a_whole_one() {
    for (frames, end, kind) in broken() {
        let provider = Provider::new(move |_, _| Reply::Stream(frames.clone(), end));
        let answer = Host::new(&provider, json!({ "preset": "naive" })).stream().await;
        // A deadline is the service's own doing and always told.
        let last = if kind == "deadline-exceeded" { "error" } else { "done" };
        assert_eq!(answer.event_names().last().unwrap(), last, "{kind}");
    }
    // The mirror: before the first piece it is an error all the same.
    let provider = Provider::new(|_, _| Reply::Stream(Vec::new(), End::Clean));
    let answer = Host::new(&provider, json!({ "preset": "naive" })).stream().await;
    assert_eq!(answer.problem(), (502, "upstream-truncated".to_owned()));
}

fn words() -> Vec<(Duration, String)> {
    vec![(ms(10), word("one")), (ms(10), word(" two"))]
}

type Frames = Vec<(Duration, String)>;

/// Streams of two words that break off, and what that is called. The silent one is cut by a deadline.
pub(super) fn broken() -> Vec<(Frames, End, &'static str)> {
    let complete = ending();
    let (finish, done) = (&complete[..1], &complete[2..]);
    let then = |frames: &[(Duration, String)]| [&words()[..], frames].concat();
    vec![
        (words(), End::Clean, "upstream-truncated"),
        (then(done), End::Clean, "upstream-truncated"),
        (then(finish), End::Clean, "upstream-truncated"),
        (then(&complete[..2]), End::Clean, "upstream-truncated"),
        (words(), End::Broken, "upstream-failed"),
        (then(finish), End::Broken, "upstream-failed"),
        (words(), End::Silence, "deadline-exceeded"),
        (
            then(&[(ms(1), "data: {oops\n\n".into())]),
            End::Silence,
            "upstream-failed",
        ),
        (
            then(&[(ms(1), "data: {\"error\":{}}\n\n".into())]),
            End::Silence,
            "upstream-failed",
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_that_says_why_is_an_answer() {
    let provider = Provider::new(|_, _| Reply::Stream(ending(), End::Clean));
    let answer = Host::new(&provider, json!({})).stream().await;
    assert_eq!(answer.event_names(), ["usage", "done"]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_before_its_first_piece_has_a_status_of_its_own() {
    let provider = Provider::new(|_, _| Reply::Status(503, None));
    let answer = Host::new(&provider, json!({ "preset": "naive" })).stream().await;
    assert_eq!(answer.problem(), (502, "upstream-failed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_by_comments() {
    let provider = Provider::new(|_, _| stream_of(secs(40), ms(20), &["late"]));
    for (heartbeat, expected) in [("15s", 2), ("off", 0)] {
        let host = Host::new(&provider, json!({ "preset": "naive", "heartbeat": heartbeat }));
        for answer in [host.stream().await, host.complete(json!({ "stream": true })).await] {
            let comments = answer.body.lines().filter(|line| line.starts_with(':')).count();
            assert_eq!(comments, expected, "{heartbeat}: {}", answer.body);
            assert!(answer.body.contains("late"));
        }
    }
}
