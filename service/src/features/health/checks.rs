//! The questions behind readiness: asked all at once, each within its bound, and once for all who want to know.
//!
//! The database is asked over a connection of its own. Through the pool of the requests the question would wait behind them,
//! and a busy instance would look like one whose database is down; taking it out would only make the others busier. Asks no
//! provider: that costs money, and a provider's outage is no reason to send requests elsewhere.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::models::{Check, CheckStatus, Checks};
use crate::clock::Clock;
use crate::queue::{JobStore, QueueError};
use crate::settings::{Design, HealthSettings};
use crate::storage::{Database, DatabaseError};
use crate::sync::lock;

type Asking = Shared<BoxFuture<'static, Checks>>;

/// Asks the dependencies of one instance.
pub(crate) struct Dependencies {
    database: Arc<dyn Database>,
    /// `None` where no request needs the queue.
    queue: Option<Arc<dyn JobStore>>,
    settings: HealthSettings,
    clock: Clock,
    latest: Mutex<Option<(Instant, Asking)>>,
}

impl Dependencies {
    pub(crate) fn new(
        database: &dyn Database,
        queue: &Arc<dyn JobStore>,
        design: Design,
        settings: HealthSettings,
        clock: Clock,
    ) -> Self {
        Self {
            database: database.replica(),
            queue: (design == Design::Queued).then(|| Arc::clone(queue)),
            settings,
            clock,
            latest: Mutex::default(),
        }
    }

    /// How they do: asked now, or so lately that it is still true.
    pub(super) async fn check(&self) -> Checks {
        let now = self.clock.now();
        let asking = {
            let mut latest = lock(&self.latest);
            match &*latest {
                Some((began, asking)) if self.still_good(now - *began, asking) => asking.clone(),
                _ => {
                    let asking = self.ask().boxed().shared();
                    *latest = Some((now, asking.clone()));
                    asking
                }
            }
        };
        // Driven by all who wait for it: it goes on when the one who began it has left.
        asking.await
    }

    /// An answer is good for a while; a question that nobody drove to its end is as good as none.
    fn still_good(&self, age: Duration, asking: &Asking) -> bool {
        self.settings.cache.is_some_and(|cache| match asking.peek() {
            Some(_) => age < cache,
            None => age < self.settings.timeout,
        })
    }

    /// Owns what it needs, and not the instance: the instance owns it.
    fn ask(&self) -> impl Future<Output = Checks> + Send + use<> {
        let (clock, limit) = (self.clock, self.settings.timeout);
        let (database, queue) = (Arc::clone(&self.database), self.queue.clone());
        async move {
            let database = check(clock, limit, async move {
                let mut connection = database.acquire().await.map_err(of_ones_own)?;
                connection.ping().await.map_err(of_ones_own)
            });
            let queue = async move {
                let queue = queue?;
                Some(check(clock, limit, async move { queue.ping().await }).await)
            };
            let (database, queue) = futures::future::join(database, queue).await;
            let queue = queue.map(|queue| ("queue", queue));
            [("database", database)].into_iter().chain(queue).collect()
        }
    }
}

/// Asks one dependency, and waits no longer than `limit`.
pub(super) async fn check<E: Into<CheckStatus>>(
    clock: Clock,
    limit: Duration,
    question: impl Future<Output = Result<(), E>>,
) -> Check {
    let began = clock.now();
    let status = match clock.timeout(limit, question).await {
        Ok(Ok(())) => CheckStatus::Ok,
        Ok(Err(error)) => error.into(),
        Err(_) => CheckStatus::Slow,
    };
    Check {
        status,
        ms: (clock.now() - began).as_millis() as u64,
    }
}

/// What it means that a connection which nobody else uses did not come in time: there is nobody to wait behind.
fn of_ones_own(error: DatabaseError) -> CheckStatus {
    match error {
        DatabaseError::PoolTimeout => CheckStatus::Slow,
        error => error.into(),
    }
}

impl From<DatabaseError> for CheckStatus {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::PoolTimeout | DatabaseError::TooManyConnections => Self::Busy,
            DatabaseError::Late => Self::Slow,
            DatabaseError::Failed(_) => Self::Failed,
        }
    }
}

impl From<QueueError> for CheckStatus {
    fn from(_: QueueError) -> Self {
        Self::Failed
    }
}
