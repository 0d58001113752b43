//! The background design: 202 at once, and a task of this process does the work.
//!
//! One line more than the coupled design and it looks just as good, until the process restarts: jobs live in its memory
//! and end with it, and a client who asks another replica is told that there is no such job. An orderly end finishes
//! what it can within `shutdown_grace`; what is lost after that, or in a crash, is counted, and nobody reads the count.

use std::sync::Arc;

use super::{deliver, job};
use crate::app::App;
use crate::error::Error;
use crate::queue::{Enqueued, Event, Job, State};
use crate::telemetry::Metrics;

pub(super) async fn submit(app: &Arc<App>, job: Job) -> Result<Enqueued, Error> {
    let id = job.id.clone();
    let enqueued = app.jobs.enqueue(job).await?;
    if enqueued == Enqueued::New {
        let host = Arc::clone(app);
        app.tasks.spawn(async move { work(&host, &id).await });
    }
    Ok(enqueued)
}

async fn work(app: &Arc<App>, id: &str) {
    let mut unfinished = Unfinished::begin(&app.metrics, id);
    // Never closed: an error would mean that the instance is gone.
    let Ok(slot) = app.job_slots.acquire().await else {
        return;
    };
    let worker = app.name.clone();
    let claimed = app
        .jobs
        .update(id, Event::Claim { worker }, app.clock.now_unix_us())
        .await;
    // Refused when it was cancelled meanwhile; dead when it waited too long.
    match claimed {
        Ok(job) if matches!(job.state, State::Running { .. }) => {
            let told = job::run(app, job, job::Retry::Never).await;
            if told.is_some_and(|job| job.finished_us().is_none()) {
                return; // given back at the end of the instance, and nobody else can take it
            }
        }
        Ok(job) => deliver::deliver(app, &job).await,
        Err(_) => {}
    }
    unfinished.is_done = true;
    drop(slot);
    deliver::deliver_to_the_end(app, id).await;
}

/// A job that is lost if this is dropped too early.
struct Unfinished<'a> {
    metrics: &'a Metrics,
    id: &'a str,
    is_done: bool,
}

impl<'a> Unfinished<'a> {
    const fn begin(metrics: &'a Metrics, id: &'a str) -> Self {
        Self {
            metrics,
            id,
            is_done: false,
        }
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.metrics.job("lost");
            tracing::warn!(
                job = self.id,
                "a job was lost with its process: it was answered with 202 and never done"
            );
        }
    }
}
