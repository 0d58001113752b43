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

/// Far more than any duration here, and little enough to be added to a time in a signed column.
const LONGEST_US: u128 = 1 << 60;

pub(super) const fn micros(duration: Duration) -> u64 {
    let us = duration.as_micros();
    if us < LONGEST_US { us as u64 } else { LONGEST_US as u64 }
}

#[cfg(test)]
mod tests;
