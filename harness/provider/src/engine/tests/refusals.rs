//! Requests that this provider does not serve, and which of them leave a row.

use brownout_scenario::observe::Finish;
use http::Method;

use super::{CHAT, MAX_BODY, World, chat, read};
use crate::samples::plan;

#[tokio::test(start_paused = true)]
async fn refusals_have_their_status_and_their_words() {
    let world = World::of(plan());
    let mut client = world.client().await;
    let unknown_model = chat(1, "").replace("gpt-4o-mini", "gpt-9");
    for (method, path, body, status, words) in [
        (
            Method::POST,
            "/v1/audio/speech",
            "{}",
            404,
            "Invalid URL (POST /v1/audio/speech)",
        ),
        (Method::GET, CHAT, "", 405, "method_not_supported"),
        (
            Method::POST,
            CHAT,
            "{\"model\":",
            400,
            "We could not parse the JSON body",
        ),
        (Method::POST, CHAT, &unknown_model, 404, "model_not_found"),
    ] {
        let request = client.request(method, path, body);
        let answer = read(client.send(request).await).await;
        assert_eq!(answer.status, status, "{path} {body}");
        assert!(answer.text.starts_with(r#"{"error":{"message":"#), "{}", answer.text);
        assert!(answer.text.contains(words), "{}", answer.text);
    }
    let mut request = client.request(Method::POST, CHAT, &chat(1, ""));
    request.headers_mut().remove("authorization");
    let answer = read(client.send(request).await).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("You didn't provide an API key"), "{}", answer.text);
    assert_eq!(world.clock.now_us(), 0, "refusals don't wait");
}

#[tokio::test(start_paused = true)]
async fn chat_requests_that_were_read_leave_a_row_and_others_none() {
    let world = World::of(plan());
    let mut client = world.client().await;
    client.get("/v1/models").await;
    client.get("/nowhere").await;
    assert!(world.provider.ledger.rows().is_empty());
    client.post(&chat(3, "").replace("gpt-4o-mini", "gpt-9")).await;
    client.post(&chat(3, r#","max_tokens":0"#)).await;
    let rows = world.provider.ledger.rows();
    let told: Vec<_> = rows
        .iter()
        .map(|r| (r.prompt.0, r.attempt, r.status, r.finish, r.price.0))
        .collect();
    assert_eq!(told, [(3, 0, 404, Finish::Refused, 0), (3, 1, 400, Finish::Refused, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_body_at_the_bound_is_read_and_one_above_it_is_refused() {
    let world = World::of(plan());
    let padded = |length: usize| {
        let body = chat(1, "");
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    assert_eq!(world.client().await.post(&padded(MAX_BODY)).await.status, 200);
    let answer = world.client().await.post(&padded(MAX_BODY + 1)).await;
    assert_eq!(answer.status, 413);
    assert!(answer.text.contains("at most 33554432 bytes"), "{}", answer.text);
    assert_eq!(world.provider.ledger.rows().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_model_list_has_the_model() {
    let world = World::of(plan());
    let answer = world.client().await.get("/v1/models").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&answer.text).unwrap()["data"][0]["id"],
        "gpt-4o-mini"
    );
}
