//! The database on PostgreSQL. Real time only.
//!
//! The same steps as on SQLite. Every statement ends in time: the server gives up on it first, and when the server is
//! the one that is gone, the wait for it ends here.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Postgres, Row};

use super::{Connection, Database, DatabaseError, DatabaseSettings, OpenError, Provenance, Session, UsageRow, migrate};

/// Longest wait for a connection at the start, one to a server that is starting too included; afterwards `database.acquire_timeout` bounds it.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// What the server says (no notices), and when it gives up: on a statement, on a lock, on a transaction whose client has fallen silent (it may be dead,
/// and hold the lock on a job).
const SESSION: [(&str, &str); 4] = [
    ("client_min_messages", "error"),
    ("statement_timeout", "5s"),
    ("lock_timeout", "4s"),
    ("idle_in_transaction_session_timeout", "10s"),
];
/// When we give up on the server.
const ANSWER_TIME: Duration = Duration::from_secs(8);
/// What a server answers that is starting: cannot_connect_now.
const STARTING: &str = "57P03";
/// Pause before it is asked again.
const STARTING_PAUSE: Duration = Duration::from_millis(200);
/// The setting, for messages.
const KEY: &str = "database_url";

/// A database on a server.
#[derive(Debug)]
pub struct PostgresDatabase {
    pool: PgPool,
    settings: DatabaseSettings,
}

impl PostgresDatabase {
    /// Opens the database at `url`, in the schema `namespace` if one is named.
    pub async fn open(
        url: &SecretString,
        namespace: Option<&str>,
        settings: &DatabaseSettings,
    ) -> Result<Self, OpenError> {
        Ok(Self::over(prepare(url, namespace).await?, *settings))
    }

    /// A database that has been prepared.
    pub(crate) fn over(options: PgConnectOptions, settings: DatabaseSettings) -> Self {
        let pool = pool_options()
            .max_connections(settings.pool)
            // One is kept warm, so that neither a probe nor the first request after a quiet hour pays for a handshake.
            .min_connections(1)
            .idle_timeout(settings.idle_timeout)
            // Waiting for a place and connecting together.
            .acquire_timeout(settings.acquire_timeout)
            .connect_lazy_with(options);
        Self { pool, settings }
    }
}

/// What all pools of the service have in common.
pub(crate) fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        // A server restarts, a firewall forgets: one more round trip finds out before a request does.
        .test_before_acquire(true)
        // Whoever is dropped while `BEGIN` is on its way leaves a transaction that its connection does not know of, and
        // the next one's writes would never be committed. Nothing comes back into a pool in a transaction.
        .after_release(|connection, _| Box::pin(async move { rolled_back(connection).await }))
}

/// Ends whatever transaction there is; without one it is a notice that `client_min_messages` keeps away.
async fn rolled_back(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let ending = sqlx::raw_sql("ROLLBACK").execute(connection);
    match tokio::time::timeout(ANSWER_TIME, ending).await {
        Ok(ended) => ended.map(|_| true),
        Err(_) => Ok(false),
    }
}

/// Brings the tables at `url` up to date, and says how to connect to them.
pub(crate) async fn prepare(url: &SecretString, namespace: Option<&str>) -> Result<PgConnectOptions, OpenError> {
    let mut options: PgConnectOptions = url.expose_secret().parse().map_err(|_| OpenError::Address {
        key: KEY,
        example: "postgres://USER:PASSWORD@HOST:5432/NAME",
    })?;
    options = options.application_name("brownout-service");
    let mut migrator = sqlx::migrate!("migrations/postgres");
    if let Some(namespace) = namespace {
        options = options.options([("search_path", namespace)]);
        migrator.create_schema(format!("\"{namespace}\""));
    }
    let place = format!("{}:{}", options.get_host(), options.get_port());
    let mut connection = match tokio::time::timeout(CONNECT_TIME, connected(&options)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return Err(refused(error, place, &options)),
        Err(_) => return Err(OpenError::Late { place }),
    };
    migrate::run(&migrator, &mut connection, &place).await?;
    // Nothing depends on a farewell.
    let _ = connection.close().await;
    Ok(options.options(SESSION))
}

/// Connects; a server that is just starting is waited for.
async fn connected(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    loop {
        match options.connect().await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(STARTING) => {
                tokio::time::sleep(STARTING_PAUSE).await;
            }
            result => return result,
        }
    }
}

fn refused(error: sqlx::Error, place: String, options: &PgConnectOptions) -> OpenError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let code = code.map(Cow::into_owned);
    match (code.as_deref(), error) {
        (Some("28P01" | "28000"), _) => OpenError::Credentials { place, key: KEY },
        (Some("3D000"), _) => {
            let name = options.get_database().unwrap_or_else(|| options.get_username());
            let name = name.to_owned();
            OpenError::NoDatabase { place, name }
        }
        (Some("53300"), _) => OpenError::TooManyConnections { place },
        (_, sqlx::Error::Io(error)) => {
            let problem = error.to_string();
            OpenError::Unreachable {
                place,
                key: KEY,
                problem,
            }
        }
        (_, error) => OpenError::Failed {
            place,
            source: Box::new(error),
        },
    }
}

async fn within<T>(statements: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, DatabaseError> {
    match tokio::time::timeout(ANSWER_TIME, statements).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(DatabaseError::Late),
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError> {
        Ok(Box::new(self.pool.acquire().await?))
    }

    fn replica(&self) -> Arc<dyn Database> {
        let options = PgConnectOptions::clone(&self.pool.connect_options());
        Arc::new(Self::over(options, self.settings))
    }
}

#[async_trait]
impl Connection for PoolConnection<Postgres> {
    async fn session(&mut self, session: &str) -> Result<Session, DatabaseError> {
        let reading = sqlx::query("SELECT answers, prompt_tokens, completion_tokens FROM sessions WHERE id = $1")
            .bind(session)
            .fetch_optional(&mut **self);
        let Some(row) = within(reading).await? else {
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
        within(record(self, row)).await
    }

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        within(sqlx::query("SELECT 1").execute(&mut **self)).await?;
        Ok(())
    }
}

async fn record(connection: &mut PgConnection, row: &UsageRow) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let written = sqlx::query("INSERT INTO usage VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")
        .bind(&row.answer_id)
        .bind(&row.session)
        .bind(&row.provider)
        .bind(row.prompt_tokens.cast_signed())
        .bind(row.completion_tokens.cast_signed())
        .execute(&mut *transaction)
        .await?;
    if written.rows_affected() == 1 && row.provenance == Provenance::Estimated {
        sqlx::query("INSERT INTO usage_estimated VALUES ($1)")
            .bind(&row.answer_id)
            .execute(&mut *transaction)
            .await?;
    }
    if written.rows_affected() == 1 {
        sqlx::query(
            "INSERT INTO sessions VALUES ($1, 1, $2, $3) ON CONFLICT (id) DO UPDATE SET
                answers = sessions.answers + 1,
                prompt_tokens = sessions.prompt_tokens + excluded.prompt_tokens,
                completion_tokens = sessions.completion_tokens + excluded.completion_tokens",
        )
        .bind(&row.session)
        .bind(row.prompt_tokens.cast_signed())
        .bind(row.completion_tokens.cast_signed())
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}
