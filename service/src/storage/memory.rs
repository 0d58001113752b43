//! The database in memory: the pool is modelled by its limits, a query by the time it takes.
//!
//! For tests and virtual time. First come, first served, like the pools it stands for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Connection, Database, DatabaseError, DatabaseSettings, Session, UsageRow};
use crate::sync::lock;

/// Usage rows that are kept; beyond that, some are forgotten (sessions keep their sums).
const ROWS: usize = 1_000_000;

#[derive(Debug, Default)]
struct Data {
    sessions: BTreeMap<String, Session>,
    usage: BTreeMap<String, UsageRow>,
}

/// A database in memory; replicas share its data.
#[derive(Debug)]
pub struct MemoryDatabase {
    data: Arc<Mutex<Data>>,
    pool: Arc<Semaphore>,
    settings: DatabaseSettings,
}

impl MemoryDatabase {
    /// An empty database.
    pub fn new(settings: &DatabaseSettings) -> Self {
        Self::over(Arc::default(), *settings)
    }

    fn over(data: Arc<Mutex<Data>>, settings: DatabaseSettings) -> Self {
        Self {
            data,
            pool: Arc::new(Semaphore::new(settings.pool as usize)),
            settings,
        }
    }
}

#[async_trait]
impl Database for MemoryDatabase {
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError> {
        let waiting = Arc::clone(&self.pool).acquire_owned();
        let permit = tokio::time::timeout(self.settings.acquire_timeout, waiting)
            .await
            .map_err(|_| DatabaseError::PoolTimeout)?
            .map_err(|closed| DatabaseError::Failed(Box::new(closed)))?;
        Ok(Box::new(MemoryConnection {
            data: Arc::clone(&self.data),
            settings: self.settings,
            _permit: permit,
        }))
    }

    fn replica(&self) -> Arc<dyn Database> {
        Arc::new(Self::over(Arc::clone(&self.data), self.settings))
    }
}

struct MemoryConnection {
    data: Arc<Mutex<Data>>,
    settings: DatabaseSettings,
    _permit: OwnedSemaphorePermit,
}

impl MemoryConnection {
    async fn query(&self) {
        if !self.settings.query_time.is_zero() {
            tokio::time::sleep(self.settings.query_time).await;
        }
    }
}

#[async_trait]
impl Connection for MemoryConnection {
    async fn session(&mut self, session: &str) -> Result<Session, DatabaseError> {
        self.query().await;
        Ok(lock(&self.data).sessions.get(session).copied().unwrap_or_default())
    }

    async fn record_usage(&mut self, row: &UsageRow) -> Result<(), DatabaseError> {
        self.query().await;
        let mut data = lock(&self.data);
        if data.usage.insert(row.answer_id.clone(), row.clone()).is_some() {
            return Ok(());
        }
        if data.usage.len() > ROWS {
            data.usage.pop_first();
        }
        let session = data.sessions.entry(row.session.clone()).or_default();
        session.answers += 1;
        session.prompt_tokens += row.prompt_tokens;
        session.completion_tokens += row.completion_tokens;
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        self.query().await;
        Ok(())
    }
}
