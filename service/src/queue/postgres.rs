//! The queue on PostgreSQL: shared by all processes that reach the database.
//!
//! What is a lock on the whole file in SQLite is a lock on one row here, and workers that look for a job step over the rows
//! that others are taking (`FOR UPDATE SKIP LOCKED`).

use secrecy::SecretString;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection};

use super::CONNECT_TIME;
use super::lease::LeasePolicy;
use super::sql::{Columns, Engine, SqlJobs, Value, bound};
use crate::storage::{OpenError, postgres};

/// Connections of each of the two pools of one process, beside those of its database pool: a queue must not wait for
/// requests that hold theirs.
const CONNECTIONS: u32 = 2;

/// A queue in a PostgreSQL database.
pub type PostgresJobs = SqlJobs<Postgres>;

/// PostgreSQL, as a queue uses it.
#[derive(Debug)]
pub struct Postgres;

impl PostgresJobs {
    /// Opens the queue at `url`, in the schema `namespace` if one is named.
    pub async fn open(url: &SecretString, namespace: Option<&str>, policy: LeasePolicy) -> Result<Self, OpenError> {
        Ok(Self::over(&postgres::prepare(url, namespace).await?, policy))
    }

    /// A queue in a database that has been prepared.
    pub(crate) fn over(options: &PgConnectOptions, policy: LeasePolicy) -> Self {
        let pool = || {
            postgres::pool_options()
                .max_connections(CONNECTIONS)
                .acquire_timeout(CONNECT_TIME)
                .connect_lazy_with(options.clone())
        };
        Self::new([pool(), pool()], policy)
    }
}

impl Engine for Postgres {
    type Database = sqlx::Postgres;

    const BEGIN: &'static str = "BEGIN";
    const LOCK: &'static str = "SELECT id, tenant, record, unreadable_us FROM jobs WHERE id = $1 FOR UPDATE";
    const NEXT: &'static str = "
        SELECT id, tenant, record, unreadable_us FROM jobs WHERE claimable_us <= $1
        ORDER BY claimable_us, arrival LIMIT 1 FOR UPDATE SKIP LOCKED";
    const MARKS: &'static str = "
        SELECT id, claimable_us, finished_us, lent FROM jobs
        WHERE id = ANY(ARRAY(SELECT json_array_elements_text($1::json)))";

    async fn first<T: Columns>(
        connection: &mut PgConnection,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<T>, sqlx::Error> {
        let arguments: PgArguments = bound(values)?;
        sqlx::query_as_with(statement, arguments)
            .fetch_optional(connection)
            .await
    }

    async fn all<T: Columns>(
        connection: &mut PgConnection,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<T>, sqlx::Error> {
        let arguments: PgArguments = bound(values)?;
        sqlx::query_as_with(statement, arguments).fetch_all(connection).await
    }

    async fn execute(
        connection: &mut PgConnection,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, sqlx::Error> {
        let arguments: PgArguments = bound(values)?;
        let done = sqlx::query_with(statement, arguments).execute(connection).await?;
        Ok(done.rows_affected())
    }
}
