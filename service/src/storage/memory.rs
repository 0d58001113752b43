//! The database in memory: the pool is modelled by its limits, a query by the time it takes.
//!
//! For tests and virtual time. First come, first served, like the pools it stands for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::pool::{Pool, Slot};
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
    pool: Pool,
    settings: DatabaseSettings,
}

impl MemoryDatabase {
    /// An empty database.
    pub fn new(settings: &DatabaseSettings) -> Self {
        Self {
            data: Arc::default(),
            pool: Pool::new(Arc::default(), *settings),
            settings: *settings,
        }
    }
}

#[async_trait]
impl Database for MemoryDatabase {
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError> {
        Ok(Box::new(MemoryConnection {
            _slot: self.pool.acquire().await?,
            data: Arc::clone(&self.data),
            settings: self.settings,
        }))
    }

    fn replica(&self) -> Arc<dyn Database> {
        Arc::new(Self {
            data: Arc::clone(&self.data),
            pool: self.pool.another(),
            settings: self.settings,
        })
    }
}

struct MemoryConnection {
    data: Arc<Mutex<Data>>,
    settings: DatabaseSettings,
    _slot: Slot,
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
