//! What is generated, flushed and billed when the caller stays, leaves, or outlives the run.

use std::time::Duration;

use brownout_net::{Network, RunClock};
use brownout_scenario::distribution::Distribution;
use brownout_scenario::observe::{Finish, LedgerRow};
use brownout_scenario::plan::OnDisconnect;
use brownout_scenario::seed::SeedTree;
use brownout_scenario::units::{Micros, Picodollars};
use http::Method;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;

use super::{CHAT, Client, STREAM, World, chat};
use crate::Provider;
use crate::samples::{limits, plan, plan_with, status};

const fn stop(lag_ms: u64) -> OnDisconnect {
    OnDisconnect::Stop {
        lag: Micros::from_millis(lag_ms),
    }
}

fn tokens(row: &LedgerRow) -> (u64, u64, u64) {
    (row.generated, row.flushed, row.billed)
}

/// Streams until 110 ms, when two of five tokens have arrived, and leaves.
async fn leave_after_two_tokens(on_disconnect: OnDisconnect) -> LedgerRow {
    let world = World::of(plan_with(|plan| plan.on_disconnect = on_disconnect));
    let mut client = world.client().await;
    let request = client.request(Method::POST, CHAT, &chat(1, STREAM));
    let mut response = client.send(request).await;
    for _ in 0..2 {
        response.body_mut().frame().await.unwrap().unwrap();
    }
    client.hang_up().await;
    let row = world.row();
    assert_eq!(row.hung_up, Some(Micros::from_millis(110)));
    assert_eq!((row.finish, row.status, row.billed_prompt), (Finish::HungUp, 200, 10));
    row
}

/// Asks for a unary answer and leaves `at_ms`, before it has come.
async fn leave_a_unary_answer(on_disconnect: OnDisconnect, at_ms: u64) -> LedgerRow {
    let world = World::of(plan_with(|plan| plan.on_disconnect = on_disconnect));
    let mut client = world.client().await;
    let request = client.request(Method::POST, CHAT, &chat(1, ""));
    tokio::select! {
        biased;
        _ = client.send(request) => panic!("answered before anybody could leave"),
        () = world.sleep_until_ms(at_ms) => {}
    }
    client.hang_up().await;
    let row = world.row();
    assert_eq!(row.hung_up, Some(Micros::from_millis(at_ms)));
    assert_eq!((row.finish, row.flushed, row.billed_prompt), (Finish::HungUp, 0, 10));
    row
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_billed_whole() {
    let world = World::of(plan());
    world.client().await.post(&chat(1, STREAM)).await;
    let row = world.row();
    assert_eq!(tokens(&row), (5, 5, 5));
    assert_eq!((row.finish, row.hung_up), (Finish::Stop, None));
    assert_eq!((row.first_token, row.ended), (Some(Micros(100_000)), Micros(140_000)));
    assert_eq!(row.price, Picodollars(10 * 150_000 + 5 * 600_000));
}

#[tokio::test(start_paused = true)]
async fn an_answer_cut_by_the_callers_limit_ends_with_length() {
    let world = World::of(plan());
    let answer = world.client().await.post(&chat(1, r#","max_tokens":3"#)).await;
    assert!(answer.text.contains(r#""finish_reason":"length""#));
    assert_eq!((world.row().finish, tokens(&world.row())), (Finish::Length, (3, 3, 3)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_stops_at_once_without_lag() {
    let row = leave_after_two_tokens(stop(0)).await;
    assert_eq!((tokens(&row), row.ended), ((2, 2, 2), Micros::from_millis(110)));
}

#[tokio::test(start_paused = true)]
async fn the_lag_is_generated_and_billed_but_never_flushed() {
    let row = leave_after_two_tokens(stop(19)).await;
    assert_eq!((tokens(&row), row.ended), ((3, 2, 3), Micros::from_millis(129)));
    let row = leave_after_two_tokens(stop(20)).await;
    assert_eq!((tokens(&row), row.ended), ((4, 2, 4), Micros::from_millis(130)));
}

#[tokio::test(start_paused = true)]
async fn a_lag_beyond_the_end_bills_the_answer_and_no_more() {
    let row = leave_after_two_tokens(stop(10_000)).await;
    assert_eq!((tokens(&row), row.ended), ((5, 2, 5), Micros::from_millis(140)));
}

#[tokio::test(start_paused = true)]
async fn run_to_completion_bills_what_nobody_reads() {
    let row = leave_after_two_tokens(OnDisconnect::RunToCompletion).await;
    assert_eq!((tokens(&row), row.ended), ((5, 2, 5), Micros::from_millis(140)));
}

#[tokio::test(start_paused = true)]
async fn a_unary_answer_that_is_left_bills_what_was_due() {
    let row = leave_a_unary_answer(stop(0), 125).await;
    assert_eq!((tokens(&row), row.ended), ((3, 0, 3), Micros::from_millis(125)));
    let row = leave_a_unary_answer(OnDisconnect::RunToCompletion, 125).await;
    assert_eq!((tokens(&row), row.ended), ((5, 0, 5), Micros::from_millis(140)));
}

#[tokio::test(start_paused = true)]
async fn leaving_before_the_first_token_bills_the_prompt_alone() {
    let row = leave_a_unary_answer(stop(0), 99).await;
    assert_eq!((tokens(&row), row.first_token), ((0, 0, 0), None));
    assert_eq!(row.price, Picodollars(10 * 150_000));
    let row = leave_a_unary_answer(stop(1), 99).await;
    assert_eq!((tokens(&row), row.first_token), ((1, 0, 1), Some(Micros(100_000))));
}

#[tokio::test(start_paused = true)]
async fn leaving_after_the_end_is_no_hang_up_and_bills_once() {
    for more in [STREAM, ""] {
        let world = World::of(plan());
        let mut client = world.client().await;
        client.post(&chat(1, more)).await;
        let before = world.row();
        client.hang_up().await;
        world.sleep_until_ms(10_000).await;
        assert_eq!(world.row(), before);
        assert_eq!((before.finish, before.hung_up, before.billed), (Finish::Stop, None, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_open_at_the_end_of_the_run_is_unfinished_and_stays_so() {
    let world = World::of(plan());
    let mut client = world.client().await;
    let request = client.request(Method::POST, CHAT, &chat(1, STREAM));
    let mut response = client.send(request).await;
    response.body_mut().frame().await.unwrap().unwrap();
    world.sleep_until_ms(115).await;
    world.provider.ledger.close(world.clock.now_us());
    let row = world.row();
    assert_eq!(
        (row.finish, row.ended, row.hung_up),
        (Finish::Unfinished, Micros::from_millis(115), None)
    );
    assert_eq!((row.generated, row.billed), (2, 2));
    client.hang_up().await;
    world.sleep_until_ms(1_000).await;
    assert_eq!(world.row(), row);
}

#[tokio::test(start_paused = true)]
async fn a_fault_bills_nothing_and_is_named() {
    let mut plan = plan();
    plan.faults = vec![status(503, Some(Micros(1_200_000)))];
    let world = World::of(plan);
    let answer = world.client().await.post(&chat(1, STREAM)).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["retry-after"], "2");
    assert_eq!(answer.headers["retry-after-ms"], "1200");
    assert_eq!(answer.headers["content-type"], "application/json");
    let row = world.row();
    assert_eq!(
        (row.finish, row.status, row.fault.as_deref()),
        (Finish::Fault, 503, Some("status#0"))
    );
    assert_eq!(
        (tokens(&row), row.billed_prompt, row.price),
        ((0, 0, 0), 0, Picodollars(0))
    );
}

#[tokio::test(start_paused = true)]
async fn leaving_gives_back_what_was_not_generated_when_the_provider_stops() {
    let mut plan = plan();
    plan.limits = Some(limits(None, Some(60)));
    plan.on_disconnect = stop(0);
    let world = World::of(plan);
    let mut client = world.client().await;
    // 10 of the prompt and 50 of the answer: the bucket is empty until the caller leaves with two tokens generated.
    let request = client.request(Method::POST, CHAT, &chat(1, r#","stream":true,"max_tokens":50"#));
    let mut response = client.send(request).await;
    response.body_mut().frame().await.unwrap().unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    let mut other = world.client().await;
    assert_eq!(
        other.get("/v1/models").await.headers["x-ratelimit-remaining-tokens"],
        "0"
    );
    client.hang_up().await;
    assert_eq!(
        other.get("/v1/models").await.headers["x-ratelimit-remaining-tokens"],
        "48"
    );
    world.sleep_until_ms(150).await;
    assert_eq!(
        other.get("/v1/models").await.headers["x-ratelimit-remaining-tokens"],
        "48"
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_are_numbered_per_prompt_and_written_as_json_lines() {
    let world = World::of(plan());
    let mut client = world.client().await;
    for prompt in [4, 5, 4] {
        client.post(&chat(prompt, "")).await;
    }
    let rows = world.provider.ledger.rows();
    let numbered: Vec<_> = rows.iter().map(|row| (row.prompt.0, row.attempt)).collect();
    assert_eq!(numbered, [(4, 0), (5, 0), (4, 1)]);
    let mut out = Vec::new();
    world.provider.ledger.write_jsonl(&mut out).unwrap();
    let lines: Vec<serde_json::Value> = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let expected: Vec<_> = rows.iter().map(|row| serde_json::to_value(row).unwrap()).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_caller_that_leaves_is_seen_over_real_sockets_too() {
    let network = Network::tcp();
    let listener = network.listen("provider").unwrap();
    let shutdown = CancellationToken::new();
    let plan = plan_with(|plan| plan.first_token = Distribution::Constant { value: 60e6 });
    let clock = RunClock::start();
    let provider = Provider::start_streaming(plan, SeedTree::new(1), clock, listener, &shutdown);
    for more in [STREAM, ""] {
        let mut client = Client::connect(&network, &provider.authority).await;
        let request = client.request(Method::POST, CHAT, &chat(1, more));
        let answer = tokio::time::timeout(Duration::from_millis(100), client.send(request)).await;
        assert!(answer.is_err(), "answered a minute early");
        client.hang_up().await;
    }
    for _ in 0..1_000 {
        if provider.ledger.rows().iter().all(|row| row.finish == Finish::HungUp) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody saw the caller leave: {:?}", provider.ledger.rows());
}
