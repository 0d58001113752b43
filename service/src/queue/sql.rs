//! The queue in tables: what SQLite and PostgreSQL have in common, which is nearly all.
//!
//! A row keeps the record as JSON, with what is searched for in columns of their own. Every change reads the record,
//! applies the machine and writes it back in one transaction that nobody else can come between. What an [`Engine`] adds is
//! how it is opened and how it locks: the whole file, or one row.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::pool::{Pool, PoolConnection};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Arguments, Connection as _, Encode, FromRow, Transaction, Type};

use super::aside::Aside;
use super::filed::{Filed, read, write};
use super::lease::{Event, Job, LeasePolicy};
use super::{ATTEMPTS, BURIALS, CAPACITY, Depth, Enqueued, JobStore, MARKS_AT_ONCE, Mark, PURGED_AT_ONCE, QueueError};

const STANDS_FOR: &str = "
    SELECT id, tenant, record, unreadable_us FROM jobs WHERE tenant = $1 AND idempotency_key = $2
    UNION ALL
    SELECT id, tenant, record, unreadable_us FROM jobs
    WHERE tenant = $1 AND fingerprint = $3 AND finished_us IS NULL LIMIT 1";
const GET: &str = "SELECT id, tenant, record, unreadable_us FROM jobs WHERE id = $1";
const UNFINISHED: &str = "SELECT count(*) FROM jobs WHERE claimable_us IS NOT NULL";
const INSERT: &str = "
    INSERT INTO jobs (id, record, claimable_us, finished_us, lent, tenant, idempotency_key, fingerprint)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
const SAVE: &str = "
    UPDATE jobs SET record = $2, claimable_us = $3, finished_us = $4, lent = $5, unreadable_us = NULL WHERE id = $1";
// It stands for nobody's work any more, whether it is buried or not.
const PUT_ASIDE: &str = "
    UPDATE jobs SET claimable_us = $2, finished_us = $3, lent = TRUE, unreadable_us = $4, fingerprint = NULL WHERE id = $1";
const DUE: &str = "SELECT count(*) FROM (SELECT 1 FROM jobs WHERE claimable_us <= $1 LIMIT 1) AS due";
const PURGE: &str = "
    DELETE FROM jobs WHERE arrival IN (SELECT arrival FROM jobs WHERE finished_us < $1 LIMIT $2)";
const DEPTH: &str = "
    SELECT count(*) FILTER (WHERE NOT lent), count(*) FILTER (WHERE lent), min(claimable_us) FILTER (WHERE NOT lent)
    FROM jobs WHERE claimable_us IS NOT NULL";
const WAITING: &str = "
    SELECT count(*) FROM jobs WHERE tenant = $1 AND claimable_us IS NOT NULL AND NOT lent";
const PING: &str = "SELECT count(*) FROM (SELECT 1 FROM jobs LIMIT 1) AS first";

/// A database: how it is asked, and how it keeps others out of a change.
pub trait Engine: Send + Sync + 'static {
    /// Its driver.
    type Database: sqlx::Database;

    /// Begins a transaction that changes something.
    const BEGIN: &'static str;
    /// Finds one job as it is [`Kept`], for a change.
    const LOCK: &'static str;
    /// Finds the job that has been due for the longest, as it is [`Kept`], for a change.
    const NEXT: &'static str;
    /// Finds id, times and lending of the jobs in a JSON list of ids.
    const MARKS: &'static str;

    /// The first row that `statement` finds.
    fn first<T: Columns>(
        connection: &mut Connection<Self>,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Option<T>, sqlx::Error>> + Send;

    /// All rows that `statement` finds.
    fn all<T: Columns>(
        connection: &mut Connection<Self>,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<Vec<T>, sqlx::Error>> + Send;

    /// How many rows `statement` changes.
    fn execute(
        connection: &mut Connection<Self>,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;
}

/// A connection of an engine.
pub(super) type Connection<E> = <<E as Engine>::Database as sqlx::Database>::Connection;

/// What can be read from a row of any of them.
pub trait Columns: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin> Columns for T {}

/// A row with a record.
#[derive(Debug, FromRow)]
pub(super) struct Kept {
    id: String,
    tenant: String,
    record: String,
    /// Since when it is known that it cannot be read.
    unreadable_us: Option<i64>,
}

impl Kept {
    fn job(&self) -> Result<Job, QueueError> {
        read(&self.id, &self.tenant, &self.record)
    }
}

/// Id, times and lending of a job.
type Row = (String, Option<i64>, Option<i64>, bool);

/// What of a row changes with every change of its record. Not a number that is counted up: a version of the service that
/// does not know of it would not count.
fn mark((id, claimable_us, finished_us, lent): Row) -> (String, Mark) {
    let time = |at: Option<i64>| at.unwrap_or(-1);
    (id, Mark([time(claimable_us), time(finished_us), i64::from(lent)]))
}

/// A value in a statement.
#[derive(Debug, Clone, Copy)]
pub enum Value<'t> {
    /// A text, or none.
    Text(Option<&'t str>),
    /// A number, or none.
    Number(Option<i64>),
    /// Yes or no.
    Flag(bool),
}

impl<'t> Value<'t> {
    const fn text(text: &'t str) -> Self {
        Self::Text(Some(text))
    }

    /// A time, or a count.
    const fn number(number: u64) -> Self {
        Self::Number(Some(number.cast_signed()))
    }

    fn maybe(number: Option<u64>) -> Self {
        Self::Number(number.map(u64::cast_signed))
    }
}

/// `values` as a driver takes them.
pub(super) fn bound<'t, A: Arguments>(values: &[Value<'t>]) -> Result<A, sqlx::Error>
where
    Option<&'t str>: Encode<'t, A::Database> + Type<A::Database>,
    Option<i64>: Encode<'t, A::Database> + Type<A::Database>,
    bool: Encode<'t, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    for value in values {
        match *value {
            Value::Text(text) => arguments.add(text),
            Value::Number(number) => arguments.add(number),
            Value::Flag(flag) => arguments.add(flag),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A queue in a database.
#[derive(Debug)]
pub struct SqlJobs<E: Engine> {
    /// For claims, heartbeats and outcomes.
    changes: Pool<E::Database>,
    /// For all else: a worker's lease does not wait behind a crowd that asks.
    questions: Pool<E::Database>,
    policy: LeasePolicy,
    capacity: usize,
}

impl<E: Engine> SqlJobs<E> {
    /// Over `pools`: one for claims, heartbeats and outcomes, one for all else.
    pub(super) fn new([changes, questions]: [Pool<E::Database>; 2], policy: LeasePolicy) -> Self {
        Self {
            changes,
            questions,
            policy,
            capacity: CAPACITY,
        }
    }

    /// With room for fewer jobs.
    #[cfg(test)]
    pub(super) fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    /// Writes over a record, as damage or another version would.
    #[cfg(test)]
    pub(super) async fn overwrite(&self, id: &str, record: &str) {
        let overwriting = "UPDATE jobs SET record = $2 WHERE id = $1";
        let mut connection = self.questions.acquire().await.unwrap();
        let values = [Value::text(id), Value::text(record)];
        assert_eq!(E::execute(&mut connection, overwriting, &values).await.unwrap(), 1);
    }

    /// Begins to change a job, and does not end it until the result is dropped.
    #[cfg(test)]
    pub(super) async fn hold(&self, id: &str) -> Transaction<'static, E::Database> {
        let mut transaction = self.begin().await.unwrap();
        let held: Option<Kept> = E::first(&mut transaction, E::LOCK, &[Value::text(id)]).await.unwrap();
        assert!(held.is_some());
        transaction
    }

    async fn begin(&self) -> Result<Transaction<'static, E::Database>, QueueError> {
        Ok(self.changes.begin_with(E::BEGIN).await?)
    }

    async fn asking(&self) -> Result<PoolConnection<E::Database>, QueueError> {
        Ok(self.questions.acquire().await?)
    }
}

async fn count<E: Engine>(
    connection: &mut Connection<E>,
    statement: &'static str,
    values: &[Value<'_>],
) -> Result<u64, QueueError> {
    let count = E::first::<(i64,)>(connection, statement, values).await?;
    Ok(count.map_or(0, |(count,)| count.cast_unsigned()))
}

/// The record that stands for `job` already.
async fn stands_for<E: Engine>(connection: &mut Connection<E>, job: &Job) -> Result<Option<Job>, QueueError> {
    let values = [
        Value::text(&job.tenant),
        Value::Text(job.idempotency_key.as_deref()),
        Value::Text(job.fingerprint.as_deref()),
    ];
    let found: Option<Kept> = E::first(connection, STANDS_FOR, &values).await?;
    found.map(|kept| kept.job()).transpose()
}

/// Writes a new job down, unless that would break a rule of the table.
async fn insert<E: Engine>(connection: &mut Connection<E>, job: &Job) -> Result<bool, QueueError> {
    let (filed, record) = (Filed::of(job), write(job)?);
    let values = [
        Value::text(&job.id),
        Value::text(&record),
        Value::maybe(filed.claimable_us),
        Value::maybe(filed.finished_us),
        Value::Flag(filed.lent),
        Value::text(&job.tenant),
        Value::Text(job.idempotency_key.as_deref()),
        Value::Text(job.fingerprint.as_deref()),
    ];
    Ok(E::execute(connection, INSERT, &values).await? == 1)
}

#[async_trait]
impl<E: Engine> JobStore for SqlJobs<E> {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        let mut connection = self.asking().await?;
        for _ in 0..ATTEMPTS {
            if let Some(existing) = stands_for::<E>(&mut connection, &job).await? {
                return Ok(Enqueued::Existing(Box::new(existing)));
            }
            let same_id: Option<Kept> = E::first(&mut connection, GET, &[Value::text(&job.id)]).await?;
            if same_id.is_some() {
                return Err(QueueError::Exists);
            }
            if count::<E>(&mut connection, UNFINISHED, &[]).await? >= self.capacity as u64 {
                return Err(QueueError::Full);
            }
            if insert::<E>(&mut connection, &job).await? {
                return Ok(Enqueued::New);
            }
            // Somebody came in between with an equal one: look again who stands for it.
        }
        Err(QueueError::Contended)
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        let mut connection = self.asking().await?;
        let found: Option<Kept> = E::first(&mut connection, GET, &[Value::text(id)]).await?;
        found.map(|kept| kept.job()).transpose()
    }

    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
        let mut connection = self.asking().await?;
        let mut marks = BTreeMap::new();
        for ids in ids.chunks(MARKS_AT_ONCE) {
            let list = serde_json::to_string(ids).map_err(|error| QueueError::Failed(Box::new(error)))?;
            let rows = E::all::<Row>(&mut connection, E::MARKS, &[Value::text(&list)]).await?;
            marks.extend(rows.into_iter().map(mark));
        }
        Ok(marks)
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        // Look before locking: an idle worker that polls costs one round trip and holds up nobody who writes.
        let mut connection = self.changes.acquire().await?;
        if count::<E>(&mut connection, DUE, &[Value::number(now_us)]).await? == 0 {
            return Ok(None);
        }
        let mut transaction = connection.begin_with(E::BEGIN).await?;
        let mut claimed = None;
        for _ in 0..BURIALS {
            let found = E::first::<Kept>(&mut transaction, E::NEXT, &[Value::number(now_us)]).await?;
            let Some(kept) = found else { break };
            let Ok(job) = kept.job() else {
                let since_us = kept.unreadable_us.map(i64::cast_unsigned);
                let aside = Aside::new(since_us, now_us, &self.policy);
                put_aside::<E>(&mut transaction, &kept.id, aside).await?;
                transaction.commit().await?;
                let (id, fate) = (kept.id, aside.fate);
                return Err(QueueError::PutAside { id, fate });
            };
            let worker = worker.to_owned();
            let outcome = job.after(Event::Claim { worker }, now_us, &self.policy);
            // One that is filed where it does not belong is filed anew.
            let (is_lent, next) = outcome.map_or((false, job), |next| (next.is_lent(), next));
            save::<E>(&mut transaction, &next).await?;
            if is_lent {
                claimed = Some(next);
                break;
            }
        }
        transaction.commit().await?;
        Ok(claimed)
    }

    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        let mut transaction = self.begin().await?;
        let found = E::first::<Kept>(&mut transaction, E::LOCK, &[Value::text(id)]).await?;
        let job = found.ok_or(QueueError::Unknown)?.job()?;
        let next = job.after(event, now_us, &self.policy)?;
        save::<E>(&mut transaction, &next).await?;
        transaction.commit().await?;
        Ok(next)
    }

    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        let values = [
            Value::number(self.policy.forgets_before_us(now_us)),
            Value::number(u64::from(PURGED_AT_ONCE)),
        ];
        let mut purged = 0;
        loop {
            let mut connection = self.asking().await?;
            let gone = E::execute(&mut connection, PURGE, &values).await?;
            purged += gone;
            if gone < u64::from(PURGED_AT_ONCE) {
                return Ok(purged);
            }
        }
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        let mut connection = self.asking().await?;
        let found = E::first::<(i64, i64, Option<i64>)>(&mut connection, DEPTH, &[]).await?;
        let (queued, running, oldest) = found.unwrap_or_default();
        Ok(Depth {
            queued: queued.cast_unsigned(),
            running: running.cast_unsigned(),
            oldest_us: oldest.map_or(0, |at| now_us.saturating_sub(at.cast_unsigned())),
        })
    }

    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError> {
        count::<E>(&mut *self.asking().await?, WAITING, &[Value::text(tenant)]).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        count::<E>(&mut *self.asking().await?, PING, &[]).await.map(|_| ())
    }
}

async fn save<E: Engine>(connection: &mut Connection<E>, job: &Job) -> Result<(), QueueError> {
    let (filed, record) = (Filed::of(job), write(job)?);
    let values = [
        Value::text(&job.id),
        Value::text(&record),
        Value::maybe(filed.claimable_us),
        Value::maybe(filed.finished_us),
        Value::Flag(filed.lent),
    ];
    E::execute(connection, SAVE, &values).await?;
    Ok(())
}

async fn put_aside<E: Engine>(connection: &mut Connection<E>, id: &str, aside: Aside) -> Result<(), QueueError> {
    let values = [
        Value::text(id),
        Value::maybe(aside.claimable_us),
        Value::maybe(aside.finished_us),
        Value::number(aside.since_us),
    ];
    E::execute(connection, PUT_ASIDE, &values).await?;
    Ok(())
}

impl From<sqlx::Error> for QueueError {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Box::new(error))
    }
}
