//! Answers for which a form was asked.

use http::Method;
use serde_json::{Value, json};

use super::provider::{Provider, Reply, stream_of};
use super::support::{Answer, Host, ms, question};

const FITS: &str = r#"{"model":"m-1","choices":[{"message":{"content":"{\"days\":3}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const GARBAGE: &str = r#"{"model":"m-1","choices":[{"message":{"content":"t17.0 t17.1"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;
const CUT: &str = r#"{"model":"m-1","choices":[{"message":{"content":"{\"days\":"},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2}}"#;

fn format(schema: &Value) -> Value {
    json!({ "type": "json_schema", "json_schema": { "name": "trip", "schema": schema } })
}

fn days() -> Value {
    format(&json!({ "type": "object", "required": ["days"], "properties": { "days": { "type": "integer" } } }))
}

async fn ask(host: &Host, path: &str, format: &Value) -> Answer {
    let mut body = question();
    body["response_format"] = format.clone();
    Answer::read(host.send(Method::POST, path, &body.to_string()).await).await
}

fn garbage_once() -> std::sync::Arc<Provider> {
    Provider::new(|n, _| Reply::Body(if n == 0 { GARBAGE } else { FITS }))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_fit_is_asked_for_again_with_what_was_wrong() {
    let provider = garbage_once();
    let answer = ask(&Host::new(&provider, json!({})), "/chat", &days()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["content"]),
        (200, &json!("{\"days\":3}"))
    );
    let (first, second) = (&provider.seen()[0].body, &provider.seen()[1].body);
    assert_eq!(first["response_format"], days());
    assert_eq!(second["response_format"], days());
    assert_eq!(second["messages"][0], first["messages"][0], "the question stays");
    let more = second["messages"][1]["content"].as_str().unwrap();
    assert!(
        more.contains("it is no JSON") && second["messages"][1]["role"] == "user",
        "{more}"
    );
}

#[tokio::test(start_paused = true)]
async fn passing_checking_and_repairing_differ_in_what_the_client_gets_and_how_often_the_model_is_asked() {
    for (policy, status, attempts) in [("pass", 200, 1), ("check", 502, 1), ("repair", 200, 2)] {
        let provider = garbage_once();
        let host = Host::new(&provider, json!({ "structured": policy }));
        let answer = ask(&host, "/chat", &days()).await;
        assert_eq!(
            (answer.status.as_u16(), provider.seen().len()),
            (status, attempts),
            "{policy}"
        );
        if status == 502 {
            assert_eq!(answer.problem().1, "invalid-output");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_again_once_and_never_for_what_was_cut_off_at_its_limit() {
    let cut_off = (422, "output-cut-off");
    for (body, problem, attempts) in [(GARBAGE, (502, "invalid-output"), 2), (CUT, cut_off, 1)] {
        let provider = Provider::new(move |_, _| Reply::Body(body));
        let host = Host::new(&provider, json!({}));
        let answer = ask(&host, "/chat", &days()).await;
        assert_eq!(
            (answer.problem(), provider.seen().len()),
            ((problem.0, problem.1.to_owned()), attempts)
        );
    }
    let provider = garbage_once();
    let host = Host::new(&provider, json!({ "retry": { "max_attempts": 1 } }));
    assert_eq!(ask(&host, "/chat", &days()).await.status, 502, "no attempt to spare");
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_a_form_is_held_back_until_it_fits() {
    let provider = Provider::new(|n, _| {
        let words: &[&str] = if n == 0 {
            &["t17.0", " t17.1"]
        } else {
            &["{\"days\"", ":3}"]
        };
        stream_of(ms(100), ms(100), words)
    });
    let host = Host::new(&provider, json!({}));
    let answer = ask(&host, "/chat/stream", &days()).await;
    assert_eq!(answer.event_names(), ["delta", "usage", "done"]);
    assert_eq!(answer.events()[0].1["text"], "{\"days\":3}");
    assert_eq!(host.elapsed_ms(), 400);
    let provider = Provider::new(|_, _| stream_of(ms(100), ms(100), &["t17.0"]));
    let host = Host::new(&provider, json!({ "heartbeat": "50ms" }));
    let answer = ask(&host, "/chat/stream", &days()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.event_names()),
        (200, vec!["error".to_owned()]),
        "begun by a heartbeat"
    );
}

#[tokio::test(start_paused = true)]
async fn openai_clients_ask_in_the_same_way_and_text_is_never_checked() {
    let provider = garbage_once();
    let host = Host::new(&provider, json!({}));
    let answer = host.complete(json!({ "response_format": days() })).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "{\"days\":3}");
    let provider = garbage_once();
    let host = Host::new(&provider, json!({}));
    let answer = ask(&host, "/chat", &json!({ "type": "text" })).await;
    assert_eq!((answer.status.as_u16(), provider.seen().len()), (200, 1));
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_is_none_is_refused_before_anybody_is_asked() {
    let provider = garbage_once();
    let host = Host::new(&provider, json!({}));
    let outside = format(&json!({ "$ref": "https://example.com/x.json" }));
    let deep = (0..40).fold(json!({}), |inner, _| json!({ "not": inner }));
    for bad in [outside, format(&deep), json!({ "type": "json_schema" })] {
        let answer = ask(&host, "/chat", &bad).await;
        assert_eq!(answer.problem(), (422, "invalid-request".to_owned()), "{bad}");
        let answer = ask(&host, "/chat/stream", &bad).await;
        assert_eq!(answer.status, 422, "{bad}");
    }
    assert!(provider.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_became_of_answers_with_a_form_is_counted() {
    let provider = Provider::new(|n, _| Reply::Body(if n == 1 { GARBAGE } else { FITS }));
    let host = Host::new(&provider, json!({}));
    ask(&host, "/chat", &days()).await;
    ask(&host, "/chat", &days()).await;
    let metrics = host.get("/metrics").await.body;
    for outcome in ["valid", "repaired"] {
        let line = format!("service_structured_answers_total{{outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_repaired_is_accounted_for_with_the_one_before_it() {
    let host = Host::new(&garbage_once(), json!({}));
    let answer = ask(&host, "/chat", &days()).await;
    assert_eq!(
        answer.json()["usage"]["completion_tokens"],
        2,
        "of the answer that is there"
    );
    assert_eq!(super::disconnect::accounts(&host).await.completion_tokens, 2 + 2);
}
