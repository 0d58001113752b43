use http::Method;
use serde_json::{Value, json};

use super::api::broken;
use super::provider::{Provider, Reply, stream_of};
use super::support::{Answer, Host, ms};

#[tokio::test(start_paused = true)]
async fn a_completion_reads_as_openais_own() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(100)));
    let answer = Host::new(&provider, json!({})).complete(json!({})).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "application/json")
    );
    assert_eq!(answer.header("x-request-id"), "prompt-17");
    let mut body = answer.json();
    let id = body.as_object_mut().unwrap().remove("id").unwrap();
    assert!(id.as_str().unwrap().starts_with("chatcmpl-"), "{id}");
    let message = json!({ "role": "assistant", "content": "Hi there.", "refusal": null });
    let expected = json!({
        "object": "chat.completion", "created": 1_767_225_600, "model": "m-1",
        "choices": [{ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 },
    });
    assert_eq!(body, expected);
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_of_the_model_is_passed_on() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let more = json!({
        "messages": [
            { "role": "developer", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "One" }, { "type": "text", "text": " two?" }] },
        ],
        "max_completion_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": "END", "user": "u", "seed": -7,
        "response_format": { "type": "json_object" }, "tools": null, "store": true,
    });
    let answer = Host::new(&provider, json!({ "structured": "pass" }))
        .complete(more)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let expected = json!({
        "model": "m", "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "user": "u", "seed": -7,
        "response_format": { "type": "json_object" },
        "messages": [{ "role": "system", "content": "Be brief." }, { "role": "user", "content": "One two?" }],
    });
    assert_eq!(provider.seen()[0].body, expected);
}

/// The chunks of a stream: what is said of each choice, or the whole chunk where there is none.
fn chunks(data: &[String]) -> Vec<Value> {
    let read = data
        .iter()
        .filter(|data| *data != "[DONE]")
        .map(|data| serde_json::from_str::<Value>(data).unwrap());
    read.map(|chunk| match chunk["choices"].get(0) {
        Some(choice) => json!([choice["delta"], choice["finish_reason"]]),
        None => json!([chunk["usage"], chunk["error"]["code"]]),
    })
    .collect()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_chunks_a_finish_the_usage_that_was_asked_for_and_done() {
    let provider = Provider::new(|_, _| stream_of(ms(300), ms(20), &["one", "\n two"]));
    let host = Host::new(&provider, json!({}));
    for wanted in [true, false] {
        let more = json!({ "stream": true, "stream_options": { "include_usage": wanted } });
        let answer = host.complete(more).await;
        assert_eq!(answer.header("content-type"), "text/event-stream");
        let data = answer.data();
        assert_eq!(data.last().unwrap(), "[DONE]");
        let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 });
        let mut expected = vec![
            json!([{ "role": "assistant", "content": "", "refusal": null }, null]),
            json!([{ "content": "one" }, null]),
            json!([{ "content": "\n two" }, null]),
            json!([{}, "stop"]),
        ];
        expected.extend(wanted.then(|| json!([usage, null])));
        assert_eq!(chunks(&data), expected);
        let first: Value = serde_json::from_str(&data[0]).unwrap();
        assert_eq!(
            (&first["object"], &first["model"]),
            (&json!("chat.completion.chunk"), &json!("m-1"))
        );
        assert_eq!(
            first.get("usage").is_some(),
            wanted,
            "null until the last chunk, or not there at all"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_off_ends_in_an_error_and_is_never_done() {
    for (frames, end, kind) in broken() {
        let provider = Provider::new(move |_, _| Reply::Stream(frames.clone(), end));
        let more = json!({ "stream": true, "stream_options": { "include_usage": true } });
        let data = Host::new(&provider, json!({})).complete(more).await.data();
        assert!(!data.contains(&"[DONE]".to_owned()), "{kind}: {data:?}");
        let chunks = chunks(&data);
        assert_eq!(chunks.len(), 4, "a beginning, two words and the error: {chunks:?}");
        assert_eq!(chunks[3], json!([null, kind.replace('-', "_")]));
    }
}

#[tokio::test(start_paused = true)]
async fn the_naive_service_says_done_all_the_same() {
    for (frames, end, kind) in broken().into_iter().filter(|(_, _, kind)| *kind != "deadline-exceeded") {
        let provider = Provider::new(move |_, _| Reply::Stream(frames.clone(), end));
        let answer = Host::new(&provider, json!({ "preset": "naive" }))
            .complete(json!({ "stream": true }))
            .await;
        let data = answer.data();
        assert_eq!(data.last().unwrap(), "[DONE]", "{kind}");
        assert_eq!(chunks(&data).last().unwrap(), &json!([{}, "stop"]), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_have_openais_body_and_the_usual_status() {
    let provider = Provider::new(|_, _| Reply::Status(429, Some("7")));
    let host = Host::new(&provider, json!({ "preset": "naive" }));
    let refused = |more: Value| host.complete(more);
    let expected = |message: &str, family: &str, param: Value, code: &str| json!({ "error": { "message": message, "type": family, "param": param, "code": code } });
    let answer = refused(json!({})).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "7"));
    let message = "the model provider's rate limit is used up: try again later";
    assert_eq!(
        answer.json(),
        expected(message, "rate_limit_error", Value::Null, "upstream_rate_limited")
    );
    let answer = refused(json!({ "model": "gpt-99" })).await;
    let message = "there is no model \"gpt-99\" here: GET /v1/models lists those there are";
    assert_eq!(answer.status, 404);
    assert_eq!(
        answer.json(),
        expected(message, "invalid_request_error", Value::Null, "model_not_found")
    );
    let cases = [
        (json!({ "n": 2 }), "n"),
        (json!({ "temperature": 3 }), "temperature"),
        (json!({ "stop": ["a", "b", "c", "d", "e"] }), "stop"),
        (json!({ "tools": [{}] }), "tools"),
        (json!({ "logprobs": true }), "logprobs"),
        (
            json!({ "messages": [{ "role": "user", "content": [] }] }),
            "messages.0.content",
        ),
    ];
    for (more, param) in cases {
        let answer = refused(more).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["param"]),
            (422, &json!(param))
        );
    }
    let nowhere = Answer::read(host.send(Method::GET, "/v1/nowhere", "").await).await;
    assert_eq!(
        (nowhere.status.as_u16(), &nowhere.json()["error"]["code"]),
        (404, &json!("not_found"))
    );
    assert_eq!(host.get("/v1/chat/completions").await.status, 405);
}

#[tokio::test(start_paused = true)]
async fn the_model_that_is_named_is_the_one_that_is_asked_first() {
    let provider = Provider::new(|n, _| {
        if n == 2 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(1))
        }
    });
    let providers = json!([
        { "name": "a", "base_url": "http://a.sim/v1", "model": "small" },
        { "name": "b", "base_url": "http://b.sim/v1", "model": "large" },
    ]);
    let host = Host::new(&provider, json!({ "providers": providers }));
    for model in ["default", "large", "b"] {
        assert_eq!(host.complete(json!({ "model": model })).await.status, 200);
    }
    assert_eq!(
        provider.hosts(),
        ["a.sim", "b.sim", "b.sim", "a.sim"],
        "the last one fell back"
    );
    let listed = host.get("/v1/models").await.json();
    let listed: Vec<_> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (&m["id"], &m["owned_by"]))
        .collect();
    let expected = [("a", "a"), ("b", "b"), ("default", "a"), ("large", "b"), ("small", "a")];
    let expected = expected.map(|(id, owner)| (json!(id), json!(owner)));
    assert_eq!(
        listed,
        expected.iter().map(|(id, owner)| (id, owner)).collect::<Vec<_>>()
    );
}
