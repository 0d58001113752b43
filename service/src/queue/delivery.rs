//! Telling an outcome: where the webhook of a finished job stands. Pure, and the same machine as the job's own: a
//! delivery is lent to one worker at a time, under a number that is never used again.
//!
//! It is part of the job's record, so it outlives the worker that finished the job. A worker that dies after its request
//! was heard and before it could say so leaves a delivery that is made again: receivers hear of an outcome at least once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lease::{Lease, LeasePolicy, Refused, micros};

/// Where telling an outcome stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// There is nothing to tell: no outcome yet, or nobody to tell it to.
    #[default]
    None,
    /// It waits.
    Waiting {
        /// Not to be tried sooner.
        due_us: u64,
        /// How often it was tried.
        attempts: u32,
    },
    /// A worker is at it.
    Lent {
        /// Who, and under which number.
        lease: Lease,
        /// When the lease runs out. There are no heartbeats: a try is shorter than a lease.
        until_us: u64,
    },
    /// The receiver said that it has it.
    Delivered {
        /// When.
        at_us: u64,
        /// How many tries it took.
        attempts: u32,
    },
    /// It was tried too often, or the receiver wants no more.
    GivenUp {
        /// When.
        at_us: u64,
        /// How often it was tried.
        attempts: u32,
    },
}

impl Delivery {
    /// An outcome that is to be told from now on.
    pub(super) const fn due(now_us: u64) -> Self {
        Self::Waiting {
            due_us: now_us,
            attempts: 0,
        }
    }

    /// When somebody can take it up; `None` when there is nothing left to do.
    pub const fn claimable_us(&self) -> Option<u64> {
        match self {
            Self::Waiting { due_us, .. } => Some(*due_us),
            Self::Lent { until_us, .. } => Some(*until_us),
            Self::None | Self::Delivered { .. } | Self::GivenUp { .. } => None,
        }
    }

    /// How often it was tried.
    pub const fn attempts(&self) -> u32 {
        match self {
            Self::None => 0,
            Self::Lent { lease, .. } => lease.attempt,
            Self::Waiting { attempts, .. } | Self::Delivered { attempts, .. } | Self::GivenUp { attempts, .. } => {
                *attempts
            }
        }
    }

    /// In the hands of `worker`, or given up if it must not be tried again.
    pub(super) fn claimed(&self, worker: String, now_us: u64, policy: &LeasePolicy) -> Result<Self, Refused> {
        let claimable_us = self.claimable_us().ok_or(Refused::Finished)?;
        if claimable_us > now_us {
            return Err(Refused::NotDue);
        }
        let attempts = self.attempts();
        if attempts >= policy.max_deliveries {
            return Ok(Self::GivenUp {
                at_us: now_us,
                attempts,
            });
        }
        Ok(Self::Lent {
            lease: Lease {
                worker,
                attempt: attempts + 1,
            },
            until_us: now_us + micros(policy.lease),
        })
    }

    /// The receiver has it.
    pub(super) fn delivered(&self, lease: &Lease, now_us: u64) -> Result<Self, Refused> {
        if let Self::Delivered { attempts, .. } = self
            && *attempts == lease.attempt
        {
            return Ok(self.clone()); // said twice: the first answer to it was lost
        }
        let attempts = self.held(lease)?;
        Ok(Self::Delivered {
            at_us: now_us,
            attempts,
        })
    }

    /// The receiver does not have it, as far as we know.
    pub(super) fn failed(
        &self,
        lease: &Lease,
        retry_after: Option<Duration>,
        now_us: u64,
        policy: &LeasePolicy,
    ) -> Result<Self, Refused> {
        let attempts = self.held(lease)?;
        Ok(match retry_after {
            Some(after) if attempts < policy.max_deliveries => Self::Waiting {
                due_us: now_us + micros(after),
                attempts,
            },
            _ => Self::GivenUp {
                at_us: now_us,
                attempts,
            },
        })
    }

    /// Its worker has to stop. The try counts: nobody knows how far it came.
    pub(super) fn released(&self, lease: &Lease, now_us: u64) -> Result<Self, Refused> {
        let attempts = self.held(lease)?;
        Ok(Self::Waiting {
            due_us: now_us,
            attempts,
        })
    }

    fn held(&self, lease: &Lease) -> Result<u32, Refused> {
        match self {
            Self::Lent { lease: current, .. } if current == lease => Ok(lease.attempt),
            Self::Lent { .. } | Self::Waiting { .. } => Err(Refused::Stale),
            Self::None | Self::Delivered { .. } | Self::GivenUp { .. } => Err(Refused::Finished),
        }
    }
}
