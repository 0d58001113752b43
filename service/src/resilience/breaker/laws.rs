//! The laws of the breaker, and what it does in time.

use proptest::prelude::*;

use super::*;

const SETTINGS: BreakerSettings = BreakerSettings {
    failures: Some(5),
    error_ratio: Some(0.5),
    window: Duration::from_secs(30),
    min_attempts: 10,
    cooldown: Duration::from_secs(10),
    cooldown_cap: Duration::from_mins(2),
};
const FAILURE: Outcome = Outcome::Failure { retry_after: None };

/// Only failures in a row.
const ROW: BreakerSettings = BreakerSettings {
    error_ratio: None,
    ..SETTINGS
};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An attempt that ends at once. Whether it was admitted.
fn attempt(breaker: &mut Breaker, now: Instant, outcome: Outcome) -> bool {
    match breaker.admit(now) {
        Admit::Yes(ticket) | Admit::Probe(ticket) => {
            breaker.record(now, ticket, outcome, 0.5);
            true
        }
        Admit::No { .. } => false,
    }
}

fn opened(settings: BreakerSettings, now: Instant) -> Breaker {
    let mut breaker = Breaker::new(settings);
    while breaker.standing(now) == Standing::Closed {
        attempt(&mut breaker, now, FAILURE);
    }
    breaker
}

fn refused_for(breaker: &mut Breaker, now: Instant) -> Duration {
    match breaker.admit(now) {
        Admit::No { retry_in } => retry_in,
        admitted => panic!("{admitted:?}"),
    }
}

const fn is_refused(admit: Admit) -> bool {
    matches!(admit, Admit::No { .. })
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Wait(u64),
    Begin,
    /// The attempt that began so many before the last one ends.
    End(usize, Outcome),
    Read,
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        6 => (0_u64..300).prop_map(|s| Outcome::Failure { retry_after: (s > 200).then(|| secs(s)) }),
        1 => Just(Outcome::Down),
        2 => Just(Outcome::Nothing),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_u64..40_000).prop_map(Step::Wait),
        Just(Step::Begin),
        Just(Step::Begin),
        ((0_usize..6), outcomes()).prop_map(|(n, outcome)| Step::End(n, outcome)),
        ((0_usize..6), outcomes()).prop_map(|(n, outcome)| Step::End(n, outcome)),
        Just(Step::Read),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn there_are_never_two_probes_and_never_traffic_beside_one(steps in steps(), draw in 0.0..1.0_f64) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(SETTINGS);
        let mut under_way: Vec<(Ticket, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Begin => {
                    let probing = under_way.iter().any(|(_, probe)| *probe);
                    match breaker.admit(now) {
                        Admit::Yes(ticket) => {
                            prop_assert!(!probing);
                            under_way.push((ticket, false));
                        }
                        Admit::Probe(ticket) => {
                            prop_assert!(!probing);
                            under_way.push((ticket, true));
                        }
                        Admit::No { retry_in } => prop_assert!(retry_in > Duration::ZERO),
                    }
                }
                Step::End(n, outcome) if n < under_way.len() => {
                    let (ticket, _) = under_way.remove(under_way.len() - 1 - n);
                    breaker.record(now, ticket, outcome, draw);
                }
                Step::End(..) => {}
                Step::Read => drop(breaker.standing(now)),
            }
        }
        // However it got there, it can be got out of: once everything has ended, somebody is admitted before long.
        for (ticket, _) in under_way.drain(..) {
            breaker.record(now, ticket, Outcome::Nothing, draw);
        }
        now += SETTINGS.cooldown_cap.mul_f64(1.0 + JITTER);
        prop_assert!(attempt(&mut breaker, now, Outcome::Success));
        prop_assert_eq!(breaker.standing(now), Standing::Closed);
    }

    #[test]
    fn an_open_breaker_admits_nobody_before_its_cooldown_and_one_after_it(
        draw in 0.0..1.0_f64, after in prop::option::of(0_u64..400), early in 0.0..1.0_f64,
    ) {
        let now = Instant::now();
        let mut breaker = Breaker::new(ROW);
        for _ in 0..5 {
            let Admit::Yes(ticket) = breaker.admit(now) else { panic!("closed") };
            breaker.record(now, ticket, Outcome::Failure { retry_after: after.map(secs) }, draw);
        }
        let wait = refused_for(&mut breaker, now);
        let floor = secs(after.unwrap_or_default()).min(ROW.cooldown_cap);
        prop_assert!(wait >= floor.max(secs(9)) && wait <= floor.max(secs(11)), "{wait:?} {floor:?}");
        let soon = now + wait.mul_f64(early.min(0.999));
        prop_assert!(is_refused(breaker.admit(soon)));
        prop_assert!(matches!(breaker.admit(now + wait), Admit::Probe(_)));
        prop_assert!(is_refused(breaker.admit(now + wait)));
    }

    #[test]
    fn so_many_failures_in_a_row_open_it_and_one_less_does_not(
        most in 1_u32..20, before in proptest::collection::vec(any::<bool>(), 0..20),
    ) {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerSettings { failures: Some(most), ..ROW });
        let mut row = 0;
        for failed in before {
            row = if failed && row + 1 < most { row + 1 } else { 0 };
            attempt(&mut breaker, now, if row > 0 { FAILURE } else { Outcome::Success });
        }
        attempt(&mut breaker, now, Outcome::Success);
        for n in 1..most {
            attempt(&mut breaker, now, FAILURE);
            // What says nothing neither counts nor forgives.
            attempt(&mut breaker, now, Outcome::Nothing);
            prop_assert_eq!(breaker.standing(now), Standing::Closed, "{} of {}", n, most);
        }
        attempt(&mut breaker, now, FAILURE);
        prop_assert_eq!(breaker.standing(now), Standing::Open);
    }

    #[test]
    fn reading_changes_nothing(steps in steps(), draw in 0.0..1.0_f64) {
        let mut now = Instant::now();
        let (mut read, mut unread) = (Breaker::new(SETTINGS), Breaker::new(SETTINGS));
        let mut under_way = Vec::new();
        for step in steps {
            for _ in 0..3 {
                read.standing(now);
                read.refuses(now);
            }
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Begin => {
                    let refuses = read.refuses(now);
                    let (one, other) = (read.admit(now), unread.admit(now));
                    prop_assert_eq!(refuses, is_refused(one));
                    prop_assert_eq!(one, other);
                    if let Admit::Yes(ticket) | Admit::Probe(ticket) = one {
                        under_way.push(ticket);
                    }
                }
                Step::End(n, outcome) if n < under_way.len() => {
                    let ticket = under_way.remove(n);
                    read.record(now, ticket, outcome, draw);
                    unread.record(now, ticket, outcome, draw);
                }
                Step::End(..) | Step::Read => {}
            }
            prop_assert_eq!(read.standing(now), unread.standing(now));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_of_failures_opens_it_once_there_are_enough_to_judge_by() {
    let now = Instant::now();
    let settings = BreakerSettings {
        failures: None,
        ..SETTINGS
    };
    let mut breaker = Breaker::new(settings);
    for n in 0..9 {
        let outcome = if n % 2 == 0 { FAILURE } else { Outcome::Success };
        attempt(&mut breaker, now, outcome);
    }
    assert_eq!(
        breaker.standing(now),
        Standing::Closed,
        "five of nine, and nine are too few"
    );
    attempt(&mut breaker, now, FAILURE);
    assert_eq!(breaker.standing(now), Standing::Open, "six of ten");
    let mut later = Breaker::new(settings);
    for n in 0..40 {
        attempt(&mut later, now + secs(n * 4), FAILURE);
    }
    assert_eq!(
        later.standing(now + secs(160)),
        Standing::Closed,
        "never ten within the window"
    );
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_doubles_up_to_its_cap_and_a_success_forgets_it() {
    let mut now = Instant::now();
    let mut breaker = opened(ROW, now);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let wait = refused_for(&mut breaker, now);
        waits.push((wait.as_secs_f64() / 10.0).round() as u64 * 10);
        now += wait;
        assert!(attempt(&mut breaker, now, FAILURE));
    }
    assert_eq!(waits.iter().take(3).copied().collect::<Vec<_>>(), [10, 20, 40]);
    assert!(waits[4..].iter().all(|wait| (110..=130).contains(wait)), "{waits:?}");
    now += refused_for(&mut breaker, now);
    attempt(&mut breaker, now, Outcome::Success);
    assert_eq!(breaker.standing(now), Standing::Closed);
    for _ in 0..5 {
        attempt(&mut breaker, now, FAILURE);
    }
    assert!(refused_for(&mut breaker, now) <= secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_nobody_saw_to_its_end_makes_room_for_another() {
    let mut now = Instant::now();
    let mut breaker = opened(ROW, now);
    now += secs(11);
    let Admit::Probe(ticket) = breaker.admit(now) else {
        panic!("no probe");
    };
    assert_eq!(refused_for(&mut breaker, now), WHILE_PROBING);
    breaker.record(now + secs(3), ticket, Outcome::Nothing, 0.5);
    assert_eq!(breaker.standing(now + secs(3)), Standing::HalfOpen);
    assert!(matches!(breaker.admit(now + secs(3)), Admit::Probe(_)));
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_it_opened_neither_closes_nor_prolongs_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(ROW);
    let Admit::Yes(late) = breaker.admit(now) else {
        panic!("closed");
    };
    for _ in 0..5 {
        attempt(&mut breaker, now, FAILURE);
    }
    let wait = refused_for(&mut breaker, now);
    breaker.record(now, late, Outcome::Success, 0.5);
    assert_eq!(refused_for(&mut breaker, now), wait);
    breaker.record(now, late, Outcome::Down, 0.5);
    assert_eq!(refused_for(&mut breaker, now), wait);
    // Nor does it speak for the probe.
    let Admit::Probe(_) = breaker.admit(now + wait) else {
        panic!("no probe");
    };
    breaker.record(now + wait, late, Outcome::Success, 0.5);
    assert_eq!(breaker.standing(now + wait), Standing::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_down_for_good_is_left_for_as_long_as_may_be() {
    let now = Instant::now();
    let mut breaker = Breaker::new(SETTINGS);
    attempt(&mut breaker, now, Outcome::Down);
    assert!(refused_for(&mut breaker, now) >= secs(108));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_off_never_opens() {
    let now = Instant::now();
    let off = BreakerSettings {
        failures: None,
        error_ratio: None,
        ..SETTINGS
    };
    let mut breaker = Breaker::new(off);
    for outcome in [FAILURE, Outcome::Down].repeat(50) {
        assert!(attempt(&mut breaker, now, outcome));
    }
    assert_eq!(breaker.standing(now), Standing::Closed);
}
