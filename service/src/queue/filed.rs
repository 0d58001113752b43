//! Where a store files a job: what it is found by. One reading of a record for all stores, so that they cannot differ.
//!
//! Does not say what a job means: that is the lease machine's.

use super::QueueError;
use super::lease::{Job, State};

/// What a job is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filed {
    /// From when on it can be claimed.
    pub(super) claimable_us: Option<u64>,
    /// When it got its outcome.
    pub(super) finished_us: Option<u64>,
    /// Whether a worker has it, or it waits for nothing but its outcome to be told.
    pub(super) lent: bool,
    /// Its owner and the name it has there.
    pub(super) key: Option<Name>,
    /// Its owner and what is asked.
    pub(super) fingerprint: Option<Name>,
}

/// A tenant, and something that is unique there.
pub(super) type Name = (String, String);

impl Filed {
    /// Where `job` belongs.
    pub(super) fn of(job: &Job) -> Self {
        let name = |own: &Option<String>| own.clone().map(|own| (job.tenant.clone(), own));
        Self {
            claimable_us: job.claimable_us(),
            finished_us: job.finished_us(),
            lent: !matches!(job.state, State::Queued { .. }) && job.claimable_us().is_some(),
            key: name(&job.idempotency_key),
            fingerprint: name(&job.fingerprint),
        }
    }

    /// The fingerprint, while it stands for others: until the job has its outcome.
    pub(super) fn open(&self) -> Option<&Name> {
        self.fingerprint.as_ref().filter(|_| self.finished_us.is_none())
    }
}

/// A record as text.
pub(super) fn write(job: &Job) -> Result<String, QueueError> {
    serde_json::to_string(job).map_err(|error| QueueError::Failed(Box::new(error)))
}

/// The record of the job `id` of `tenant`, from text.
pub(super) fn read(id: &str, tenant: &str, record: &str) -> Result<Job, QueueError> {
    match serde_json::from_str::<Job>(record) {
        // What another job's record does under this name would be done to that job.
        Ok(job) if job.id == id => Ok(job),
        _ => Err(QueueError::Unreadable {
            id: id.to_owned(),
            tenant: tenant.to_owned(),
        }),
    }
}
