//! Telling the queue what came of something that it had lent out.

use crate::app::App;
use crate::queue::{Event, Job, QueueError};

/// How often the queue is told an outcome when it does not answer. After that the lease runs out and the work is done
/// again.
const TELLINGS: u32 = 3;

/// Tells the queue `event`; the job as it then is, if the queue took it.
pub(super) async fn tell(app: &App, id: &str, event: Event) -> Option<Job> {
    for _ in 0..TELLINGS {
        match app.jobs.update(id, event.clone(), app.clock.now_unix_us()).await {
            Ok(job) => return Some(job),
            Err(error @ (QueueError::Refused(_) | QueueError::Unknown)) => {
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
