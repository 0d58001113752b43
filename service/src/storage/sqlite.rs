//! The database on SQLite, embedded. Real time only: its connections live on threads of their own.
//!
//! Write-ahead log, so that readers do not wait for the writer; one short transaction per write, because there is one
//! writer at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Row, Sqlite};

use super::{Connection, Database, DatabaseError, DatabaseSettings, Session, UsageRow};

/// How long a writer waits for the one before it.
const BUSY: Duration = Duration::from_secs(5);

const SCHEMA: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS sessions (
        id TEXT PRIMARY KEY, answers INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE IF NOT EXISTS usage (
        answer_id TEXT PRIMARY KEY, session TEXT NOT NULL, provider TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
    ) STRICT",
];

/// A database in a file.
#[derive(Debug)]
pub struct SqliteDatabase {
    pool: SqlitePool,
    settings: DatabaseSettings,
}

impl SqliteDatabase {
    /// Opens the database in `path`, and makes it if it is missing.
    pub async fn open(path: &Path, settings: &DatabaseSettings) -> Result<Self, DatabaseError> {
        let database = Self::over(connect_options(path), *settings);
        for statement in SCHEMA {
            sqlx::query(statement).execute(&database.pool).await?;
        }
        Ok(database)
    }

    fn over(options: SqliteConnectOptions, settings: DatabaseSettings) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(settings.pool)
            .acquire_timeout(settings.acquire_timeout)
            .connect_lazy_with(options);
        Self { pool, settings }
    }
}

/// How every SQLite file of the service is opened.
pub(crate) fn connect_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
}

#[async_trait]
impl Database for SqliteDatabase {
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError> {
        Ok(Box::new(self.pool.acquire().await?))
    }

    fn replica(&self) -> Arc<dyn Database> {
        let options = SqliteConnectOptions::clone(&self.pool.connect_options());
        Arc::new(Self::over(options, self.settings))
    }
}

#[async_trait]
impl Connection for PoolConnection<Sqlite> {
    async fn session(&mut self, session: &str) -> Result<Session, DatabaseError> {
        let row = sqlx::query("SELECT answers, prompt_tokens, completion_tokens FROM sessions WHERE id = ?")
            .bind(session)
            .fetch_optional(&mut **self)
            .await?;
        let Some(row) = row else {
            return Ok(Session::default());
        };
        let count = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
        Ok(Session {
            answers: count("answers")?,
            prompt_tokens: count("prompt_tokens")?,
            completion_tokens: count("completion_tokens")?,
        })
    }

    async fn record_usage(&mut self, row: &UsageRow) -> Result<(), DatabaseError> {
        let mut transaction = self.begin_with("BEGIN IMMEDIATE").await?;
        let written = sqlx::query("INSERT OR IGNORE INTO usage VALUES (?, ?, ?, ?, ?)")
            .bind(&row.answer_id)
            .bind(&row.session)
            .bind(&row.provider)
            .bind(row.prompt_tokens.cast_signed())
            .bind(row.completion_tokens.cast_signed())
            .execute(&mut *transaction)
            .await?;
        if written.rows_affected() == 1 {
            sqlx::query(
                "INSERT INTO sessions VALUES (?, 1, ?, ?) ON CONFLICT (id) DO UPDATE SET
                    answers = answers + 1,
                    prompt_tokens = prompt_tokens + excluded.prompt_tokens,
                    completion_tokens = completion_tokens + excluded.completion_tokens",
            )
            .bind(&row.session)
            .bind(row.prompt_tokens.cast_signed())
            .bind(row.completion_tokens.cast_signed())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&mut **self).await?;
        Ok(())
    }
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::PoolTimedOut => Self::PoolTimeout,
            error => Self::Failed(Box::new(error)),
        }
    }
}
