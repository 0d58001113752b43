//! The queued design: 202 at once, and a worker does the work from the durable queue.
//!
//! The service and its workers share nothing but the queue. Either can be killed at any moment and no job that was
//! answered with 202 is lost; one may be worked on twice, and counts once.

use std::sync::Arc;

use super::{deliver, job};
use crate::app::App;
use crate::error::Error;
use crate::queue::{Enqueued, Fate, Job, QueueError, State};

/// The service's side.
pub(super) async fn submit(app: &App, job: Job) -> Result<Enqueued, Error> {
    Ok(app.jobs.enqueue(job).await?)
}

/// The worker's side: claims jobs while there are places for them, until the instance is to end.
pub(crate) async fn work(app: &Arc<App>) {
    loop {
        let Some(slot) = unless_it_ends(app, Arc::clone(&app.job_slots).acquire_owned()).await else {
            return;
        };
        // Never closed: an error would mean that the instance is gone.
        let Ok(slot) = slot else { return };
        // Not given up half-way: what the queue has lent must be known to somebody.
        match app.jobs.claim(&app.name, app.clock.now_unix_us()).await {
            Ok(Some(job)) => {
                let host = Arc::clone(app);
                app.tasks.spawn(async move {
                    let _slot = slot;
                    take_up(&host, job).await;
                });
                continue;
            }
            Err(QueueError::PutAside { id, fate }) => {
                note_unreadable(app, &id, fate);
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no job could be claimed"),
        }
        drop(slot);
        if unless_it_ends(app, app.clock.sleep(app.settings.jobs.poll))
            .await
            .is_none()
        {
            return;
        }
    }
}

/// Said once when it begins and once when it ends.
fn note_unreadable(app: &App, id: &str, fate: Fate) {
    match fate {
        Fate::PutAside => {
            app.metrics.job("unreadable");
            tracing::error!(
                job = id,
                "a job's record cannot be read: it is kept aside, for a worker of a newer version"
            );
        }
        Fate::StillAside => {}
        Fate::Buried => {
            app.metrics.job("dead");
            tracing::error!(job = id, "a job's record could not be read by anybody and is given up");
        }
    }
}

/// What comes of `wait`, unless the instance is to end first.
async fn unless_it_ends<T>(app: &App, wait: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = app.shutdown.cancelled() => None,
        outcome = wait => Some(outcome),
    }
}

/// Does what was claimed: the job, or the telling of its outcome. An outcome is told at once by whoever has it; only what
/// could not be told waits in the queue with the others.
async fn take_up(app: &Arc<App>, job: Job) {
    if !matches!(job.state, State::Running { .. }) {
        return deliver::deliver(app, &job).await;
    }
    if let Some(job) = job::run(app, job, job::Retry::Later).await
        && job.delivery.claimable_us().is_some()
    {
        deliver::claim_and_deliver(app, &job.id).await;
    }
}
