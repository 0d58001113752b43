//! Second attempts beside late ones.

use serde_json::json;

use super::provider::{End, Fate, Provider, Reply, stream_of};
use super::support::{Host, ms};

#[tokio::test(start_paused = true)]
async fn a_late_first_token_is_hedged_at_the_next_provider_and_the_loser_is_hung_up_on() {
    let provider = Provider::new(|n, _| stream_of(if n == 0 { ms(4000) } else { ms(300) }, ms(10), &["word"]));
    let host = Host::new(&provider, json!({ "hedge": { "after": "800ms" } }));
    let answer = host.stream().await;
    assert_eq!(answer.events().pop().unwrap().1["provider"], "b");
    assert_eq!(
        (provider.hosts(), provider.times()),
        (vec!["a.sim".into(), "b.sim".into()], vec![0, 800])
    );
    assert_eq!(provider.fates()[0], Fate::HungUp(ms(1100)));
    let metrics = host.get("/metrics").await.body;
    for outcome in ["launched", "won"] {
        assert!(
            metrics.contains(&format!("service_hedges_total{{outcome=\"{outcome}\"}} 1")),
            "{metrics}"
        );
    }
    // The mirror: switched off, and in time.
    for (settings, first) in [(json!({}), 4000), (json!({ "hedge": { "after": "800ms" } }), 799)] {
        let provider = Provider::new(move |_, _| stream_of(ms(first), ms(10), &["word"]));
        Host::new(&provider, settings).stream().await;
        assert_eq!(provider.seen().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_hedged_at_the_same_provider_if_there_is_no_other() {
    let provider = Provider::new(|n, _| Reply::Whole(if n == 0 { ms(9000) } else { ms(300) }));
    let host = Host::new(&provider, json!({ "fallback": false, "hedge": { "after": "1s" } }));
    assert_eq!(host.chat().await.status, 200);
    assert_eq!(
        (provider.hosts(), host.elapsed_ms()),
        (vec!["a.sim".to_owned(); 2], 1300)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_has_one_hedge_at_most_and_hedges_are_attempts() {
    let provider = Provider::new(|_, _| Reply::Silence);
    let settings = json!({ "hedge": { "after": "1s" }, "retry": { "max_attempts": 2 }, "fallback": false });
    Host::new(&provider, settings).chat().await;
    assert_eq!(provider.times(), [0, 1000], "the second of two attempts");
    let provider = Provider::new(|_, _| Reply::Silence);
    let settings = json!({ "hedge": { "after": "1s" }, "retry": { "max_attempts": 1 } });
    Host::new(&provider, settings).chat().await;
    assert_eq!(
        provider.times()[1],
        30_000,
        "no attempt to spare: the fallback waits for the deadline"
    );
}

#[tokio::test(start_paused = true)]
async fn the_hedge_budget_bounds_the_load_when_everything_is_late() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(3000)));
    let settings = json!({ "hedge": { "after": "1s", "budget_ratio": 0.1 }, "deadline": { "attempt": "off" } });
    let host = Host::new(&provider, settings);
    for _ in 0..200 {
        host.chat().await;
    }
    let hedges = provider.seen().len() - 200;
    assert!((20..=31).contains(&hedges), "{hedges}: a tenth, and the reserve");
}

#[tokio::test(start_paused = true)]
async fn who_failed_beside_the_first_attempt_is_not_asked_again_as_if_it_were_new() {
    let provider = Provider::new(|n, _| match n {
        0 => Reply::Stream(vec![(ms(3000), "data: {\n\n".to_owned())], End::Clean),
        1 => Reply::Status(503, Some("20")),
        _ => stream_of(ms(10), ms(10), &["word"]),
    });
    let host = Host::new(
        &provider,
        json!({ "hedge": { "after": "1s" }, "retry": { "backoff": "none" } }),
    );
    let answer = host.stream().await;
    assert_eq!(answer.events().pop().unwrap().1["provider"], "a");
    assert_eq!(
        provider.hosts(),
        ["a.sim", "b.sim", "a.sim"],
        "b asked for twenty seconds"
    );
    assert_eq!(provider.times(), [0, 1000, 3000]);
}
