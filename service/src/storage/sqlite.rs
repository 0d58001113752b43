//! The database on SQLite, embedded. Real time only: its connections live on threads of their own.
//!
//! Write-ahead log, so that readers do not wait for the writer; one short transaction per write, because there is one
//! writer at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Row, Sqlite};

use super::{Connection, Database, DatabaseError, DatabaseSettings, OpenError, Provenance, Session, UsageRow, migrate};

/// How long a writer waits for the one before it.
const BUSY: Duration = Duration::from_secs(5);
/// Pause before a file that was busy is opened again.
const RETRY: Duration = Duration::from_millis(20);

/// A database in a file.
#[derive(Debug)]
pub struct SqliteDatabase {
    pool: SqlitePool,
    settings: DatabaseSettings,
}

impl SqliteDatabase {
    /// Opens the database in `path`, and makes it if it is missing.
    pub async fn open(path: &Path, settings: &DatabaseSettings) -> Result<Self, OpenError> {
        Ok(Self::over(prepare(path).await?, *settings))
    }

    /// A database in a file that has been prepared.
    pub(crate) fn over(options: SqliteConnectOptions, settings: DatabaseSettings) -> Self {
        let pool = SqlitePoolOptions::new()
            .max_connections(settings.pool)
            // None is kept when nothing happens: opening a file again costs less than a thread that waits.
            .min_connections(0)
            .idle_timeout(settings.idle_timeout)
            // A file does not hang up: asking each connection first would only cost a trip to its thread.
            .test_before_acquire(false)
            .acquire_timeout(settings.acquire_timeout)
            .connect_lazy_with(options);
        Self { pool, settings }
    }
}

/// Brings the tables in `path` up to date, and says how to connect to them.
pub(crate) async fn prepare(path: &Path) -> Result<SqliteConnectOptions, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY);
    let place = path.display().to_string();
    let failed = |error: sqlx::Error| OpenError::Failed {
        place: place.clone(),
        source: Box::new(error),
    };
    let mut connection = connect(&options).await.map_err(failed)?;
    // One transaction around all of it: processes that start on the same new file take turns.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    migrate::run(&sqlx::migrate!("migrations/sqlite"), &mut *transaction, &place).await?;
    transaction.commit().await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    Ok(options)
}

/// Connects to a file that somebody else may be opening for the first time in the same moment: turning it over to the
/// write-ahead log does not wait for them, it is refused.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let until = tokio::time::Instant::now() + BUSY;
    loop {
        match options.connect().await {
            Err(error) if is_busy(&error) && tokio::time::Instant::now() < until => tokio::time::sleep(RETRY).await,
            connected => return connected,
        }
    }
}

/// SQLITE_BUSY, whatever its extension: the primary code is in the low byte. Source: SQLite, "Result and Error Codes".
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
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
        if written.rows_affected() == 1 && row.provenance == Provenance::Estimated {
            sqlx::query("INSERT INTO usage_estimated VALUES (?)")
                .bind(&row.answer_id)
                .execute(&mut *transaction)
                .await?;
        }
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
