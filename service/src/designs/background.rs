//! The background design: 202 at once, and a task of this process does the work.
//!
//! One line more than the coupled design and it looks just as good, until the process restarts: jobs live in its memory
//! and end with it, and a client who asks another replica is told that there is no such job.

use std::sync::Arc;

use super::job;
use crate::app::App;
use crate::error::Error;
use crate::queue::{Event, Job, State};

pub(super) async fn submit(app: &Arc<App>, job: Job) -> Result<(), Error> {
    let id = job.id.clone();
    app.jobs.enqueue(job).await?;
    let host = Arc::clone(app);
    app.tasks.spawn(async move {
        // Never closed: an error would mean that the instance is gone.
        let Ok(_slot) = host.job_slots.acquire().await else {
            return;
        };
        let worker = host.name.clone();
        let claimed = host
            .jobs
            .update(&id, Event::Claim { worker }, host.clock.now_unix_us())
            .await;
        // Refused when it was cancelled meanwhile; dead when it waited too long.
        if let Ok(job) = claimed
            && matches!(job.state, State::Running { .. })
        {
            job::run(&host, job, job::Retry::Never).await;
        }
    });
    Ok(())
}
