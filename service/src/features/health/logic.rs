//! The checks behind readiness. Liveness has none: restarting a process does not repair its database.

use std::future::Future;
use std::time::Duration;

use super::models::Readiness;
use crate::app::App;

/// How long a check may take. A dependency that is slower is not ready, whatever it would have said.
const CHECK_TIME: Duration = Duration::from_secs(1);

pub(super) async fn readiness(app: &App) -> Readiness {
    let (database, queue) = futures::future::join(within(app, app.accounts.ping()), within(app, app.jobs.ping())).await;
    let draining = app.shutdown.is_cancelled();
    let ready = !draining && [database, queue] == ["ok", "ok"];
    Readiness {
        ready,
        draining,
        database,
        queue,
    }
}

async fn within<E>(app: &App, check: impl Future<Output = Result<(), E>>) -> &'static str {
    match app.clock.timeout(CHECK_TIME, check).await {
        Ok(Ok(())) => "ok",
        Ok(Err(_)) => "failed",
        Err(_) => "too slow",
    }
}
