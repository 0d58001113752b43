//! The queue on SQLite: shared by the processes that open the same file, and still there after a `kill -9`.
//!
//! Changes are immediate transactions, so no two processes change a job at the same time. A power cut may take the last
//! moments with it: the log is synced when it is folded in, not at each commit.

use std::path::Path;

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqlitePoolOptions};

use super::CONNECT_TIME;
use super::lease::LeasePolicy;
use super::sql::{Columns, Engine, SqlJobs, Value, bound};
use crate::storage::{OpenError, sqlite};

/// Connections of each of the two pools of one process. Few: there is one writer at a time.
const CONNECTIONS: u32 = 2;

/// A queue in a SQLite file.
pub type SqliteJobs = SqlJobs<Sqlite>;

/// SQLite, as a queue uses it.
#[derive(Debug)]
pub struct Sqlite;

impl SqliteJobs {
    /// Opens the queue in `path`, and makes it if it is missing.
    pub async fn open(path: &Path, policy: LeasePolicy) -> Result<Self, OpenError> {
        Ok(Self::over(&sqlite::prepare(path).await?, policy))
    }

    /// A queue in a file that has been prepared.
    pub(crate) fn over(options: &SqliteConnectOptions, policy: LeasePolicy) -> Self {
        let pool = || {
            SqlitePoolOptions::new()
                .max_connections(CONNECTIONS)
                .acquire_timeout(CONNECT_TIME)
                .test_before_acquire(false)
                .connect_lazy_with(options.clone())
        };
        Self::new([pool(), pool()], policy)
    }
}

impl Engine for Sqlite {
    type Database = sqlx::Sqlite;

    const BEGIN: &'static str = "BEGIN IMMEDIATE";
    const LOCK: &'static str = "SELECT id, tenant, record, unreadable_us FROM jobs WHERE id = $1";
    const NEXT: &'static str = "SELECT id, tenant, record, unreadable_us FROM jobs WHERE claimable_us <= $1 ORDER BY claimable_us, arrival LIMIT 1";
    const MARKS: &'static str =
        "SELECT id, claimable_us, finished_us, lent FROM jobs WHERE id IN (SELECT value FROM json_each($1))";

    async fn first<T: Columns>(
        connection: &mut SqliteConnection,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<T>, sqlx::Error> {
        let arguments: SqliteArguments = bound(values)?;
        sqlx::query_as_with(statement, arguments)
            .fetch_optional(connection)
            .await
    }

    async fn all<T: Columns>(
        connection: &mut SqliteConnection,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<T>, sqlx::Error> {
        let arguments: SqliteArguments = bound(values)?;
        sqlx::query_as_with(statement, arguments).fetch_all(connection).await
    }

    async fn execute(
        connection: &mut SqliteConnection,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, sqlx::Error> {
        let arguments: SqliteArguments = bound(values)?;
        let done = sqlx::query_with(statement, arguments).execute(connection).await?;
        Ok(done.rows_affected())
    }
}
