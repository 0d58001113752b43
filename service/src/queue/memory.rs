//! The queue in memory: shared by all instances that hold it, gone with the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use async_trait::async_trait;

use super::lease::{Event, Job, LeasePolicy, State};
use super::{BURIALS, CAPACITY, Depth, Enqueued, JobStore, QueueError};
use crate::sync::lock;

/// A queue in memory.
#[derive(Debug)]
pub struct MemoryJobs {
    policy: LeasePolicy,
    data: Mutex<Data>,
}

#[derive(Debug, Default)]
struct Data {
    jobs: BTreeMap<String, (u64, Job)>,
    /// When each unfinished job can be claimed; among equals, in order of arrival.
    claimable: BTreeSet<(u64, u64, String)>,
    arrivals: u64,
}

impl MemoryJobs {
    /// An empty queue.
    pub fn new(policy: LeasePolicy) -> Self {
        Self {
            policy,
            data: Mutex::default(),
        }
    }
}

impl Data {
    fn put(&mut self, arrival: u64, job: Job) {
        self.forget(&job.id);
        if let Some(at) = job.claimable_us() {
            self.claimable.insert((at, arrival, job.id.clone()));
        }
        self.jobs.insert(job.id.clone(), (arrival, job));
    }

    fn forget(&mut self, id: &str) {
        if let Some((arrival, job)) = self.jobs.remove(id)
            && let Some(at) = job.claimable_us()
        {
            self.claimable.remove(&(at, arrival, job.id));
        }
    }

    /// The job that stands for `job` already.
    fn stands_for(&self, job: &Job) -> Option<&Job> {
        let same = |mine: &Option<String>, theirs: &Option<String>| mine.is_some() && mine == theirs;
        self.jobs.values().map(|(_, known)| known).find(|known| {
            known.tenant == job.tenant
                && (same(&job.idempotency_key, &known.idempotency_key)
                    || (known.finished_us().is_none() && same(&job.fingerprint, &known.fingerprint)))
        })
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
        if data.claimable.len() >= CAPACITY {
            return Err(QueueError::Full);
        }
        if data.jobs.contains_key(&job.id) {
            return Err(QueueError::Exists);
        }
        data.arrivals += 1;
        let arrival = data.arrivals;
        data.put(arrival, job);
        Ok(Enqueued::New)
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        Ok(lock(&self.data).jobs.get(id).map(|(_, job)| job.clone()))
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
            if matches!(job.state, State::Running { .. }) {
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
        let before = now_us.saturating_sub(self.policy.expiry.as_micros() as u64);
        let kept = data.jobs.len();
        data.jobs
            .retain(|_, (_, job)| job.finished_us().is_none_or(|at| at >= before));
        Ok((kept - data.jobs.len()) as u64)
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        let data = lock(&self.data);
        let unfinished = data
            .claimable
            .iter()
            .filter_map(|(.., id)| data.jobs.get(id).map(|(_, job)| job));
        let mut depth = Depth::default();
        for job in unfinished {
            match job.state {
                State::Queued { due_us } => {
                    depth.queued += 1;
                    depth.oldest_us = depth.oldest_us.max(now_us.saturating_sub(due_us));
                }
                _ => depth.running += 1,
            }
        }
        Ok(depth)
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(())
    }
}
