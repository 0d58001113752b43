//! The queued design: 202 at once, and a worker does the work from the durable queue.
//!
//! The service and its workers share nothing but the queue. Either can be killed at any moment and no job that was
//! answered with 202 is lost; one may be worked on twice, and counts once.

use std::sync::Arc;

use super::job;
use crate::app::App;
use crate::error::Error;
use crate::queue::Job;

/// The service's side.
pub(super) async fn submit(app: &App, job: Job) -> Result<(), Error> {
    app.jobs.enqueue(job).await?;
    Ok(())
}

/// The worker's side: claims jobs while there are places for them, until the instance is to end.
pub(crate) async fn work(app: &Arc<App>) {
    let ends = app.shutdown.cancelled();
    let claiming = async {
        loop {
            // Never closed: an error would mean that the instance is gone.
            let Ok(slot) = Arc::clone(&app.job_slots).acquire_owned().await else {
                return;
            };
            match app.jobs.claim(&app.name, app.clock.now_unix_us()).await {
                Ok(Some(job)) => {
                    let host = Arc::clone(app);
                    app.tasks.spawn(async move {
                        let _slot = slot;
                        job::run(&host, job, job::Retry::Later).await;
                    });
                }
                Ok(None) => app.clock.sleep(app.settings.jobs.poll).await,
                Err(error) => {
                    tracing::warn!(%error, "no job could be claimed");
                    app.clock.sleep(app.settings.jobs.poll).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = ends => {}
        () = claiming => {}
    }
}
