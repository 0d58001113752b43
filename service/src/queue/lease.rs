//! The lease machine: what a job is, and what may happen to it. Pure: no store, no clock, no chance.
//!
//! A job is lent to one worker at a time, for a limited time, under a number that is never used again (the attempt). A
//! worker that dies stops its heartbeat and the lease runs out; whoever claims the job next gets a higher number, and
//! the dead worker, should it come back, is refused by its old one. Work is therefore done at least once and its result
//! is taken exactly once. Telling the outcome to whoever wants to be told is lent in the same way ([`Delivery`]).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delivery::Delivery;

/// Parameters of the queue. One policy per queue: all who use it must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeasePolicy {
    /// How long a lease lasts without a heartbeat.
    pub lease: Duration,
    /// How often a job is begun before it is dead.
    pub max_attempts: u32,
    /// How often its outcome is told to somebody who does not take it.
    pub max_deliveries: u32,
    /// How long a job may wait to be begun, and how long its outcome is kept.
    pub expiry: Duration,
}

impl LeasePolicy {
    /// Jobs that finished before this moment are forgotten.
    pub const fn forgets_before_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(micros(self.expiry))
    }
}

/// A job and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name, unique in the queue.
    pub id: String,
    /// Whose it is: nobody else learns that it exists.
    #[serde(default)]
    pub tenant: String,
    /// By which of its owner's keys it was asked for: who pays.
    #[serde(default)]
    pub caller: String,
    /// The name its owner gave it: a second job of that tenant under that name is the first one.
    #[serde(default)]
    pub idempotency_key: Option<String>,
    /// What is asked, as a digest: equal work of a tenant that is still unfinished is done once.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// Where to tell the outcome.
    #[serde(default)]
    pub webhook: Option<String>,
    /// What is to be done; the queue does not read it.
    pub payload: String,
    /// The request that asked for it, for logs and providers.
    pub request_id: String,
    /// The trace that it belongs to.
    pub traceparent: Option<String>,
    /// When it was taken on, in microseconds since the Unix epoch, like all times here.
    pub enqueued_us: u64,
    /// How often it was begun.
    pub attempts: u32,
    /// How often it was given back untouched. Those beginnings are no mark against it: a deployment is not its fault.
    #[serde(default)]
    pub released: u32,
    /// Where it stands.
    pub state: State,
    /// Where telling its outcome stands.
    #[serde(default)]
    pub delivery: Delivery,
}

/// Where a job stands: in exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It waits.
    Queued {
        /// Not to be begun sooner.
        due_us: u64,
    },
    /// It is lent to a worker.
    Running {
        /// To whom, and under which number.
        lease: Lease,
        /// When the lease runs out unless there is a heartbeat.
        until_us: u64,
        /// Since when it waited for this claim.
        waited_since_us: u64,
    },
    /// It is done.
    Succeeded {
        /// What came of it; the queue does not read it.
        result: String,
        /// When.
        at_us: u64,
    },
    /// It cannot be done: another attempt would fail alike.
    Failed {
        /// Why; the queue does not read it.
        error: String,
        /// When.
        at_us: u64,
    },
    /// It was begun too often, or waited too long: somebody should look at it.
    Dead {
        /// The last error, where there was one.
        error: Option<String>,
        /// When.
        at_us: u64,
    },
    /// Its owner took it back.
    Cancelled {
        /// When.
        at_us: u64,
    },
}

/// A worker's right to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub worker: String,
    /// The number: the job's attempts when it was claimed.
    pub attempt: u32,
}

/// What may happen to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker wants it.
    Claim {
        /// Who.
        worker: String,
    },
    /// Its worker is still at it.
    Heartbeat {
        /// The worker's right.
        lease: Lease,
    },
    /// Its worker is done.
    Complete {
        /// The worker's right.
        lease: Lease,
        /// What came of it.
        result: String,
    },
    /// Its worker could not do it.
    Fail {
        /// The worker's right.
        lease: Lease,
        /// Why.
        error: String,
        /// After how long another attempt makes sense; `None` when it does not.
        retry_after: Option<Duration>,
    },
    /// Its worker gives it back untouched, because it has to stop.
    Release {
        /// The worker's right.
        lease: Lease,
    },
    /// Its owner takes it back.
    Cancel,
    /// Its outcome was told.
    Delivered {
        /// The worker's right to the delivery.
        lease: Lease,
    },
    /// Its outcome could not be told.
    Undelivered {
        /// The worker's right to the delivery.
        lease: Lease,
        /// After how long another try makes sense; `None` when it does not.
        retry_after: Option<Duration>,
    },
}

/// Why an event was refused. The job is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not to be claimed now: it waits for its time, or somebody holds it.
    #[error("the job cannot be claimed now")]
    NotDue,
    /// The lease ran out and somebody else has the job, or had it.
    #[error("the lease is stale: somebody else has the job, drop the work")]
    Stale,
    /// The job was cancelled.
    #[error("the job was cancelled: drop the work")]
    Cancelled,
    /// The job has an outcome.
    #[error("the job is finished")]
    Finished,
}

impl Job {
    /// When the job can be claimed, to be done or for its outcome to be told; `None` once there is nothing left to do.
    pub const fn claimable_us(&self) -> Option<u64> {
        match self.state {
            State::Queued { due_us } => Some(due_us),
            State::Running { until_us, .. } => Some(until_us),
            _ => self.delivery.claimable_us(),
        }
    }

    /// Whether a worker has it, or the telling of its outcome, in hand. What a claim comes to unless the job was buried.
    pub const fn is_lent(&self) -> bool {
        matches!(self.state, State::Running { .. }) || matches!(self.delivery, Delivery::Lent { .. })
    }

    /// Beginnings that count: those that were not given back.
    pub const fn tries(&self) -> u32 {
        self.attempts.saturating_sub(self.released)
    }

    /// Whether it had waited too long at `now_us` to be begun at all.
    pub const fn has_expired(&self, now_us: u64, policy: &LeasePolicy) -> bool {
        now_us.saturating_sub(self.enqueued_us) > micros(policy.expiry)
    }

    /// When the job got its outcome, if it has one.
    pub const fn finished_us(&self) -> Option<u64> {
        match self.state {
            State::Succeeded { at_us, .. }
            | State::Failed { at_us, .. }
            | State::Dead { at_us, .. }
            | State::Cancelled { at_us } => Some(at_us),
            State::Queued { .. } | State::Running { .. } => None,
        }
    }

    /// What becomes of the job when `event` happens at `now_us`.
    pub fn after(&self, event: Event, now_us: u64, policy: &LeasePolicy) -> Result<Self, Refused> {
        if self.finished_us().is_some() && !matches!(event, Event::Complete { .. } | Event::Cancel) {
            return Ok(Self {
                delivery: self.told(event, now_us, policy)?,
                ..self.clone()
            });
        }
        let mut next = self.worked(event, now_us, policy)?;
        let has_ended = self.finished_us().is_none() && next.finished_us().is_some();
        if has_ended && next.webhook.is_some() {
            next.delivery = Delivery::due(now_us);
        }
        Ok(next)
    }

    /// What becomes of the telling of its outcome.
    fn told(&self, event: Event, now_us: u64, policy: &LeasePolicy) -> Result<Delivery, Refused> {
        match event {
            Event::Claim { worker } => self.delivery.claimed(worker, now_us, policy),
            Event::Delivered { lease } => self.delivery.delivered(&lease, now_us),
            Event::Undelivered { lease, retry_after } => self.delivery.failed(&lease, retry_after, now_us, policy),
            Event::Release { lease } => match self.held(&lease) {
                Err(Refused::Cancelled) if self.delivery == Delivery::None => Err(Refused::Cancelled),
                _ => self.delivery.released(&lease, now_us),
            },
            // A worker that is still at a job that has its outcome.
            Event::Heartbeat { lease } | Event::Fail { lease, .. } | Event::Complete { lease, .. } => {
                Err(self.held(&lease).err().unwrap_or(Refused::Finished))
            }
            Event::Cancel => Err(Refused::Finished),
        }
    }

    /// What becomes of the work itself.
    fn worked(&self, event: Event, now_us: u64, policy: &LeasePolicy) -> Result<Self, Refused> {
        let mut next = self.clone();
        match event {
            Event::Claim { worker } => return self.claimed(worker, now_us, policy),
            Event::Heartbeat { lease } => {
                let waited_since_us = self.held(&lease)?;
                next.state = State::Running {
                    lease,
                    until_us: now_us + micros(policy.lease),
                    waited_since_us,
                };
            }
            Event::Complete { lease, result } => {
                if matches!(self.state, State::Succeeded { .. }) && lease.attempt == self.attempts {
                    return Ok(next); // said twice: the first answer to it was lost
                }
                self.held(&lease)?;
                next.state = State::Succeeded { result, at_us: now_us };
            }
            Event::Fail {
                lease,
                error,
                retry_after,
            } => {
                self.held(&lease)?;
                next.state = match retry_after {
                    None => State::Failed { error, at_us: now_us },
                    Some(_) if self.tries() >= policy.max_attempts => State::Dead {
                        error: Some(error),
                        at_us: now_us,
                    },
                    Some(after) => State::Queued {
                        due_us: now_us + micros(after),
                    },
                };
            }
            Event::Release { lease } => {
                self.held(&lease)?;
                next.released += 1;
                next.state = State::Queued { due_us: now_us };
            }
            // Nothing is told before there is an outcome.
            Event::Delivered { .. } | Event::Undelivered { .. } => return Err(Refused::Stale),
            Event::Cancel => match self.finished_us() {
                None => next.state = State::Cancelled { at_us: now_us },
                Some(_) if matches!(self.state, State::Cancelled { .. }) => {}
                Some(_) => return Err(Refused::Finished),
            },
        }
        Ok(next)
    }

    /// The job in the hands of `worker`, or dead if it must not be begun again.
    fn claimed(&self, worker: String, now_us: u64, policy: &LeasePolicy) -> Result<Self, Refused> {
        let claimable_us = self.claimable_us().ok_or(Refused::Finished)?;
        if claimable_us > now_us {
            return Err(Refused::NotDue);
        }
        let mut next = self.clone();
        if self.tries() >= policy.max_attempts || self.has_expired(now_us, policy) {
            next.state = State::Dead {
                error: None,
                at_us: now_us,
            };
            return Ok(next);
        }
        next.attempts += 1;
        next.state = State::Running {
            lease: Lease {
                worker,
                attempt: next.attempts,
            },
            until_us: now_us + micros(policy.lease),
            waited_since_us: claimable_us,
        };
        Ok(next)
    }

    /// Checks a worker's right to the job. A lease that ran out is still good while nobody else has claimed the job.
    fn held(&self, lease: &Lease) -> Result<u64, Refused> {
        match &self.state {
            State::Running {
                lease: current,
                waited_since_us,
                ..
            } if current == lease => Ok(*waited_since_us),
            State::Cancelled { .. } => Err(Refused::Cancelled),
            State::Running { .. } | State::Queued { .. } => Err(Refused::Stale),
            State::Succeeded { .. } | State::Failed { .. } | State::Dead { .. } => Err(Refused::Finished),
        }
    }
}

pub(super) const fn micros(duration: Duration) -> u64 {
    duration.as_micros() as u64
}

#[cfg(test)]
mod tests {
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
}
