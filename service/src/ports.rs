//! What the service is given: the only ways in and out of it.
//!
//! A real deployment hands in a TCP listener, a TLS client and SQLite; a test hands in fakes. Nothing here decides which.

use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::queue::{JobStore, MemoryJobs, QueueError, SqliteJobs};
use crate::settings::Settings;
use crate::storage::{Database, DatabaseError, MemoryDatabase, SqliteDatabase};
use crate::upstream::Upstream;

/// What [`crate::run`] is given.
pub struct Ports<L> {
    /// Accepts clients: an [`axum::serve::Listener`]. TCP_NODELAY is its business.
    pub listener: L,
    /// Reaches the providers, and the trace collector.
    pub upstream: Arc<dyn Upstream>,
    /// What outlives the instance.
    pub stores: Stores,
    /// Time.
    pub clock: Clock,
    /// Root of all draws: jitter and identifiers.
    pub seed: u64,
    /// Cancelled when the instance is to end in good order, as SIGTERM asks for.
    pub shutdown: CancellationToken,
}

/// What [`crate::worker`] is given.
pub struct WorkerPorts {
    /// Reaches the providers, and the trace collector.
    pub upstream: Arc<dyn Upstream>,
    /// What outlives the instance; `jobs` is shared with those who enqueue.
    pub stores: Stores,
    /// Time.
    pub clock: Clock,
    /// Root of all draws.
    pub seed: u64,
    /// Cancelled when the worker is to end in good order.
    pub shutdown: CancellationToken,
    /// Names the holder of a lease; unique among the workers of a queue.
    pub name: String,
}

/// The stores. They outlive instances: clones share data *and* connection pool, [`Stores::replica`] shares the data alone.
#[derive(Clone)]
pub struct Stores {
    /// Sessions and usage.
    pub database: Arc<dyn Database>,
    /// The durable queue.
    pub jobs: Arc<dyn JobStore>,
}

impl Stores {
    /// Stores in memory, with the connection pool modelled. For tests and virtual time.
    pub fn memory(settings: &Settings) -> Self {
        Self {
            database: Arc::new(MemoryDatabase::new(&settings.database)),
            jobs: Arc::new(MemoryJobs::new(settings.jobs.lease_policy())),
        }
    }

    /// Stores in one SQLite file, made if it is missing. Real time only.
    pub async fn sqlite(settings: &Settings, path: &Path) -> Result<Self, StoresError> {
        let database = SqliteDatabase::open(path, &settings.database).await?;
        let jobs = SqliteJobs::open(path, settings.jobs.lease_policy()).await?;
        Ok(Self {
            database: Arc::new(database),
            jobs: Arc::new(jobs),
        })
    }

    /// The same data behind a connection pool of its own: what one more replica gets.
    #[must_use]
    pub fn replica(&self) -> Self {
        Self {
            database: self.database.replica(),
            jobs: Arc::clone(&self.jobs),
        }
    }
}

/// The stores could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoresError {
    /// The database.
    #[error("cannot open the database: {0}; check that `database_path` lies in a folder that may be written to")]
    Database(#[from] DatabaseError),
    /// The queue.
    #[error("cannot open the queue: {0}; check that `database_path` lies in a folder that may be written to")]
    Queue(#[from] QueueError),
}
