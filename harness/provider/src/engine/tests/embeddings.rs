//! Vectors: a row for each input, one charge for the call, and nothing crossed.

use brownout_scenario::embedding;
use brownout_scenario::observe::{CallInput, Finish};
use brownout_scenario::tracer;
use brownout_scenario::units::{Micros, Picodollars, PromptId};
use http::Method;
use serde_json::{Value, json};

use super::{Answer, World, read};
use crate::samples::{plan, plan_with, status};

async fn embed(world: &World, texts: &[String]) -> Answer {
    let mut client = world.client().await;
    let body = json!({ "model": "gpt-4o-mini", "input": texts });
    let mut request = client.request(Method::POST, "/v1/embeddings", &body.to_string());
    let trace = "00-62726f776e6f75740000000000000003-0000000000000003-01";
    request.headers_mut().insert("traceparent", trace.parse().unwrap());
    read(client.send(request).await).await
}

fn texts() -> Vec<String> {
    [(1, 10), (2, 30)]
        .map(|(prompt, tokens)| tracer::prompt_text(PromptId(prompt), tokens))
        .into()
}

#[tokio::test(start_paused = true)]
async fn each_input_has_a_row_and_the_call_is_charged_once() {
    let world = World::of(plan_with(|plan| {
        plan.models[0].price.per_call = Picodollars(100_000_000);
    }));
    let (answer, texts) = (embed(&world, &texts()).await, texts());
    assert_eq!(
        (answer.status, world.clock.now_us()),
        (200, 100_000),
        "a first token's time"
    );
    let body: Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(body["usage"], json!({ "prompt_tokens": 40, "total_tokens": 40 }));
    for (place, text) in texts.iter().enumerate() {
        let numbers: Vec<f64> = serde_json::from_value(body["data"][place]["embedding"].clone()).unwrap();
        assert!(embedding::is_vector_of(text, &numbers), "{numbers:?}");
    }
    let rows = world.provider.ledger.rows();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.prompt.0,
                row.prompt_tokens,
                row.billed_prompt,
                row.price.0,
                row.finish,
                row.caller,
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (1, 10, 10, 10 * 150_000 + 100_000_000, Finish::Stop, None),
            (2, 30, 30, 30 * 150_000, Finish::Stop, None)
        ]
    );
    let call = rows[0].input.unwrap().call;
    assert_eq!(rows[1].input, Some(CallInput { call, place: 1 }));
    assert!(rows.iter().all(|row| row.ended == Micros(100_000)));
    let totals = world.provider.ledger.totals();
    assert_eq!((totals.attempts, totals.billed_prompt), (1, 40));
}

#[tokio::test(start_paused = true)]
async fn an_input_alone_is_known_by_the_trace_of_its_call() {
    let world = World::of(plan());
    embed(&world, &texts()[..1]).await;
    assert_eq!(world.row().caller, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_a_fault_fails_is_one_row_and_free() {
    let world = World::of(plan_with(|plan| {
        plan.models[0].price.per_call = Picodollars(100_000_000);
        plan.faults = vec![status(503, None)];
    }));
    assert_eq!(embed(&world, &texts()).await.status, 503);
    let row = world.row();
    assert_eq!(
        (row.finish, row.price, row.billed_prompt),
        (Finish::Fault, Picodollars(0), 0)
    );
}

#[tokio::test(start_paused = true)]
async fn an_input_that_does_not_fit_is_refused_and_a_call_of_many_that_do_is_not() {
    let world = World::of(plan_with(|plan| plan.models[0].context_window = Some(31)));
    assert_eq!(embed(&world, &texts()).await.status, 200);
    let world = World::of(plan_with(|plan| plan.models[0].context_window = Some(30)));
    let refused = embed(&world, &texts()).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("context_length_exceeded"), "{}", refused.text);
}
