//! A look at the queue every few seconds: for the gauges, and for the bound of what may wait.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(2);

/// Looks until the instance ends.
pub(crate) async fn watch_queue(app: Arc<App>) {
    loop {
        tokio::select! {
            biased;
            () = app.shutdown.cancelled() => return,
            () = app.clock.sleep(PAUSE) => {}
        }
        match app.jobs.depth(app.clock.now_unix_us()).await {
            Ok(depth) => {
                app.backlog.seen(depth, app.clock.now());
                app.metrics.queue(&depth);
            }
            Err(error) => tracing::warn!(%error, "the queue could not be measured"),
        }
    }
}
