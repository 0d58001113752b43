use brownout_scenario::units::Share;
use proptest::prelude::*;

use super::*;

const T0: Micros = Micros::ZERO;
const K: Owner<'_> = owner("k", "f");

const fn owner<'a>(key: &'a str, family: &'a str) -> Owner<'a> {
    Owner { key, family }
}

fn limiter([requests, tokens, input, output]: [Option<u64>; 4]) -> Limiter {
    Limiter::new(RateLimits {
        requests_per_minute: requests,
        tokens_per_minute: tokens,
        input_tokens_per_minute: input,
        output_tokens_per_minute: output,
        burst: Share::ALL,
    })
}

fn requests(per_minute: u64) -> Limiter {
    limiter([Some(per_minute), None, None, None])
}

fn tokens(per_minute: u64) -> Limiter {
    limiter([None, Some(per_minute), None, None])
}

/// A request without a prompt.
fn answer(max_tokens: u64) -> Cost {
    Cost {
        input: 0,
        prompt: 0,
        max_tokens,
    }
}

fn refund(at: u64, tokens: u64) -> Refund {
    Refund {
        key: "k".to_owned(),
        family: "f".to_owned(),
        ticket: 1,
        at: Micros(at),
        tokens,
    }
}

/// What is left in the four buckets.
fn left(limiter: &mut Limiter, owner: Owner<'_>, now: Micros) -> [Option<u64>; 4] {
    let standing = limiter.standing(owner, now);
    [
        standing.requests,
        standing.tokens,
        standing.input_tokens,
        standing.output_tokens,
    ]
    .map(|gauge| gauge.map(|gauge| gauge.remaining))
}

fn remaining(limiter: &mut Limiter, now: u64) -> u64 {
    left(limiter, K, Micros(now))[1].unwrap()
}

#[test]
fn each_key_has_its_own_buckets_for_each_family() {
    let mut limiter = requests(1);
    for (key, family) in [("a", "x"), ("a", "y"), ("b", "x"), ("ax", "")] {
        assert!(limiter.admit(owner(key, family), T0, answer(5)).is_ok());
        assert!(limiter.admit(owner(key, family), T0, answer(5)).is_err());
    }
}

#[test]
fn every_kind_of_bucket_is_charged_its_own_part() {
    let mut limiter = limiter([Some(1_000); 4]);
    let cost = Cost {
        input: 30,
        prompt: 100,
        max_tokens: 7,
    };
    limiter.admit(K, T0, cost).unwrap();
    assert_eq!(left(&mut limiter, K, T0), [999, 893, 970, 993].map(Some));
}

#[test]
fn what_was_not_generated_returns_to_the_buckets_that_count_answers() {
    let mut limiter = limiter([Some(1_000); 4]);
    let cost = Cost {
        input: 300,
        prompt: 300,
        max_tokens: 200,
    };
    limiter.admit(K, T0, cost).unwrap();
    limiter.promise(&refund(0, 150), T0);
    assert_eq!(left(&mut limiter, K, T0), [999, 650, 700, 950].map(Some));
}

#[test]
fn a_refusal_by_one_bucket_takes_nothing_from_the_others() {
    let mut limiter = limiter([Some(10), Some(1_000), Some(1_000), Some(100)]);
    let cost = Cost {
        input: 50,
        prompt: 50,
        max_tokens: 80,
    };
    assert!(limiter.admit(K, T0, cost).is_ok());
    assert_eq!(limiter.admit(K, T0, cost).unwrap_err().kind, LimitKind::OutputTokens);
    assert_eq!(left(&mut limiter, K, T0), [9, 870, 950, 20].map(Some));
}

#[test]
fn the_refusal_names_the_longest_wait() {
    let mut limiter = limiter([Some(1), Some(6_000), None, Some(60_000)]);
    assert!(limiter.admit(K, T0, answer(6_000)).is_ok());
    let refused = limiter.admit(K, T0, answer(100)).unwrap_err();
    assert_eq!(
        (refused.kind, refused.wait),
        (LimitKind::Requests, Some(Micros::from_secs(60)))
    );
    let never = limiter.admit(K, T0, answer(6_001)).unwrap_err();
    assert_eq!((never.kind, never.wait), (LimitKind::Tokens, None));
}

#[test]
fn a_request_larger_than_any_number_is_refused_for_good() {
    let cost = Cost {
        input: u64::MAX,
        prompt: u64::MAX,
        max_tokens: u64::MAX,
    };
    assert_eq!(tokens(60).admit(K, T0, cost).unwrap_err().wait, None);
}

#[test]
fn a_refund_comes_back_at_its_time_and_not_a_microsecond_before() {
    let mut limiter = tokens(60);
    limiter.admit(K, T0, answer(60)).unwrap();
    limiter.promise(&refund(500_000, 40), T0);
    assert_eq!(remaining(&mut limiter, 499_999), 0);
    assert_eq!(remaining(&mut limiter, 500_000), 40);
}

#[test]
fn a_revised_refund_is_paid_once() {
    let mut limiter = tokens(60);
    limiter.admit(K, T0, answer(60)).unwrap();
    let expected = refund(900_000, 10);
    limiter.promise(&expected, T0);
    limiter.revise(&expected, Micros(300_000), 30, Micros(200_000));
    assert_eq!(remaining(&mut limiter, 300_000), 30);
    assert_eq!(remaining(&mut limiter, 999_999), 30);
    limiter.revise(&expected, Micros(1_000_000), 30, Micros(999_999));
    assert_eq!(remaining(&mut limiter, 1_000_000), 31, "one refilled, none paid again");
}

#[test]
fn made_up_keys_share_one_account_once_there_are_too_many() {
    let mut limiter = requests(1);
    for n in 0..MAX_ACCOUNTS {
        let key = format!("key-{}", n / 2);
        let family = if n % 2 == 0 { "even" } else { "odd" };
        assert!(limiter.admit(owner(&key, family), T0, answer(1)).is_ok());
    }
    assert!(limiter.admit(owner("one more", "even"), T0, answer(1)).is_ok());
    assert!(limiter.admit(owner("yet another", "odd"), T0, answer(1)).is_err());
    assert!(limiter.accounts.len() <= MAX_ACCOUNTS + 1);
}

proptest! {
    #[test]
    fn never_admits_more_than_the_bucket_and_its_refill(
        steps in prop::collection::vec((0u64..5_000_000, 1u64..400, 0u64..400), 1..120),
        per_minute in 1u64..20_000,
    ) {
        let mut limiter = tokens(per_minute);
        let (mut now, mut admitted, mut returned) = (0, 0u128, 0u128);
        for (ticket, (gap, cost, back)) in steps.into_iter().enumerate() {
            now += gap;
            if limiter.admit(K, Micros(now), answer(cost)).is_ok() {
                admitted += u128::from(cost);
                let refund = Refund { ticket: ticket as u64, ..refund(now + gap, back.min(cost)) };
                returned += u128::from(refund.tokens);
                limiter.promise(&refund, Micros(now));
            }
            let refilled = u128::from(per_minute) * u128::from(now) / 60_000_000;
            prop_assert!(admitted - returned <= u128::from(per_minute) + refilled);
        }
    }

    #[test]
    fn the_stated_wait_is_the_truth(per_minute in 1u64..1_000_000, spent in 1u64..1_000, cost in 1u64..1_000) {
        let (spent, cost) = (spent.min(per_minute), cost.min(per_minute));
        let fresh = || {
            let mut limiter = tokens(per_minute);
            limiter.admit(K, T0, answer(per_minute - spent)).unwrap();
            limiter.admit(K, T0, answer(spent)).unwrap();
            limiter
        };
        let wait = fresh().admit(K, T0, answer(cost)).unwrap_err().wait.unwrap();
        prop_assert!(fresh().admit(K, wait, answer(cost)).is_ok());
        prop_assert!(fresh().admit(K, Micros(wait.0 - 1), answer(cost)).is_err());
    }

    #[test]
    fn a_request_takes_from_all_buckets_or_from_none(
        requests in prop::collection::vec((0u64..60, 0u64..60, 0u64..60, 0u64..2_000_000), 1..60),
        allowances in prop::array::uniform4(prop::option::of(1u64..200)),
    ) {
        let mut limiter = limiter(allowances);
        let mut now = 0;
        for (cached, input, max_tokens, gap) in requests {
            now += gap;
            let cost = Cost { input, prompt: cached + input, max_tokens };
            let before = left(&mut limiter, K, Micros(now));
            let admitted = limiter.admit(K, Micros(now), cost).is_ok();
            let after = left(&mut limiter, K, Micros(now));
            let charged = if admitted { [1, cached + input + max_tokens, input, max_tokens] } else { [0; 4] };
            for (n, charge) in charged.into_iter().enumerate() {
                prop_assert_eq!(before[n].map(|units| units - charge), after[n]);
            }
        }
    }
}
