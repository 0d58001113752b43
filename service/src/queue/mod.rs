//! The durable queue: jobs that survive the process that took them on, and the one that works on them.
//!
//! `lease` is the whole meaning of the queue, as a pure state machine; a [`JobStore`] only keeps records and applies the
//! machine to them, one at a time. So the queue means the same in memory, on SQLite, PostgreSQL and Redis, and one
//! conformance suite proves it. `filed` says what a job is found by, `aside` what becomes of records that cannot be read,
//! `bounded` puts an end to every step.

mod aside;
mod bounded;
#[cfg(test)]
mod conformance;
mod delivery;
mod filed;
pub mod lease;
mod memory;
mod postgres;
mod redis;
mod sql;
mod sqlite;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

pub use self::aside::Fate;
pub use self::bounded::Bounded;
pub use self::delivery::Delivery;
pub use self::lease::{Event, Job, Lease, LeasePolicy, Refused, State};
pub use self::memory::MemoryJobs;
pub use self::postgres::PostgresJobs;
pub use self::redis::RedisJobs;
pub use self::sqlite::SqliteJobs;

/// Jobs that may be unfinished at a time: the bound of the queue.
pub const CAPACITY: usize = 100_000;

/// Jobs that one call to [`JobStore::claim`] buries at most while it looks for one to run.
const BURIALS: usize = 64;

/// How often a step is begun anew because somebody else changed the same job in between.
const ATTEMPTS: u32 = 16;

/// Jobs that are forgotten in one step: others get their turn between two.
const PURGED_AT_ONCE: u32 = 1_000;

/// Marks that one question is about at most.
const MARKS_AT_ONCE: usize = 1_000;

/// Longest wait for a connection to a store, and to make one.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Keeps jobs.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Takes on a new job, unless its tenant has one under the same idempotency key, or an unfinished one with the same
    /// fingerprint: then that one is handed back and nothing is changed. One step: of two equal jobs that come at the same
    /// moment one is taken on.
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError>;

    /// A job as it stands.
    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError>;

    /// Where each of these jobs stands, in few questions however many they are; those that there are not are left out.
    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError>;

    /// Leases the job that has been due for the longest to `worker`: to be done, or for its outcome to be told. A record
    /// that cannot be read is put aside, and that is the error: claim again.
    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError>;

    /// Applies `event` to a job, alone and completely, and returns the job as it then is.
    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError>;

    /// Forgets jobs that finished longer than `expiry` ago; returns how many.
    async fn purge(&self, now_us: u64) -> Result<u64, QueueError>;

    /// How full the queue is.
    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError>;

    /// How many jobs of `tenant` wait, for their turn or their time.
    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError>;

    /// Whether the queue answers.
    async fn ping(&self) -> Result<(), QueueError>;
}

/// Where a job stands: another mark after each change. To be compared with another of the same store, not to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark([i64; 3]);

/// What became of a job that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Enqueued {
    /// It was taken on.
    New,
    /// There is one already that stands for it.
    Existing(Box<Job>),
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// Jobs that wait, for their turn or their time.
    pub queued: u64,
    /// Jobs that are lent to workers, those with an outcome that is still to be told, and records that are aside.
    pub running: u64,
    /// How long the job that has been due for the longest has waited, in microseconds.
    pub oldest_us: u64,
}

/// The queue did not do it.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The machine refused the event.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is a job with that id already.
    #[error("there is a job with that id already")]
    Exists,
    /// There is no such job.
    #[error("there is no such job")]
    Unknown,
    /// Its record is damaged, or written by a newer version.
    #[error(
        "the record of {id} cannot be read: it is damaged, or a newer version of this service wrote it; run that version, \
         or hand the work in again"
    )]
    Unreadable {
        /// The job.
        id: String,
        /// Whose it is.
        tenant: String,
    },
    /// A claim came upon such a record; the queue goes on without it.
    #[error("the record of {id} cannot be read and was put aside; claim again")]
    PutAside {
        /// The job.
        id: String,
        /// What became of it.
        fate: Fate,
    },
    /// Too many unfinished jobs.
    #[error("the queue is full: {CAPACITY} jobs are unfinished; add workers, or slow the producers down")]
    Full,
    /// Others changed the same job at the same time, again and again.
    #[error("the job was changed by others at the same time, {ATTEMPTS} times in a row; try again")]
    Contended,
    /// The store did not answer.
    #[error("the store did not answer in time")]
    Late,
    /// The store itself failed.
    #[error("the store failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}
