//! The laws of the lease machine.

use proptest::prelude::*;

use super::*;

const POLICY: LeasePolicy = LeasePolicy {
    lease: Duration::from_secs(30),
    max_attempts: 3,
    max_deliveries: 4,
    expiry: Duration::from_hours(1),
};

fn job() -> Job {
    Job {
        id: "j".into(),
        tenant: String::new(),
        caller: String::new(),
        idempotency_key: None,
        fingerprint: None,
        webhook: None,
        payload: "{}".into(),
        request_id: "r".into(),
        traceparent: None,
        enqueued_us: 0,
        attempts: 0,
        released: 0,
        state: State::Queued { due_us: 0 },
        delivery: Delivery::None,
    }
}

fn announced() -> Job {
    Job {
        webhook: Some("https://hooks.example/".into()),
        ..job()
    }
}

/// What a careless or unlucky world may do to a job: workers with old leases included.
fn event() -> impl Strategy<Value = Event> {
    let lease = ("[ab]", 1_u32..5).prop_map(|(worker, attempt)| Lease { worker, attempt });
    prop_oneof![
        4 => "[ab]".prop_map(|worker| Event::Claim { worker }),
        2 => lease.clone().prop_map(|lease| Event::Heartbeat { lease }),
        1 => lease.clone().prop_map(|lease| Event::Complete { lease, result: "done".into() }),
        3 => (lease.clone(), proptest::option::of(0_u64..60)).prop_map(|(lease, after)| Event::Fail {
            lease,
            error: "no".into(),
            retry_after: after.map(Duration::from_secs),
        }),
        1 => lease.clone().prop_map(|lease| Event::Release { lease }),
        1 => Just(Event::Cancel),
        1 => lease.clone().prop_map(|lease| Event::Delivered { lease }),
        2 => (lease, proptest::option::of(0_u64..60)).prop_map(|(lease, after)| Event::Undelivered {
            lease,
            retry_after: after.map(Duration::from_secs),
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_job_is_never_lost_never_lent_twice_and_never_begun_too_often(
        history in proptest::collection::vec((event(), 0_u64..40_000_000), 1..60),
        has_webhook in any::<bool>(),
    ) {
        let (mut job, mut now) = (if has_webhook { announced() } else { job() }, 0);
        for (event, pause) in history {
            now += pause;
            let before = job.clone();
            let Ok(after) = job.after(event.clone(), now, &POLICY) else { continue };
            prop_assert!(after.tries() <= POLICY.max_attempts);
            prop_assert!(after.attempts >= before.attempts, "numbers are never used again");
            prop_assert!(
                after.claimable_us().is_some() || after.finished_us().is_some(),
                "a job either can still be claimed or has an outcome"
            );
            prop_assert_eq!(
                after.delivery != Delivery::None,
                has_webhook && after.finished_us().is_some(),
                "an outcome is told if somebody wants to know, and nothing is told before"
            );
            if before.finished_us().is_some() {
                let told = Job { delivery: before.delivery.clone(), ..after.clone() };
                prop_assert_eq!(&told, &before, "an outcome is final");
                prop_assert!(after.delivery.attempts() <= POLICY.max_deliveries);
                prop_assert!(after.delivery.attempts() >= before.delivery.attempts(), "numbers are never used again");
            }
            if let Delivery::Delivered { .. } | Delivery::GivenUp { .. } = before.delivery {
                prop_assert_eq!(&after, &before, "what was told is told");
            }
            if let (Delivery::Lent { lease: old, until_us }, Delivery::Lent { lease: new, .. }) =
                (&before.delivery, &after.delivery)
                && old != new
            {
                prop_assert!(*until_us <= now && new.attempt > old.attempt);
            }
            if let (State::Running { lease: old, until_us, .. }, State::Running { lease: new, .. }) =
                (&before.state, &after.state)
                && old != new
            {
                prop_assert!(*until_us <= now, "the old lease had run out");
                prop_assert!(new.attempt > old.attempt);
            }
            job = after;
        }
    }

    #[test]
    fn workers_that_keep_dying_bring_every_job_to_an_end(pause in 30_000_000_u64..100_000_000) {
        let (mut job, mut now) = (job(), 0);
        for _ in 0..=POLICY.max_attempts {
            job = job.after(Event::Claim { worker: "a".into() }, now, &POLICY).unwrap();
            now += pause;
        }
        let is_dead = matches!(job.state, State::Dead { .. });
        prop_assert!(is_dead);
    }
}

#[test]
fn workers_that_keep_dying_bring_every_delivery_to_an_end() {
    let mut job = announced().after(Event::Cancel, 0, &POLICY).unwrap();
    for n in 1..=POLICY.max_deliveries {
        let now = u64::from(n) * 100_000_000;
        job = job.after(Event::Claim { worker: "a".into() }, now, &POLICY).unwrap();
        assert_eq!((job.is_lent(), job.delivery.attempts()), (true, n));
    }
    let now = 1_000_000_000;
    let job = job.after(Event::Claim { worker: "a".into() }, now, &POLICY).unwrap();
    assert_eq!(
        job.delivery,
        Delivery::GivenUp {
            at_us: now,
            attempts: 4
        }
    );
    assert_eq!((job.is_lent(), job.claimable_us()), (false, None));
}

#[test]
fn an_outcome_is_told_by_one_worker_at_a_time_and_again_after_its_pause() {
    let claim = || Event::Claim { worker: "a".into() };
    let lease = |attempt| Lease {
        worker: "a".into(),
        attempt,
    };
    let lent = announced().after(Event::Cancel, 0, &POLICY).unwrap();
    let lent = lent.after(claim(), 0, &POLICY).unwrap();
    assert_eq!(lent.after(claim(), 29_999_999, &POLICY), Err(Refused::NotDue));
    let failed = Event::Undelivered {
        lease: lease(1),
        retry_after: Some(Duration::from_secs(5)),
    };
    let waiting = lent.after(failed.clone(), 1_000_000, &POLICY).unwrap();
    assert_eq!(waiting.claimable_us(), Some(6_000_000));
    assert_eq!(waiting.after(failed, 1_000_000, &POLICY), Err(Refused::Stale));
    let told = waiting.after(claim(), 6_000_000, &POLICY).unwrap();
    let told = told
        .after(Event::Delivered { lease: lease(2) }, 7_000_000, &POLICY)
        .unwrap();
    assert_eq!(
        told.delivery,
        Delivery::Delivered {
            at_us: 7_000_000,
            attempts: 2
        }
    );
    assert_eq!(
        told.after(Event::Delivered { lease: lease(2) }, 8_000_000, &POLICY),
        Ok(told.clone())
    );
    assert_eq!(told.after(claim(), 90_000_000, &POLICY), Err(Refused::Finished));
}

#[test]
fn being_given_back_is_no_mark_against_a_job() {
    let mut job = job();
    for n in 1..=10 {
        job = job.after(Event::Claim { worker: "a".into() }, 0, &POLICY).unwrap();
        let lease = Lease {
            worker: "a".into(),
            attempt: n,
        };
        job = job.after(Event::Release { lease }, 0, &POLICY).unwrap();
    }
    let job = job.after(Event::Claim { worker: "a".into() }, 0, &POLICY).unwrap();
    assert_eq!((job.is_lent(), job.attempts, job.tries()), (true, 11, 1));
}

#[test]
fn a_lease_can_be_taken_over_when_it_runs_out_and_not_a_microsecond_sooner() {
    let held = job().after(Event::Claim { worker: "a".into() }, 0, &POLICY).unwrap();
    let claim = || Event::Claim { worker: "b".into() };
    assert_eq!(held.after(claim(), 29_999_999, &POLICY), Err(Refused::NotDue));
    assert!(held.after(claim(), 30_000_000, &POLICY).is_ok());
}

#[test]
fn a_worker_whose_job_was_taken_over_is_refused() {
    let old = Lease {
        worker: "a".into(),
        attempt: 1,
    };
    let held = job().after(Event::Claim { worker: "a".into() }, 0, &POLICY).unwrap();
    let taken = held
        .after(Event::Claim { worker: "b".into() }, 30_000_000, &POLICY)
        .unwrap();
    let late = Event::Complete {
        lease: old.clone(),
        result: "late".into(),
    };
    assert_eq!(taken.after(late.clone(), 30_000_001, &POLICY), Err(Refused::Stale));
    assert!(
        held.after(late, 30_000_001, &POLICY).is_ok(),
        "nobody else had it: the work counts"
    );
}

#[test]
fn a_result_said_twice_is_taken_once() {
    let lease = Lease {
        worker: "a".into(),
        attempt: 1,
    };
    let held = job().after(Event::Claim { worker: "a".into() }, 0, &POLICY).unwrap();
    let complete = |result: &str| Event::Complete {
        lease: lease.clone(),
        result: result.into(),
    };
    let done = held.after(complete("first"), 1, &POLICY).unwrap();
    assert_eq!(done.after(complete("second"), 2, &POLICY), Ok(done.clone()));
}

#[test]
fn a_job_that_waited_too_long_is_dead_and_one_just_in_time_is_not() {
    let claim = || Event::Claim { worker: "a".into() };
    let late = job().after(claim(), 3_600_000_001, &POLICY).unwrap();
    assert!(matches!(late.state, State::Dead { .. }));
    let in_time = job().after(claim(), 3_600_000_000, &POLICY).unwrap();
    assert!(matches!(in_time.state, State::Running { .. }));
}
