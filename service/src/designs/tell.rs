//! Telling the queue what came of something that it had lent out.

use crate::app::App;
use crate::queue::{Event, Job, QueueError};

/// Tells the queue `event`; the job as it then is, if the queue took it. A queue that does not answer is told again for as
/// long as a lease lasts: after that somebody else does the work.
pub(super) async fn tell(app: &App, id: &str, event: Event) -> Option<Job> {
    let until = app.clock.now() + app.settings.jobs.lease;
    while app.clock.now() < until {
        match app.jobs.update(id, event.clone(), app.clock.now_unix_us()).await {
            Ok(job) => return Some(job),
            Err(error @ (QueueError::Refused(_) | QueueError::Unknown | QueueError::Unreadable { .. })) => {
                tracing::info!(%error, job = id, "an outcome was not taken");
                return None;
            }
            Err(error) => {
                tracing::warn!(%error, job = id, "the queue could not be told an outcome");
                app.clock.sleep(app.settings.jobs.poll).await;
            }
        }
    }
    None
}
