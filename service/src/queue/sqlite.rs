//! The queue on SQLite: shared by the processes that open the same file, and still there after a `kill -9`.
//!
//! A row keeps the record as JSON, with the two times that are searched for in columns of their own. Every change reads
//! the record, applies the machine and writes it back in one immediate transaction, so no two processes change a job at
//! the same time.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use sqlx::{Row, Sqlite, Transaction};

use super::lease::{Event, Job, LeasePolicy, State};
use super::{BURIALS, CAPACITY, Depth, Enqueued, JobStore, QueueError};
use crate::storage::connect_options;

/// Connections of one process. Few: there is one writer at a time.
const CONNECTIONS: u32 = 4;

const SCHEMA: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS jobs (
        arrival INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
        claimable_us INTEGER, finished_us INTEGER
    ) STRICT",
    "CREATE INDEX IF NOT EXISTS jobs_claimable ON jobs (claimable_us, arrival) WHERE claimable_us IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS jobs_finished ON jobs (finished_us) WHERE finished_us IS NOT NULL",
];

/// A queue in a file.
#[derive(Debug)]
pub struct SqliteJobs {
    pool: SqlitePool,
    policy: LeasePolicy,
}

impl SqliteJobs {
    /// Opens the queue in `path`, and makes it if it is missing.
    pub async fn open(path: &Path, policy: LeasePolicy) -> Result<Self, QueueError> {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .connect_lazy_with(connect_options(path));
        for statement in SCHEMA {
            sqlx::query(statement).execute(&pool).await?;
        }
        Ok(Self { pool, policy })
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, QueueError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }
}

#[async_trait]
impl JobStore for SqliteJobs {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        let mut transaction = self.begin().await?;
        let unfinished: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE claimable_us IS NOT NULL")
            .fetch_one(&mut *transaction)
            .await?;
        if unfinished.cast_unsigned() >= CAPACITY as u64 {
            return Err(QueueError::Full);
        }
        let written =
            sqlx::query("INSERT OR IGNORE INTO jobs (id, record, claimable_us, finished_us) VALUES (?, ?, ?, ?)")
                .bind(&job.id)
                .bind(write(&job)?)
                .bind(job.claimable_us().map(u64::cast_signed))
                .bind(job.finished_us().map(u64::cast_signed))
                .execute(&mut *transaction)
                .await?;
        if written.rows_affected() == 0 {
            return Err(QueueError::Exists);
        }
        transaction.commit().await?;
        Ok(Enqueued::New)
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        let record: Option<String> = sqlx::query_scalar("SELECT record FROM jobs WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        record.map(|record| read(&record)).transpose()
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        // Look before locking: an idle worker that polls must not hold up those who write.
        if next_claimable(&mut *self.pool.acquire().await?, now_us)
            .await?
            .is_none()
        {
            return Ok(None);
        }
        let mut transaction = self.begin().await?;
        let mut claimed = None;
        for _ in 0..BURIALS {
            let Some(job) = next_claimable(&mut transaction, now_us).await? else {
                break;
            };
            let worker = worker.to_owned();
            let next = job.after(Event::Claim { worker }, now_us, &self.policy)?;
            save(&mut transaction, &next).await?;
            if matches!(next.state, State::Running { .. }) {
                claimed = Some(next);
                break;
            }
        }
        transaction.commit().await?;
        Ok(claimed)
    }

    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        let mut transaction = self.begin().await?;
        let record: Option<String> = sqlx::query_scalar("SELECT record FROM jobs WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let job = read(&record.ok_or(QueueError::Unknown)?)?;
        let next = job.after(event, now_us, &self.policy)?;
        save(&mut transaction, &next).await?;
        transaction.commit().await?;
        Ok(next)
    }

    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        let before = now_us.saturating_sub(self.policy.expiry.as_micros() as u64);
        let purged = sqlx::query("DELETE FROM jobs WHERE finished_us < ?")
            .bind(before.cast_signed())
            .execute(&self.pool)
            .await?;
        Ok(purged.rows_affected())
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        let _ = now_us;
        Ok(Depth::default())
    }

    async fn ping(&self) -> Result<(), QueueError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }
}

async fn next_claimable(connection: &mut sqlx::SqliteConnection, now_us: u64) -> Result<Option<Job>, QueueError> {
    let row = sqlx::query("SELECT record FROM jobs WHERE claimable_us <= ? ORDER BY claimable_us, arrival LIMIT 1")
        .bind(now_us.cast_signed())
        .fetch_optional(connection)
        .await?;
    row.map(|row| read(&row.try_get::<String, _>(0)?)).transpose()
}

async fn save(transaction: &mut Transaction<'static, Sqlite>, job: &Job) -> Result<(), QueueError> {
    sqlx::query("UPDATE jobs SET record = ?, claimable_us = ?, finished_us = ? WHERE id = ?")
        .bind(write(job)?)
        .bind(job.claimable_us().map(u64::cast_signed))
        .bind(job.finished_us().map(u64::cast_signed))
        .bind(&job.id)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn write(job: &Job) -> Result<String, QueueError> {
    serde_json::to_string(job).map_err(|error| QueueError::Failed(Box::new(error)))
}

fn read(record: &str) -> Result<Job, QueueError> {
    serde_json::from_str(record).map_err(|error| QueueError::Failed(Box::new(error)))
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}
