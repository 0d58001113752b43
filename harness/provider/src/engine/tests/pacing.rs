//! What leaves when: the streaming engine on the virtual clock.

use brownout_scenario::distribution::Distribution;
use http::Method;
use http_body_util::BodyExt;

use super::{CHAT, STREAM, World, chat};
use crate::samples::{lognormal, plan};

/// Sends one streamed request; for every write, when it arrived (in us) and how many tokens it held.
async fn writes(world: &World, body: &str) -> (u64, Vec<(u64, usize)>) {
    let mut client = world.client().await;
    let request = client.request(Method::POST, CHAT, body);
    let mut response = client.send(request).await;
    let headers = world.clock.now_us();
    let mut writes = Vec::new();
    while let Some(frame) = response.body_mut().frame().await {
        let data = frame.unwrap().into_data().unwrap();
        assert!(!data.is_empty(), "an empty frame");
        let text = String::from_utf8(data.to_vec()).unwrap();
        writes.push((world.clock.now_us(), text.matches(r#""delta":{"content""#).count()));
    }
    (headers, writes)
}

#[tokio::test(start_paused = true)]
async fn each_token_leaves_when_it_is_due_and_the_status_line_with_the_first() {
    let world = World::of(plan());
    let (headers, writes) = writes(&world, &chat(1, STREAM)).await;
    assert_eq!(headers, 100_000);
    let due: Vec<_> = (0..5).map(|n| (100_000 + n * 10_000, 1)).collect();
    assert_eq!(writes, due);
}

#[tokio::test(start_paused = true)]
async fn tokens_due_within_one_tick_share_a_write_but_not_a_frame() {
    let mut plan = plan();
    plan.inter_token = Distribution::Constant { value: 300.0 };
    let world = World::of(plan);
    let (_, writes) = writes(&world, &chat(1, STREAM)).await;
    assert_eq!(writes, [(100_000, 1), (101_000, 3), (102_000, 1)]);
}

#[tokio::test(start_paused = true)]
async fn rounding_does_not_add_up_over_a_long_answer() {
    let mut plan = plan();
    plan.inter_token = Distribution::Constant { value: 1_400.0 };
    plan.output_tokens = Distribution::Constant { value: 1_001.0 };
    let world = World::of(plan);
    let (_, writes) = writes(&world, &chat(1, STREAM)).await;
    assert_eq!(writes.last().unwrap().0, 1_500_000);
}

#[tokio::test(start_paused = true)]
async fn a_unary_answer_leaves_whole_when_its_last_token_is_due() {
    let world = World::of(plan());
    let answer = world.client().await.post(&chat(1, "")).await;
    assert_eq!(world.clock.now_us(), 140_000);
    assert_eq!(answer.status, 200);
    assert!(
        answer.text.contains(r#""content":"t1.0 t1.1 t1.2 t1.3 t1.4""#),
        "{}",
        answer.text
    );
    assert_eq!(answer.headers["openai-processing-ms"], "140");
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_what_it_is() {
    let world = World::of(plan());
    let answer = world.client().await.post(&chat(1, STREAM)).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream; charset=utf-8");
    assert_eq!(answer.headers["openai-processing-ms"], "100");
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
}

#[tokio::test(start_paused = true)]
async fn what_a_prompt_gets_does_not_depend_on_who_came_first() {
    let mut plan = plan();
    plan.first_token = lognormal(350_000.0, 1_200_000.0);
    plan.inter_token = lognormal(15_000.0, 40_000.0);
    plan.output_tokens = Distribution::Uniform { min: 1.0, max: 60.0 };
    let mut runs = Vec::new();
    for upward in [true, false] {
        let world = World::of(plan.clone());
        let mut order: Vec<u64> = (0..20).collect();
        if !upward {
            order.reverse();
        }
        let mut tasks = Vec::new();
        for prompt in order {
            let mut client = world.client().await;
            tasks.push(tokio::spawn(
                async move { client.post(&chat(prompt, STREAM)).await.text },
            ));
        }
        let mut texts = Vec::new();
        for task in tasks {
            texts.push(task.await.unwrap());
        }
        texts.sort();
        let mut rows = world.provider.ledger.rows();
        assert_eq!(rows[0].prompt.0, if upward { 0 } else { 19 });
        rows.sort_by_key(|row| row.prompt);
        runs.push((texts, rows));
    }
    assert_eq!(runs[0], runs[1]);
}
