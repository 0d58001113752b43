use proptest::prelude::*;
use serde_json::json;

use super::*;

/// `large` (dear, room for 100,000 tokens), `small` (cheap, 8,000), `code` (in between, for code, 32,000).
fn router(route: &serde_json::Value, fallback: bool) -> Router {
    let provider = |name: &str, window: u32, prompt: f64, answer: f64, tasks: &[&str]| {
        json!({
            "name": name, "base_url": "http://p.sim", "model": name, "context_window": window, "tasks": tasks,
            "prompt_usd_per_million": prompt, "completion_usd_per_million": answer,
        })
    };
    let settings = json!({
        "route": route, "fallback": fallback,
        "providers": [
            provider("large", 100_000, 2.5, 10.0, &[]),
            provider("small", 8_000, 0.15, 0.6, &["summary", "small-talk"]),
            provider("code", 32_000, 1.0, 4.0, &["code"]),
        ],
    });
    Router::new(&Settings::from_map(settings.as_object().unwrap().clone()).unwrap(), 7)
}

const SMALL: Wanted<'static> = Wanted {
    named: None,
    task: None,
    prompt_bytes: 400,
    messages: 0,
    max_tokens: Some(100),
    request_id: "r",
};

/// By cost, and nobody stands in for anybody.
fn router_alone() -> Router {
    router(&json!({ "policy": "cost" }), false)
}

fn told(router: &Router, wanted: Wanted<'_>, outlook: &[Outlook], purse: Option<u64>) -> String {
    let route = router.decide(wanted, outlook, purse.map(Usd::from_micros));
    route.map_or_else(|none| format!("{none:?}"), |route| route.reason.text)
}

fn begins_in(millis: [u64; 3]) -> [Outlook; 3] {
    millis.map(|millis| Outlook {
        begins_in: Duration::from_millis(millis),
        failing: false,
    })
}

#[test]
fn each_policy_has_its_own_first() {
    let all = begins_in([900, 500, 200]);
    let by = |policy: &str, task| {
        told(
            &router(&json!({ "policy": policy }), true),
            Wanted { task, ..SMALL },
            &all,
            None,
        )
    };
    assert_eq!(by("order", None), "order: large, then small, code");
    assert_eq!(by("cost", None), "cost: small 0.000075 USD, then code, large");
    assert_eq!(by("latency", None), "latency: code 200 ms, then small, large");
    assert_eq!(by("task", Some("code")), "task: code for code, then large, small");
    assert_eq!(by("task", Some("summary")), "task: small for summary, then large, code");
    assert_eq!(by("task", Some("poem")), "task: large for poem, then small, code");
    assert_eq!(by("task", None), "task: large, then small, code");
}

#[test]
fn who_has_no_room_is_left_out_and_whose_room_is_doubtful_goes_last() {
    let router = router(&json!({ "policy": "cost" }), true);
    let with = |bytes, max_tokens| {
        let wanted = Wanted {
            prompt_bytes: bytes,
            max_tokens: Some(max_tokens),
            ..SMALL
        };
        told(&router, wanted, &[], None)
    };
    assert!(with(30_000, 100).starts_with("cost: small "), "7,600 tokens likely");
    assert_eq!(
        with(32_000, 100),
        "window: code (small has no room for 8100 tokens), then large, small"
    );
    assert_eq!(
        with(80_000, 100),
        "window: code (small has no room for 20100 tokens), then large"
    );
    assert!(
        with(400, 8_000).starts_with("window: code"),
        "the answer needs room too"
    );
    assert_eq!(with(900_000, 100), "NoRoom { needed: 225100, window: 100000 }");
}

#[test]
fn windows_are_not_looked_at_where_nobody_asks_for_it() {
    let router = router(&json!({ "policy": "order", "check_window": false }), true);
    let wanted = Wanted {
        prompt_bytes: 900_000,
        ..SMALL
    };
    assert_eq!(told(&router, wanted, &[], None), "order: large, then small, code");
}

#[test]
fn who_is_named_goes_first_and_alone_where_nobody_may_stand_in() {
    let named = Wanted {
        named: Some(2),
        ..SMALL
    };
    let failing = [Outlook {
        failing: true,
        ..Outlook::default()
    }; 3];
    let with = router(&json!({ "policy": "cost" }), true);
    assert_eq!(told(&with, named, &failing, None), "asked: code, then small, large");
    let alone = router_alone();
    assert_eq!(told(&alone, named, &failing, None), "asked: code");
    let long = Wanted {
        named: Some(1),
        prompt_bytes: 80_000,
        ..SMALL
    };
    assert_eq!(
        told(&with, long, &[], None),
        "window: code (small has no room for 20100 tokens), then large"
    );
    assert_eq!(told(&alone, long, &[], None), "NoRoom { needed: 20100, window: 8000 }");
}

#[test]
fn where_nobody_may_stand_in_only_the_first_is_told_with_the_reason_that_it_has_among_all() {
    let long = Wanted {
        prompt_bytes: 80_000,
        ..SMALL
    };
    assert_eq!(
        told(&router_alone(), long, &[], None),
        "window: code (small has no room for 20100 tokens)"
    );
    let dear = router(&json!({ "policy": "order" }), false);
    assert_eq!(told(&dear, SMALL, &[], Some(870)), "budget: small (0.00087 USD left)");
}

#[test]
fn who_fails_goes_last_and_is_not_left_out() {
    let router = router(&json!({ "policy": "cost" }), true);
    let mut outlook = begins_in([0; 3]);
    outlook[1].failing = true;
    assert_eq!(
        told(&router, SMALL, &outlook, None),
        "health: code (small is failing), then large, small"
    );
    assert_eq!(
        told(&router_alone(), SMALL, &outlook, None),
        "cost: small 0.000075 USD",
        "with fallback off nobody stands in for it"
    );
    outlook.fill(Outlook {
        failing: true,
        ..Outlook::default()
    });
    assert!(
        told(&router, SMALL, &outlook, None).starts_with("cost: small"),
        "all alike"
    );
}

#[test]
fn a_low_purse_asks_the_cheapest_and_never_whom_it_does_not_cover() {
    let router = router(&json!({ "policy": "order" }), true);
    // At worst 464 prompt tokens and 100 of the answer: 2,160 micro-dollars at `large`, 130 at `small`, 864 at `code`.
    let with = |purse| told(&router, SMALL, &[], Some(purse));
    assert_eq!(with(21_600), "order: large, then small, code");
    assert_eq!(with(21_599), "budget: small (0.021599 USD left), then code, large");
    assert_eq!(with(870), "budget: small (0.00087 USD left), then code");
    assert_eq!(
        with(5),
        "budget: small (0.000005 USD left)",
        "the budget says no in its own words"
    );
}

#[test]
fn who_is_preferred_is_so_however_it_does_and_whatever_is_left_to_spend() {
    let router = router(&json!({ "policy": "order" }), true);
    let failing = [Outlook {
        failing: true,
        ..Outlook::default()
    }; 1];
    let preferred = |wanted, outlook: &[Outlook], purse: Option<u64>| {
        let route = router.decide(wanted, outlook, purse.map(Usd::from_micros)).unwrap();
        (route.order[0], route.preferred)
    };
    let named = Wanted {
        named: Some(2),
        ..SMALL
    };
    assert_eq!(preferred(SMALL, &[], None), (0, 0));
    assert_eq!(preferred(SMALL, &failing, None), (1, 0), "another stands in");
    assert_eq!(preferred(SMALL, &[], Some(2_000)), (1, 0), "a cheaper one stands in");
    assert_eq!(
        preferred(named, &[], Some(500)),
        (1, 2),
        "for the one that was named, too"
    );
    let long = Wanted {
        named: None,
        prompt_bytes: 80_000,
        ..SMALL
    };
    let by_cost = self::router(&json!({ "policy": "cost" }), true);
    assert_eq!(
        by_cost.decide(long, &[], None).unwrap().preferred,
        2,
        "who has no room is nobody's choice"
    );
}

#[test]
fn equals_are_drawn_by_lot_for_each_request_and_alike_for_the_same_one() {
    let router = router(&json!({ "policy": "latency" }), true);
    let first = |request_id: &str| router.decide(Wanted { request_id, ..SMALL }, &[], None).unwrap().order[0];
    let drawn: Vec<usize> = (0..60).map(|n| first(&format!("request-{n}"))).collect();
    for place in 0..3 {
        let times = drawn.iter().filter(|first| **first == place).count();
        assert!((10..=30).contains(&times), "{place}: {times} of 60");
    }
    assert_eq!(first("request-1"), first("request-1"));
}

proptest! {
    #[test]
    fn a_route_is_an_order_of_different_providers_that_have_room_and_are_covered(
        policy in prop_oneof![Just("order"), Just("cost"), Just("latency"), Just("task")],
        fallback in any::<bool>(),
        named in proptest::option::of(0_usize..3),
        bytes in 0_usize..600_000,
        max_tokens in proptest::option::of(1_u32..200_000),
        states in proptest::collection::vec((0_u64..5_000, any::<bool>()), 3),
        purse in proptest::option::of(0_u64..2_000_000),
    ) {
        let router = router(&json!({ "policy": policy }), fallback);
        let outlook: Vec<Outlook> = states
            .into_iter()
            .map(|(millis, failing)| Outlook { begins_in: Duration::from_millis(millis), failing })
            .collect();
        let wanted = Wanted { named, task: Some("code"), prompt_bytes: bytes, messages: 1, max_tokens, request_id: "r" };
        let load = load(wanted);
        let purse = purse.map(Usd::from_micros);
        match router.decide(wanted, &outlook, purse) {
            Err(none) => prop_assert!(none.needed > none.window || load.least > none.window),
            Ok(Route { order, reason, .. }) => {
                prop_assert!(!order.is_empty());
                let mut once = order.clone();
                once.sort_unstable();
                once.dedup();
                prop_assert_eq!(once.len(), order.len());
                for place in &order {
                    prop_assert!(router.candidates[*place].room(load) < Room::None);
                    let covered = purse.is_none_or(|left| router.candidates[*place].worst(load).unwrap() <= left);
                    prop_assert!(covered || order.len() == 1);
                }
                prop_assert!(fallback || order.len() == 1);
                if !fallback && named.is_some() {
                    prop_assert_eq!(&order, &[named.unwrap()]);
                }
                prop_assert!(reason.text.starts_with(reason.word));
            }
        }
    }
}
