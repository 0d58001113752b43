//! What comes with load: slots and a queue, slow stretches, prompts that are remembered.

use brownout_scenario::distribution::Distribution;
use brownout_scenario::observe::Finish;
use brownout_scenario::plan::{Capacity, Dialect, PromptCache, SlowPeriods};
use brownout_scenario::tracer;
use brownout_scenario::units::{Micros, Picodollars, PromptId};
use http::Method;

use super::{STREAM, World, chat, read};
use crate::samples::plan_with;

#[tokio::test(start_paused = true)]
async fn with_every_slot_taken_callers_wait_their_turn_and_then_are_turned_away() {
    let world = World::of(plan_with(|plan| plan.capacity = Some(Capacity { slots: 1, queue: 2 })));
    let ask = async |prompt: u64| {
        let answer = world.client().await.post(&chat(prompt, "")).await;
        (answer.status, world.clock.now_us() / 1_000, answer.text)
    };
    let answers = futures::future::join_all((0..4).map(ask)).await;
    let told: Vec<_> = answers.iter().map(|(status, at, _)| (*status, *at)).collect();
    // 140 ms each, one after the other.
    assert_eq!(told, [(200, 140), (200, 280), (200, 420), (503, 0)]);
    assert!(answers[3].2.contains("server_is_overloaded"), "{}", answers[3].2);
    let finishes: Vec<_> = world
        .provider
        .ledger
        .rows()
        .iter()
        .map(|row| (row.finish, row.billed))
        .collect();
    assert_eq!(finishes[3], (Finish::Overloaded, 0));
    assert_eq!(finishes[..3], [(Finish::Stop, 5); 3]);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_frees_the_slot() {
    let world = World::of(plan_with(|plan| plan.capacity = Some(Capacity { slots: 1, queue: 0 })));
    let mut client = world.client().await;
    let request = client.request(Method::POST, super::CHAT, &chat(1, STREAM));
    let response = client.send(request).await;
    assert_eq!(world.client().await.post(&chat(2, "")).await.status, 503);
    client.hang_up().await;
    drop(response);
    assert_eq!(world.client().await.post(&chat(3, "")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_queue_before_the_turn_has_come_pays_nothing() {
    let world = World::of(plan_with(|plan| plan.capacity = Some(Capacity { slots: 1, queue: 1 })));
    let mut first = world.client().await;
    let request = first.request(Method::POST, super::CHAT, &chat(1, STREAM));
    let response = first.send(request).await;
    let mut waiting = world.client().await;
    let request = waiting.request(Method::POST, super::CHAT, &chat(2, ""));
    tokio::select! {
        biased;
        _ = waiting.send(request) => panic!("answered before its turn"),
        () = world.sleep_until_ms(120) => {}
    }
    waiting.hang_up().await;
    drop(response);
    let row = world.provider.ledger.rows().remove(1);
    assert_eq!(
        (row.finish, row.billed_prompt, row.price),
        (Finish::HungUp, 0, Picodollars(0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_attempt_does_not_take_the_queue_with_it() {
    use brownout_scenario::plan::{FaultEffect, FaultPlan};
    let stall = FaultPlan {
        first: Some(1),
        ..crate::samples::fault(FaultEffect::Stall {
            after_tokens: None,
            lasts: None,
        })
    };
    let world = World::of(plan_with(|plan| {
        plan.capacity = Some(Capacity { slots: 1, queue: 5 });
        plan.faults = vec![stall];
    }));
    let mut stuck = world.client().await;
    let request = stuck.request(Method::POST, super::CHAT, &chat(1, STREAM));
    let response = stuck.send(request).await;
    assert_eq!(
        world.client().await.post(&chat(2, "")).await.status,
        503,
        "the only slot is stuck"
    );
    stuck.hang_up().await;
    drop(response);
    assert_eq!(world.client().await.post(&chat(3, "")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn in_a_slow_stretch_every_wait_is_longer() {
    let secs = |value: f64| Distribution::Constant { value: value * 1e6 };
    let world = World::of(plan_with(|plan| {
        plan.slow_periods = Some(SlowPeriods {
            every: secs(10.0),
            lasts: secs(5.0),
            factor: 3.0,
        });
    }));
    let mut took = Vec::new();
    for at_ms in [9_999, 10_000, 14_999, 15_000] {
        world.sleep_until_ms(at_ms).await;
        let sent = world.clock.now_us();
        world.client().await.post(&chat(at_ms, "")).await;
        took.push((world.clock.now_us() - sent) / 1_000);
    }
    assert_eq!(took, [140, 420, 420, 140]);
}

#[tokio::test(start_paused = true)]
async fn a_remembered_beginning_is_read_in_no_time_and_at_its_own_price() {
    let world = World::of(plan_with(|plan| {
        plan.prefill = Micros(1_000);
        plan.prompt_cache = Some(PromptCache {
            min_tokens: 100,
            granularity: 10,
            ttl: Micros::from_secs(60),
        });
    }));
    let asked = |prompt: u64| {
        let system = tracer::prompt_text(PromptId(99), 200);
        let user = tracer::prompt_text(PromptId(prompt), 10);
        format!(
            r#"{{"model":"gpt-4o-mini","messages":[{{"role":"system","content":"{system}"}},{{"role":"user","content":"{user}"}}]}}"#
        )
    };
    let mut client = world.client().await;
    client.post(&asked(1)).await;
    assert_eq!(world.clock.now_us(), 140_000 + 210_000);
    let second = client.post(&asked(2)).await;
    assert_eq!(world.clock.now_us(), 350_000 + 140_000 + 10_000);
    assert!(second.text.contains(r#""cached_tokens":200"#), "{}", second.text);
    let rows = world.provider.ledger.rows();
    assert_eq!((rows[0].cached_tokens, rows[1].cached_tokens), (0, 200));
    assert_eq!(rows[1].price, Picodollars(10 * 150_000 + 200 * 75_000 + 5 * 600_000));
}

#[tokio::test(start_paused = true)]
async fn where_caching_is_the_callers_choice_writing_is_billed() {
    let world = World::of(plan_with(|plan| {
        plan.dialect = Dialect::Anthropic;
        plan.models[0].price.cache_write = Picodollars(187_500);
        plan.prompt_cache = Some(PromptCache {
            min_tokens: 100,
            granularity: 1,
            ttl: Micros::from_secs(60),
        });
    }));
    let system = tracer::prompt_text(PromptId(99), 200);
    let mut client = world.client().await;
    for (prompt, mark) in [
        (1, r#","cache_control":{"type":"ephemeral"}"#),
        (2, r#","cache_control":{"type":"ephemeral"}"#),
        (3, ""),
    ] {
        let user = tracer::prompt_text(PromptId(prompt), 10);
        let body = format!(
            r#"{{"model":"gpt-4o-mini","max_tokens":50,"system":[{{"type":"text","text":"{system}"{mark}}}],
            "messages":[{{"role":"user","content":"{user}"}}]}}"#
        );
        let request = client.request(Method::POST, "/v1/messages", &body);
        assert_eq!(read(client.send(request).await).await.status, 200);
    }
    let rows = world.provider.ledger.rows();
    let cache: Vec<_> = rows
        .iter()
        .map(|row| (row.cached_tokens, row.cache_write_tokens, row.price.0))
        .collect();
    let rest = 10 * 150_000 + 5 * 600_000;
    assert_eq!(
        cache,
        [
            (0, 200, 200 * 187_500 + rest),
            (200, 0, 200 * 75_000 + rest),
            (0, 0, 200 * 150_000 + rest),
        ]
    );
}
