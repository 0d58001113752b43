//! A bound on every step of a queue: a store that does not answer is an error, not a hang.
//!
//! Around the stores that other processes keep. What was begun and not waited for may still happen there; the lease
//! machine lives with that, because every step can be said twice.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::lease::{Event, Job};
use super::{Depth, Enqueued, JobStore, Mark, QueueError};

/// Longest a step may take. Above the stores' own bounds on connecting, locks and statements, which say more.
const STEP: Duration = Duration::from_secs(10);

/// A store whose every step ends in time.
#[derive(Debug)]
pub struct Bounded<S>(pub S);

async fn within<T>(step: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
    tokio::time::timeout(STEP, step).await.unwrap_or(Err(QueueError::Late))
}

#[async_trait]
impl<S: JobStore> JobStore for Bounded<S> {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        within(self.0.enqueue(job)).await
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        within(self.0.get(id)).await
    }

    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
        within(self.0.marks(ids)).await
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        within(self.0.claim(worker, now_us)).await
    }

    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        within(self.0.update(id, event, now_us)).await
    }

    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        within(self.0.purge(now_us)).await
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        within(self.0.depth(now_us)).await
    }

    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError> {
        within(self.0.waiting(tenant)).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        within(self.0.ping()).await
    }
}
