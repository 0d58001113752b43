//! The queue on SQLite: shared by the processes that open the same file, and still there after a `kill -9`.
//!
//! A row keeps the record as JSON, with what is searched for in columns of their own. Every change reads the record,
//! applies the machine and writes it back in one immediate transaction, so no two processes change a job at the same
//! time. A power cut may take the last moments with it: the log is synced when it is folded in, not at each commit.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{Row, Sqlite, SqliteConnection, Transaction};

use super::filed::{Filed, read, write};
use super::lease::{Event, Job, LeasePolicy};
use super::{ATTEMPTS, BURIALS, CAPACITY, CONNECT_TIME, Depth, Enqueued, JobStore, PURGED_AT_ONCE, QueueError};
use crate::storage::{OpenError, sqlite};

/// Connections of one process. Few: there is one writer at a time.
const CONNECTIONS: u32 = 4;

/// A queue in a file.
#[derive(Debug)]
pub struct SqliteJobs {
    pool: SqlitePool,
    policy: LeasePolicy,
    capacity: usize,
}

impl SqliteJobs {
    /// Opens the queue in `path`, and makes it if it is missing.
    pub async fn open(path: &Path, policy: LeasePolicy) -> Result<Self, OpenError> {
        Ok(Self::over(sqlite::prepare(path).await?, policy))
    }

    /// A queue in a file that has been prepared.
    pub(crate) fn over(options: SqliteConnectOptions, policy: LeasePolicy) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT_TIME)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Self {
            pool,
            policy,
            capacity: CAPACITY,
        }
    }

    /// With room for fewer jobs.
    #[cfg(test)]
    pub(super) fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, QueueError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The record that stands for `job` already.
    async fn stands_for(&self, job: &Job) -> Result<Option<Job>, QueueError> {
        let record: Option<String> = sqlx::query_scalar(
            "SELECT record FROM jobs WHERE tenant = ?1 AND idempotency_key = ?2
             UNION ALL
             SELECT record FROM jobs WHERE tenant = ?1 AND fingerprint = ?3 AND finished_us IS NULL LIMIT 1",
        )
        .bind(&job.tenant)
        .bind(&job.idempotency_key)
        .bind(&job.fingerprint)
        .fetch_optional(&self.pool)
        .await?;
        record.map(|record| read(&record)).transpose()
    }

    /// Writes a new job down, unless that would break a rule of the table.
    async fn insert(&self, job: &Job) -> Result<bool, QueueError> {
        let filed = Filed::of(job);
        let written = sqlx::query(
            "INSERT INTO jobs (id, record, claimable_us, finished_us, lent, tenant, idempotency_key, fingerprint)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&job.id)
        .bind(write(job)?)
        .bind(filed.claimable_us.map(u64::cast_signed))
        .bind(filed.finished_us.map(u64::cast_signed))
        .bind(filed.lent)
        .bind(&job.tenant)
        .bind(&job.idempotency_key)
        .bind(&job.fingerprint)
        .execute(&self.pool)
        .await?;
        Ok(written.rows_affected() == 1)
    }
}

#[async_trait]
impl JobStore for SqliteJobs {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        for _ in 0..ATTEMPTS {
            if let Some(existing) = self.stands_for(&job).await? {
                return Ok(Enqueued::Existing(Box::new(existing)));
            }
            if self.get(&job.id).await?.is_some() {
                return Err(QueueError::Exists);
            }
            let unfinished: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE claimable_us IS NOT NULL")
                .fetch_one(&self.pool)
                .await?;
            if unfinished.cast_unsigned() >= self.capacity as u64 {
                return Err(QueueError::Full);
            }
            if self.insert(&job).await? {
                return Ok(Enqueued::New);
            }
            // Somebody came in between with an equal one: look again who stands for it.
        }
        Err(QueueError::Contended)
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
        if next(&mut *self.pool.acquire().await?, now_us).await?.is_none() {
            return Ok(None);
        }
        let mut transaction = self.begin().await?;
        let mut claimed = None;
        for _ in 0..BURIALS {
            let Some(job) = next(&mut transaction, now_us).await? else {
                break;
            };
            let worker = worker.to_owned();
            let next = job.after(Event::Claim { worker }, now_us, &self.policy)?;
            save(&mut transaction, &next).await?;
            if next.is_lent() {
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
        let before = self.policy.forgets_before_us(now_us).cast_signed();
        let mut purged = 0;
        loop {
            let gone = sqlx::query(
                "DELETE FROM jobs WHERE arrival IN (SELECT arrival FROM jobs WHERE finished_us < ? LIMIT ?)",
            )
            .bind(before)
            .bind(PURGED_AT_ONCE)
            .execute(&self.pool)
            .await?
            .rows_affected();
            purged += gone;
            if gone < u64::from(PURGED_AT_ONCE) {
                return Ok(purged);
            }
        }
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE NOT lent), count(*) FILTER (WHERE lent),
                    min(claimable_us) FILTER (WHERE NOT lent)
             FROM jobs WHERE claimable_us IS NOT NULL",
        )
        .fetch_one(&self.pool)
        .await?;
        let oldest: Option<i64> = row.try_get(2)?;
        Ok(Depth {
            queued: row.try_get::<i64, _>(0)?.cast_unsigned(),
            running: row.try_get::<i64, _>(1)?.cast_unsigned(),
            oldest_us: oldest.map_or(0, |at| now_us.saturating_sub(at.cast_unsigned())),
        })
    }

    async fn ping(&self) -> Result<(), QueueError> {
        sqlx::query("SELECT 1 FROM jobs LIMIT 1").execute(&self.pool).await?;
        Ok(())
    }
}

/// The job that has been due for the longest.
async fn next(connection: &mut SqliteConnection, now_us: u64) -> Result<Option<Job>, QueueError> {
    let record: Option<String> =
        sqlx::query_scalar("SELECT record FROM jobs WHERE claimable_us <= ? ORDER BY claimable_us, arrival LIMIT 1")
            .bind(now_us.cast_signed())
            .fetch_optional(connection)
            .await?;
    record.map(|record| read(&record)).transpose()
}

async fn save(connection: &mut SqliteConnection, job: &Job) -> Result<(), QueueError> {
    let filed = Filed::of(job);
    sqlx::query("UPDATE jobs SET record = ?, claimable_us = ?, finished_us = ?, lent = ? WHERE id = ?")
        .bind(write(job)?)
        .bind(filed.claimable_us.map(u64::cast_signed))
        .bind(filed.finished_us.map(u64::cast_signed))
        .bind(filed.lent)
        .bind(&job.id)
        .execute(connection)
        .await?;
    Ok(())
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}
