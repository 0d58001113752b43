use std::time::{Duration, Instant};

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;

use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms};

const OPENAI: &str = "/v1/chat/completions";

/// A body, its content type, and what it is answered with on all routes that take one.
fn cases(path: &str) -> Vec<(&'static str, Vec<u8>, &'static str, u16)> {
    let json = "application/json";
    let model = if path == OPENAI { r#""model":"default","# } else { "" };
    let chat = |more: &str| format!(r#"{{{model}"messages":[{{"role":"user","content":"x"}}]{more}}}"#).into_bytes();
    let deep = |open: &str| open.repeat(200_000).into_bytes();
    let mut no_utf8 = chat("");
    let at = no_utf8.iter().position(|byte| *byte == b'x').unwrap();
    no_utf8[at] = 0xff;
    vec![
        ("nothing", Vec::new(), json, 400),
        ("no JSON", b"messages=hello".to_vec(), json, 400),
        ("half of it", br#"{"messages":["#.to_vec(), json, 400),
        ("bad UTF-8", no_utf8, json, 400),
        (
            "a lone surrogate",
            br#"{"messages":[{"role":"user","content":"\ud800"}]}"#.to_vec(),
            json,
            400,
        ),
        ("deep lists", deep("["), json, 400),
        ("deep maps", deep(r#"{"a":"#), json, 400),
        (
            "a deep corner",
            chat(&format!(
                r#","response_format":{}1{}"#,
                "[".repeat(100),
                "]".repeat(100)
            )),
            json,
            400,
        ),
        ("a form", chat(""), "application/x-www-form-urlencoded", 415),
        ("another type", b"[]".to_vec(), json, 422),
        (
            "no messages",
            br#"{"model":"default","messages":[]}"#.to_vec(),
            json,
            422,
        ),
        ("a negative limit", chat(r#","max_tokens":-5"#), json, 422),
        ("no limit to speak of", chat(r#","max_tokens":1e30"#), json, 422),
        ("a limit in words", chat(r#","max_tokens":"many""#), json, 422),
        (
            "a long word",
            chat(&format!(r#","max_tokens":"{}""#, "y".repeat(100_000))),
            json,
            422,
        ),
        ("too much", vec![b' '; 2 << 20], json, 413),
    ]
}

#[tokio::test]
async fn bad_input_is_refused_in_words_without_a_call_and_at_once() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, json!({ "design": "background" }));
    let mut slowest = (Duration::ZERO, String::new());
    for path in ["/chat", "/chat/stream", "/jobs", OPENAI] {
        for (name, body, content_type, status) in cases(path) {
            // The best of a few: another program may have the processor during one of them.
            let mut took = Duration::MAX;
            let mut answer = None;
            for _ in 0..3 {
                let request = Request::post(path).header("content-type", content_type);
                let request = request.body(Body::from(body.clone())).unwrap();
                #[expect(
                    clippy::disallowed_methods,
                    reason = "what is measured is our own time, on the real clock"
                )]
                let began = Instant::now();
                answer = Some(Answer::read(host.ask(request).await).await);
                took = took.min(began.elapsed());
            }
            let answer = answer.unwrap();
            assert_eq!(answer.status.as_u16(), status, "{path}, {name}: {}", answer.body);
            assert!(answer.body.len() < 1000, "{path}, {name}: {}", answer.body);
            let told = if path == OPENAI {
                "application/json"
            } else {
                "application/problem+json"
            };
            assert_eq!(answer.header("content-type"), told, "{path}, {name}");
            if took > slowest.0 {
                slowest = (took, format!("{path}, {name}"));
            }
        }
    }
    println!("the slowest refusal took {:?}: {}", slowest.0, slowest.1);
    assert_eq!(provider.seen().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_part_that_does_not_fit_is_named_at_once() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, json!({}));
    let body = json!({
        "messages": [{ "role": "user", "content": "x" }, { "role": "user", "content": "" }],
        "max_tokens": 0, "session_id": "a\u{0}b",
    });
    let answer = Answer::read(host.send(Method::POST, "/chat", &body.to_string()).await).await;
    let errors = answer.json()["errors"].clone();
    let pointers: Vec<&str> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    assert_eq!(pointers, ["#/max_tokens", "#/messages/1/content", "#/session_id"]);
    let typo = json!({ "messages": [{ "role": "user", "content": "x" }], "max_token": 5 });
    let answer = Answer::read(host.send(Method::POST, "/chat", &typo.to_string()).await).await;
    assert!(answer.body.contains("unknown field `max_token`"), "{}", answer.body);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for_long() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, json!({}));
    let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let answer = Answer::read(host.ask(Request::post("/chat").body(body).unwrap()).await).await;
    assert_eq!(answer.problem(), (408, "body-too-slow".to_owned()));
    assert_eq!(host.elapsed_ms(), 30_000);
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_as_too_much_is_not_even_read() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, json!({}));
    let body = Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let request = Request::post("/chat")
        .header("content-length", "9000000000")
        .body(body)
        .unwrap();
    assert_eq!(
        Answer::read(host.ask(request).await).await.problem(),
        (413, "body-too-large".to_owned())
    );
    assert_eq!(host.elapsed_ms(), 0);
}
