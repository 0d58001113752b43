//! What the service is given: the only ways in and out of it.
//!
//! A real deployment hands in a TCP listener, a TLS client and the stores that its settings name; a test hands in fakes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::cache::{CacheStore, CacheStoreKind, MemoryCache, RedisCache};
use crate::clock::Clock;
use crate::limits::{LimitStorage, LimitStore, MemoryLimits, RedisLimits};
use crate::queue::{Bounded, JobStore, MemoryJobs, PostgresJobs, RedisJobs, SqliteJobs};
use crate::settings::{QueueStore, Settings};
use crate::storage::{Database, MemoryDatabase, OpenError, Place, PostgresDatabase, SqliteDatabase, postgres, sqlite};
use crate::upstream::Upstream;

/// Where data goes when the settings name no place.
const DEFAULT_DATABASE: &str = "brownout-service.db";

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
    /// Limits and budgets that all instances keep together, where the settings say so.
    pub limits: Arc<dyn LimitStore>,
    /// Answers for all replicas, where `cache.store` says that they share them.
    pub cache: Arc<dyn CacheStore>,
}

impl Stores {
    /// Stores in memory, with the connection pool modelled. For tests and virtual time.
    pub fn memory(settings: &Settings) -> Self {
        Self {
            database: Arc::new(MemoryDatabase::new(&settings.database)),
            jobs: Arc::new(MemoryJobs::new(settings.lease_policy())),
            limits: Arc::new(MemoryLimits::default()),
            cache: Arc::new(MemoryCache::new(&settings.cache)),
        }
    }

    /// The stores that the settings name, with their tables brought up to date; a SQLite file is made if it is missing.
    /// Real time only.
    pub async fn open(settings: &Settings) -> Result<Self, OpenError> {
        let url = settings.database_url.as_ref();
        let stores = match url.map(|url| (url, Place::of(url.expose_secret()))) {
            Some((url, Some(Place::Postgres))) => Self::postgres(settings, url).await?,
            Some((_, Some(Place::Sqlite(path)))) => Self::sqlite(settings, &path).await?,
            Some((_, None)) => {
                return Err(OpenError::Address {
                    key: "database_url",
                    example: "sqlite:PATH or postgres://USER:PASSWORD@HOST:5432/NAME",
                });
            }
            None => {
                let path = settings.database_path.clone();
                Self::sqlite(settings, &path.unwrap_or_else(|| PathBuf::from(DEFAULT_DATABASE))).await?
            }
        };
        let namespace = settings.namespace.as_deref();
        let jobs: Arc<dyn JobStore> = match settings.queue {
            QueueStore::Database => stores.jobs,
            QueueStore::Redis => {
                let jobs = RedisJobs::open(redis(settings)?, namespace, settings.lease_policy()).await?;
                Arc::new(Bounded(jobs))
            }
        };
        let limits: Arc<dyn LimitStore> = match settings.limits.store {
            LimitStorage::Memory => stores.limits,
            LimitStorage::Shared => Arc::new(RedisLimits::open(redis(settings)?, namespace).await?),
        };
        let cache: Arc<dyn CacheStore> = match settings.cache.store {
            CacheStoreKind::Memory => stores.cache,
            CacheStoreKind::Shared => Arc::new(RedisCache::open(redis(settings)?, namespace)?),
        };
        Ok(Self {
            jobs,
            limits,
            cache,
            ..stores
        })
    }

    /// Stores in one SQLite file, made if it is missing. Real time only.
    pub async fn sqlite(settings: &Settings, path: &Path) -> Result<Self, OpenError> {
        let options = sqlite::prepare(path).await?;
        let jobs = SqliteJobs::over(&options, settings.lease_policy());
        Ok(Self {
            database: Arc::new(SqliteDatabase::over(options, settings.database)),
            jobs: Arc::new(Bounded(jobs)),
            limits: Arc::new(MemoryLimits::default()),
            cache: Arc::new(MemoryCache::new(&settings.cache)),
        })
    }

    /// Stores in one PostgreSQL database. Real time only.
    async fn postgres(settings: &Settings, url: &SecretString) -> Result<Self, OpenError> {
        let options = postgres::prepare(url, settings.namespace.as_deref()).await?;
        let jobs = PostgresJobs::over(&options, settings.lease_policy());
        Ok(Self {
            database: Arc::new(PostgresDatabase::over(options, settings.database)),
            jobs: Arc::new(Bounded(jobs)),
            limits: Arc::new(MemoryLimits::default()),
            cache: Arc::new(MemoryCache::new(&settings.cache)),
        })
    }

    /// The same data behind a connection pool of its own: what one more replica gets.
    #[must_use]
    pub fn replica(&self) -> Self {
        Self {
            database: self.database.replica(),
            jobs: Arc::clone(&self.jobs),
            limits: Arc::clone(&self.limits),
            cache: Arc::clone(&self.cache),
        }
    }
}

/// Where Redis is, for those who cannot do without.
fn redis(settings: &Settings) -> Result<&SecretString, OpenError> {
    settings.redis_url.as_ref().ok_or(OpenError::Missing {
        key: "redis_url",
        example: "redis://:PASSWORD@HOST:6379/0",
    })
}
