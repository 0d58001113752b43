//! The queue in memory: shared by all instances that hold it, gone with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use super::filed::{Filed, Name};
use super::lease::{Event, Job, LeasePolicy};
use super::{BURIALS, CAPACITY, Depth, Enqueued, JobStore, Mark, QueueError};
use crate::sync::lock;

/// A queue in memory.
#[derive(Debug)]
pub struct MemoryJobs {
    policy: LeasePolicy,
    capacity: usize,
    data: Mutex<Data>,
}

/// The jobs, and what they are found by.
#[derive(Debug, Default)]
struct Data {
    jobs: BTreeMap<String, (u64, Job)>,
    /// The number of the last change to each.
    changes: BTreeMap<String, i64>,
    change: i64,
    /// When each unfinished job can be claimed; among equals, in order of arrival.
    claimable: BTreeSet<(u64, u64, String)>,
    /// The same for those among them that no worker has.
    waiting: BTreeSet<(u64, u64)>,
    /// How many of those each tenant has that has some.
    waiting_of: BTreeMap<String, u64>,
    finished: BTreeSet<(u64, String)>,
    keys: BTreeMap<Name, String>,
    open: BTreeMap<Name, String>,
    arrivals: u64,
}

impl MemoryJobs {
    /// An empty queue.
    pub fn new(policy: LeasePolicy) -> Self {
        Self {
            policy,
            capacity: CAPACITY,
            data: Mutex::default(),
        }
    }

    /// With room for fewer jobs.
    #[cfg(test)]
    pub(super) fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }
}

impl Data {
    fn put(&mut self, arrival: u64, job: Job) {
        self.take(&job.id);
        let filed = Filed::of(&job);
        if let Some(at) = filed.claimable_us {
            self.claimable.insert((at, arrival, job.id.clone()));
            if !filed.lent {
                self.waiting.insert((at, arrival));
                *self.waiting_of.entry(job.tenant.clone()).or_default() += 1;
            }
        }
        if let Some(at) = filed.finished_us {
            self.finished.insert((at, job.id.clone()));
        }
        if let Some(open) = filed.open() {
            self.open.insert(open.clone(), job.id.clone());
        }
        if let Some(key) = filed.key {
            self.keys.insert(key, job.id.clone());
        }
        self.change += 1;
        self.changes.insert(job.id.clone(), self.change);
        self.jobs.insert(job.id.clone(), (arrival, job));
    }

    fn take(&mut self, id: &str) {
        let Some((arrival, job)) = self.jobs.remove(id) else {
            return;
        };
        self.changes.remove(id);
        let filed = Filed::of(&job);
        if let Some(at) = filed.claimable_us {
            if self.waiting.remove(&(at, arrival)) {
                self.waits_no_more(&job.tenant);
            }
            self.claimable.remove(&(at, arrival, job.id.clone()));
        }
        if let Some(open) = filed.open() {
            self.open.remove(open);
        }
        if let Some(key) = filed.key {
            self.keys.remove(&key);
        }
        if let Some(at) = filed.finished_us {
            self.finished.remove(&(at, job.id));
        }
    }

    fn waits_no_more(&mut self, tenant: &str) {
        let Some(waiting) = self.waiting_of.get_mut(tenant) else {
            return;
        };
        *waiting -= 1;
        if *waiting == 0 {
            self.waiting_of.remove(tenant);
        }
    }

    /// The job that stands for `job` already.
    fn stands_for(&self, job: &Job) -> Option<&Job> {
        let filed = Filed::of(job);
        let by_key = filed.key.as_ref().and_then(|key| self.keys.get(key));
        let id = by_key.or_else(|| filed.open().and_then(|open| self.open.get(open)))?;
        self.jobs.get(id).map(|(_, known)| known)
    }

    fn apply(&mut self, id: &str, event: Event, now_us: u64, policy: &LeasePolicy) -> Result<Job, QueueError> {
        let (arrival, job) = self.jobs.get(id).ok_or(QueueError::Unknown)?;
        let arrival = *arrival;
        let next = job.after(event, now_us, policy)?;
        self.put(arrival, next.clone());
        Ok(next)
    }
}

#[async_trait]
impl JobStore for MemoryJobs {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        let mut data = lock(&self.data);
        if let Some(existing) = data.stands_for(&job) {
            return Ok(Enqueued::Existing(Box::new(existing.clone())));
        }
        if data.jobs.contains_key(&job.id) {
            return Err(QueueError::Exists);
        }
        if data.claimable.len() >= self.capacity {
            return Err(QueueError::Full);
        }
        data.arrivals += 1;
        let arrival = data.arrivals;
        data.put(arrival, job);
        Ok(Enqueued::New)
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        Ok(lock(&self.data).jobs.get(id).map(|(_, job)| job.clone()))
    }

    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
        let data = lock(&self.data);
        let mark = |id: &String| Some((id.clone(), Mark([*data.changes.get(id)?, 0, 0])));
        Ok(ids.iter().filter_map(mark).collect())
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        let mut data = lock(&self.data);
        for _ in 0..BURIALS {
            let Some(id) = data
                .claimable
                .first()
                .filter(|(at, ..)| *at <= now_us)
                .map(|(.., id)| id.clone())
            else {
                return Ok(None);
            };
            let worker = worker.to_owned();
            let job = data.apply(&id, Event::Claim { worker }, now_us, &self.policy)?;
            if job.is_lent() {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        lock(&self.data).apply(id, event, now_us, &self.policy)
    }

    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        let mut data = lock(&self.data);
        let before = self.policy.forgets_before_us(now_us);
        let mut purged = 0;
        while let Some((_, id)) = data.finished.first().filter(|(at, _)| *at < before).cloned() {
            data.take(&id);
            purged += 1;
        }
        Ok(purged)
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        let data = lock(&self.data);
        let queued = data.waiting.len() as u64;
        Ok(Depth {
            queued,
            running: data.claimable.len() as u64 - queued,
            oldest_us: data.waiting.first().map_or(0, |(at, _)| now_us.saturating_sub(*at)),
        })
    }

    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError> {
        Ok(lock(&self.data).waiting_of.get(tenant).copied().unwrap_or_default())
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(())
    }
}
