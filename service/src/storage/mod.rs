//! The database: sessions and what they used, behind a pool of connections that is smaller than the load.
//!
//! The pool is the point: a model call takes seconds, a query milliseconds, and a connection that is held for the whole
//! of a model call turns the pool into the service's real limit. In memory, where the pool is modelled, on SQLite and on
//! PostgreSQL. Deliberately absent: conversation history.

mod memory;
mod migrate;
mod opening;
mod place;
mod pool;
pub(crate) mod postgres;
pub(crate) mod sqlite;
mod usage;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use self::memory::MemoryDatabase;
pub use self::opening::OpenError;
pub(crate) use self::place::{Place, without_password};
pub use self::postgres::PostgresDatabase;
pub use self::sqlite::SqliteDatabase;
pub(crate) use self::usage::{Account, Accounts};

/// Parameters of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Connections of one instance.
    pub pool: u32,
    /// Whether a request keeps its connection while it waits for the model.
    pub hold_connection: bool,
    /// Longest wait for a connection, opening one included.
    pub acquire_timeout: Duration,
    /// How long a query takes: modelled, in the store in memory only.
    pub query_time: Duration,
    /// How long it takes to open a connection: modelled, in the store in memory only.
    pub connect_time: Duration,
    /// After how long a connection that nobody uses is closed.
    pub idle_timeout: Duration,
    /// Connections that the server has for all instances together: modelled, in the store in memory only.
    pub server_connections: u32,
}

/// What a session has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Session {
    /// Answers it got.
    pub answers: u64,
    /// Tokens of its prompts.
    pub prompt_tokens: u64,
    /// Tokens of its answers.
    pub completion_tokens: u64,
}

/// What one answer used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// The answer (or job) it belongs to. A second row for the same answer changes nothing.
    pub answer_id: String,
    /// The session.
    pub session: String,
    /// Who answered.
    pub provider: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Who says so.
    pub provenance: Provenance,
}

/// Where the numbers of a usage row come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provenance {
    /// The providers' own reports, of every attempt.
    Authoritative,
    /// In part or all of it counted here, by the pieces that came: whoever waited left before the report, or an attempt
    /// broke off.
    Estimated,
}

impl Provenance {
    /// In one word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authoritative => "authoritative",
            Self::Estimated => "estimated",
        }
    }
}

/// A database and its pool.
#[async_trait]
pub trait Database: Send + Sync {
    /// Waits for a connection, at most for `acquire_timeout`. It goes back when it is dropped.
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError>;

    /// The same data behind a pool of its own.
    fn replica(&self) -> Arc<dyn Database>;
}

/// A connection.
#[async_trait]
pub trait Connection: Send {
    /// What `session` has used so far; all zero for a new one.
    async fn session(&mut self, session: &str) -> Result<Session, DatabaseError>;

    /// Writes down what an answer used, once.
    async fn record_usage(&mut self, row: &UsageRow) -> Result<(), DatabaseError>;

    /// Whether the database answers.
    async fn ping(&mut self) -> Result<(), DatabaseError>;
}

/// The database did not do it.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// All connections stayed in use for the whole of `acquire_timeout`.
    #[error("no connection became free in time")]
    PoolTimeout,
    /// The server has no connection left: PostgreSQL's "too many clients".
    #[error("the database server has no connection left")]
    TooManyConnections,
    /// The server did not answer.
    #[error("the database did not answer in time")]
    Late,
    /// The database itself failed.
    #[error("the database failed: {0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        let code = code.map(Cow::into_owned);
        match (code.as_deref(), error) {
            (Some("53300"), _) => Self::TooManyConnections,
            (_, sqlx::Error::PoolTimedOut) => Self::PoolTimeout,
            (_, error) => Self::Failed(Box::new(error)),
        }
    }
}
