//! Rate limits as a caller meets them.

use std::time::Duration;

use brownout_scenario::observe::Finish;
use brownout_scenario::plan::RateLimits;
use brownout_scenario::units::Share;

use super::{Answer, World, chat};
use crate::samples::{limits, plan_with};

fn header(answer: &Answer, name: &str) -> String {
    answer.headers[name].to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn waiting_as_long_as_told_admits_and_a_tick_less_does_not() {
    let world = World::of(plan_with(|plan| {
        plan.limits = Some(RateLimits {
            burst: Share::try_from(0.01).unwrap(),
            ..limits(Some(70), None)
        });
    }));
    let mut client = world.client().await;
    assert_eq!(client.post(&chat(1, "")).await.status, 200);
    let refused = client.post(&chat(2, "")).await;
    assert_eq!(refused.status, 429);
    let wait: u64 = header(&refused, "retry-after-ms").parse().unwrap();
    // 60 s / 70 = 857.143 ms, of which the first answer took 140 ms.
    assert_eq!((wait, header(&refused, "retry-after").as_str()), (718, "1"));
    assert!(refused.text.contains("Please try again in 718ms."), "{}", refused.text);
    tokio::time::sleep(Duration::from_millis(wait - 1)).await;
    assert_eq!(client.post(&chat(2, "")).await.status, 429);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(client.post(&chat(2, "")).await.status, 200);

    let rows = world.provider.ledger.rows();
    let finishes: Vec<_> = rows
        .iter()
        .map(|row| (row.attempt, row.status, row.finish, row.billed))
        .collect();
    assert_eq!(
        finishes,
        [
            (0, 200, Finish::Stop, 5),
            (0, 429, Finish::RateLimited, 0),
            (1, 429, Finish::RateLimited, 0),
            (2, 200, Finish::Stop, 5),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn every_response_tells_where_the_key_stands() {
    let world = World::of(plan_with(|plan| plan.limits = Some(limits(Some(60), Some(6_000)))));
    let mut client = world.client().await;
    // 10 of the prompt and 90 of the answer are charged; 5 are generated, so 85 come back at the end, 140 ms later.
    let answer = client.post(&chat(1, r#","max_tokens":90"#)).await;
    assert_eq!(header(&answer, "x-ratelimit-limit-requests"), "60");
    assert_eq!(header(&answer, "x-ratelimit-remaining-requests"), "59");
    assert_eq!(header(&answer, "x-ratelimit-reset-requests"), "1s");
    assert_eq!(header(&answer, "x-ratelimit-limit-tokens"), "6000");
    assert_eq!(header(&answer, "x-ratelimit-remaining-tokens"), "5900");
    assert_eq!(header(&answer, "x-ratelimit-reset-tokens"), "1s");
    for refused in [client.get("/nowhere").await, client.post("{").await] {
        assert_eq!(header(&refused, "x-ratelimit-remaining-tokens"), "5999");
        assert_eq!(header(&refused, "x-ratelimit-reset-tokens"), "10ms");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_told_so_and_not_to_try_again() {
    let world = World::of(plan_with(|plan| plan.limits = Some(limits(None, Some(100)))));
    let mut client = world.client().await;
    let answer = client.post(&chat(1, r#","max_tokens":91"#)).await;
    assert_eq!(answer.status, 429);
    assert!(
        answer.text.contains("Limit 100, Requested 101. It can never fit"),
        "{}",
        answer.text
    );
    assert!(!answer.headers.contains_key("retry-after"));
    assert_eq!(client.post(&chat(1, r#","max_tokens":90"#)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_limit_of_its_own_is_charged_the_default() {
    let world = World::of(plan_with(|plan| plan.limits = Some(limits(None, Some(5_000)))));
    let answer = world.client().await.post(&chat(1, "")).await;
    assert_eq!(
        header(&answer, "x-ratelimit-remaining-tokens"),
        (5_000 - 10 - 4_096).to_string()
    );
}
