//! How one request uses the database: a read before the model is called, a write after.
//!
//! `hold_connection` is the switch that this module is about: with it the connection stays with the request while it waits
//! for the model, without it the connection goes back to the pool and is fetched again.

use std::sync::Arc;

use super::{Connection, Database, DatabaseError, DatabaseSettings, UsageRow};
use crate::clock::Clock;
use crate::error::Error;
use crate::resilience::deadline::{Deadline, Phase};
use crate::telemetry::conventions::span;
use crate::telemetry::{Counted, Metrics, Trace};

/// Keeps the accounts of all requests of an instance. Clones share the database.
#[derive(Clone)]
pub(crate) struct Accounts {
    database: Arc<dyn Database>,
    hold_connection: bool,
    metrics: Metrics,
    clock: Clock,
}

impl Accounts {
    pub(crate) fn new(
        database: Arc<dyn Database>,
        settings: &DatabaseSettings,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Self {
            database,
            hold_connection: settings.hold_connection,
            metrics,
            clock,
        }
    }

    /// Opens the account of a request: looks its session up.
    pub(crate) async fn open(&self, session: &str, trace: &Trace, deadline: &Deadline) -> Result<Account, Error> {
        let reading = async {
            let mut connection = self.acquire(trace).await?;
            let _reading = trace.span(span::SESSION);
            connection.inner.session(session).await?;
            Ok::<_, DatabaseError>(connection)
        };
        let connection = deadline.within(Phase::Total, reading).await??;
        Ok(Account {
            accounts: self.clone(),
            held: self.hold_connection.then_some(connection),
        })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DatabaseError> {
        self.database.acquire().await?.ping().await
    }

    async fn acquire(&self, trace: &Trace) -> Result<Pooled, DatabaseError> {
        let began = self.clock.now();
        let wait = (trace.span(span::WAIT_POOL), Counted::begin(&self.metrics.pool_waiting));
        let acquired = self.database.acquire().await;
        drop(wait);
        self.metrics.pool_waited(self.clock.now() - began);
        let inner = acquired?;
        Ok(Pooled {
            inner,
            _out: Counted::begin(&self.metrics.pool_in_use),
        })
    }
}

/// The account of one request.
pub(crate) struct Account {
    accounts: Accounts,
    held: Option<Pooled>,
}

impl Account {
    /// Writes down what the answer used. The answer is paid for: when this fails it is still given, and the loss counted.
    pub(crate) async fn close(mut self, row: &UsageRow, trace: &Trace, deadline: &Deadline) {
        let writing = async {
            let mut connection = match self.held.take() {
                Some(connection) => connection,
                None => self.accounts.acquire(trace).await?,
            };
            let _writing = trace.span(span::USAGE);
            connection.inner.record_usage(row).await
        };
        let problem = match deadline.within(Phase::Total, writing).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(expired) => expired.to_string(),
        };
        self.accounts.metrics.usage_lost.inc();
        tracing::warn!(problem, answer = row.answer_id, "usage was not written down");
    }
}

/// A connection that is counted while it is out.
struct Pooled {
    inner: Box<dyn Connection>,
    _out: Counted,
}
