//! Stores that fail as a scenario says, put between the reference service and its stores in memory.
//!
//! The service knows nothing of it: it sees a database, a queue and a Redis that are down, silent or slow for a while.
//! `Way` is the one gate that all of them are behind.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brownout_scenario::plan::{Dependency, DependencyEffect};
use brownout_service::Stores;
use brownout_service::cache::{CacheError, CacheStore, Kept, Key};
use brownout_service::limits::{Allowance, Demand, LimitStore, LimitStoreError, Verdict};
use brownout_service::queue::{Depth, Enqueued, Event, Job, JobStore, Mark, QueueError};
use brownout_service::storage::{Connection, Database, DatabaseError, Session, UsageRow};
use brownout_world::dependencies::DependencyFaults;

/// `stores` as a host meets them that suffers `faults`. A connection that is asked for in vain is given up after
/// `acquire_timeout`, like one that is not free.
pub fn troubled(stores: Stores, faults: &DependencyFaults, acquire_timeout: Duration) -> Stores {
    let way = |dependency| Way::to(dependency, faults);
    // Always behind the gate: what is set aside when a process is killed is not settled by its ghost.
    let stores = Stores {
        limits: Arc::new(TroubledLimits {
            inner: stores.limits,
            way: way(Dependency::Redis),
        }),
        ..stores
    };
    if faults.is_empty() {
        return stores;
    }
    Stores {
        database: Arc::new(TroubledDatabase {
            inner: stores.database,
            way: way(Dependency::Database),
            acquire_timeout,
        }),
        jobs: Arc::new(TroubledJobs {
            inner: stores.jobs,
            way: way(Dependency::Queue),
        }),
        cache: Arc::new(TroubledCache {
            inner: stores.cache,
            way: way(Dependency::Redis),
        }),
        ..stores
    }
}

/// The way from a host to a dependency. Every call of a store in memory passes it first.
#[derive(Clone)]
pub(crate) struct Way {
    faults: DependencyFaults,
    dependency: Dependency,
}

/// Nobody answers at the other end.
#[derive(Debug, thiserror::Error)]
#[error("the connection was refused, as the scenario has it")]
pub(crate) struct Refused;

impl Way {
    /// The way to `dependency`, for a host that suffers `faults`.
    pub(crate) fn to(dependency: Dependency, faults: &DependencyFaults) -> Self {
        Self {
            faults: faults.clone(),
            dependency,
        }
    }

    /// Gets through to the other end, as late as the faults have it. Nobody gets through from a process that is dead.
    pub(crate) async fn pass(&self) -> Result<(), Refused> {
        if self.faults.is_severed() {
            return Err(Refused);
        }
        while let Some(trouble) = self.faults.now(self.dependency) {
            match trouble.effect {
                DependencyEffect::Down => return Err(Refused),
                DependencyEffect::Hang => tokio::time::sleep(trouble.remaining).await,
                DependencyEffect::Slow { latency } => {
                    tokio::time::sleep(latency.into()).await;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn to_database(&self) -> Result<(), DatabaseError> {
        self.pass().await.map_err(|e| DatabaseError::Failed(Box::new(e)))
    }

    async fn to_queue(&self) -> Result<(), QueueError> {
        self.pass().await.map_err(|e| QueueError::Failed(Box::new(e)))
    }
}

struct TroubledDatabase {
    inner: Arc<dyn Database>,
    way: Way,
    acquire_timeout: Duration,
}

#[async_trait]
impl Database for TroubledDatabase {
    /// Pools ask a connection whether it is alive before they hand it out: that must get through, too.
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError> {
        let acquire = async {
            let inner = self.inner.acquire().await?;
            self.way.to_database().await?;
            Ok(Box::new(TroubledConnection {
                inner,
                way: self.way.clone(),
            }) as Box<dyn Connection>)
        };
        let acquired = tokio::time::timeout(self.acquire_timeout, acquire).await;
        acquired.unwrap_or(Err(DatabaseError::PoolTimeout))
    }

    fn replica(&self) -> Arc<dyn Database> {
        Arc::new(Self {
            inner: self.inner.replica(),
            way: self.way.clone(),
            acquire_timeout: self.acquire_timeout,
        })
    }
}

struct TroubledConnection {
    inner: Box<dyn Connection>,
    way: Way,
}

#[async_trait]
impl Connection for TroubledConnection {
    async fn session(&mut self, session: &str) -> Result<Session, DatabaseError> {
        self.way.to_database().await?;
        self.inner.session(session).await
    }

    async fn record_usage(&mut self, row: &UsageRow) -> Result<(), DatabaseError> {
        self.way.to_database().await?;
        self.inner.record_usage(row).await
    }

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        self.way.to_database().await?;
        self.inner.ping().await
    }
}

struct TroubledJobs {
    inner: Arc<dyn JobStore>,
    way: Way,
}

#[async_trait]
impl JobStore for TroubledJobs {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        self.way.to_queue().await?;
        self.inner.enqueue(job).await
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        self.way.to_queue().await?;
        self.inner.get(id).await
    }

    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
        self.way.to_queue().await?;
        self.inner.marks(ids).await
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        self.way.to_queue().await?;
        self.inner.claim(worker, now_us).await
    }

    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        self.way.to_queue().await?;
        self.inner.update(id, event, now_us).await
    }

    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        self.way.to_queue().await?;
        self.inner.purge(now_us).await
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        self.way.to_queue().await?;
        self.inner.depth(now_us).await
    }

    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError> {
        self.way.to_queue().await?;
        self.inner.waiting(tenant).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.way.to_queue().await?;
        self.inner.ping().await
    }
}

struct TroubledLimits {
    inner: Arc<dyn LimitStore>,
    way: Way,
}

impl TroubledLimits {
    async fn pass(&self) -> Result<(), LimitStoreError> {
        self.way.pass().await.map_err(|e| LimitStoreError(Box::new(e)))
    }
}

#[async_trait]
impl LimitStore for TroubledLimits {
    async fn reserve(&self, demand: &Demand, now_us: u64) -> Result<Verdict, LimitStoreError> {
        self.pass().await?;
        self.inner.reserve(demand, now_us).await
    }

    async fn settle(&self, id: u64, demand: &Demand, used: &[u64], now_us: u64) -> Result<(), LimitStoreError> {
        self.pass().await?;
        self.inner.settle(id, demand, used, now_us).await
    }

    async fn left(&self, account: &str, rule: Allowance, now_us: u64) -> Result<u64, LimitStoreError> {
        self.pass().await?;
        self.inner.left(account, rule, now_us).await
    }

    async fn ping(&self) -> Result<(), LimitStoreError> {
        self.pass().await?;
        self.inner.ping().await
    }
}

struct TroubledCache {
    inner: Arc<dyn CacheStore>,
    way: Way,
}

impl TroubledCache {
    async fn pass(&self) -> Result<(), CacheError> {
        self.way.pass().await.map_err(|e| CacheError(Box::new(e)))
    }
}

#[async_trait]
impl CacheStore for TroubledCache {
    async fn get(&self, key: &Key, now_us: u64) -> Result<Option<Kept>, CacheError> {
        self.pass().await?;
        self.inner.get(key, now_us).await
    }

    async fn put(&self, key: &Key, kept: &Kept, now_us: u64, until_us: u64) -> Result<(), CacheError> {
        self.pass().await?;
        self.inner.put(key, kept, now_us, until_us).await
    }

    async fn clear(&self) -> Result<(), CacheError> {
        self.pass().await?;
        self.inner.clear().await
    }
}
