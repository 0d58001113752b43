//! The queue on PostgreSQL: shared by all processes that reach the database.
//!
//! The same rows and steps as on SQLite. What is a lock on the whole file there is a lock on one row here, and workers
//! that look for a job step over the rows that others are taking (`FOR UPDATE SKIP LOCKED`).

use async_trait::async_trait;
use secrecy::SecretString;
use sqlx::Row;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};

use super::filed::{Filed, read, write};
use super::lease::{Event, Job, LeasePolicy};
use super::{ATTEMPTS, BURIALS, CAPACITY, CONNECT_TIME, Depth, Enqueued, JobStore, PURGED_AT_ONCE, QueueError};
use crate::storage::{OpenError, postgres};

/// Connections of one process, beside those of its database pool: a queue must not wait for requests that hold theirs.
const CONNECTIONS: u32 = 4;

/// A queue in a database.
#[derive(Debug)]
pub struct PostgresJobs {
    pool: PgPool,
    policy: LeasePolicy,
    capacity: usize,
}

impl PostgresJobs {
    /// Opens the queue at `url`, in the schema `namespace` if one is named.
    pub async fn open(url: &SecretString, namespace: Option<&str>, policy: LeasePolicy) -> Result<Self, OpenError> {
        Ok(Self::over(postgres::prepare(url, namespace).await?, policy))
    }

    /// A queue in a database that has been prepared.
    pub(crate) fn over(options: PgConnectOptions, policy: LeasePolicy) -> Self {
        let pool = postgres::pool_options()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECT_TIME)
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

    /// The record that stands for `job` already.
    async fn stands_for(&self, job: &Job) -> Result<Option<Job>, QueueError> {
        let record: Option<String> = sqlx::query_scalar(
            "(SELECT record FROM jobs WHERE tenant = $1 AND idempotency_key = $2)
             UNION ALL
             (SELECT record FROM jobs WHERE tenant = $1 AND fingerprint = $3 AND finished_us IS NULL) LIMIT 1",
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
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
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
impl JobStore for PostgresJobs {
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
        let record: Option<String> = sqlx::query_scalar("SELECT record FROM jobs WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        record.map(|record| read(&record)).transpose()
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        // Look before locking: an idle worker that polls should cost one round trip.
        let is_due: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE claimable_us <= $1)")
            .bind(now_us.cast_signed())
            .fetch_one(&self.pool)
            .await?;
        if !is_due {
            return Ok(None);
        }
        let mut transaction = self.pool.begin().await?;
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
        let mut transaction = self.pool.begin().await?;
        let record: Option<String> = sqlx::query_scalar("SELECT record FROM jobs WHERE id = $1 FOR UPDATE")
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
                "DELETE FROM jobs WHERE arrival IN (SELECT arrival FROM jobs WHERE finished_us < $1 LIMIT $2)",
            )
            .bind(before)
            .bind(i64::from(PURGED_AT_ONCE))
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

/// The job that has been due for the longest among those that nobody else is taking.
async fn next(connection: &mut PgConnection, now_us: u64) -> Result<Option<Job>, QueueError> {
    let record: Option<String> = sqlx::query_scalar(
        "SELECT record FROM jobs WHERE claimable_us <= $1
         ORDER BY claimable_us, arrival LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .bind(now_us.cast_signed())
    .fetch_optional(connection)
    .await?;
    record.map(|record| read(&record)).transpose()
}

async fn save(connection: &mut PgConnection, job: &Job) -> Result<(), QueueError> {
    let filed = Filed::of(job);
    sqlx::query("UPDATE jobs SET record = $1, claimable_us = $2, finished_us = $3, lent = $4 WHERE id = $5")
        .bind(write(job)?)
        .bind(filed.claimable_us.map(u64::cast_signed))
        .bind(filed.finished_us.map(u64::cast_signed))
        .bind(filed.lent)
        .bind(&job.id)
        .execute(connection)
        .await?;
    Ok(())
}
