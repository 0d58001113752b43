//! Following jobs: one look at a job for all who follow it, however many they are.
//!
//! The first to follow a job starts a task that reads it when it has changed; the others listen to the same task. It ends
//! with the job, or when the last one has left. When a job has changed is the lookout's to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::models::JobView;
use crate::app::App;
use crate::error::Error;
use crate::queue::QueueError;
use crate::sync::lock;

/// Jobs that can be followed at a time in one process.
const MOST: usize = 4096;

/// What is known of a job that is followed; `None` when it is gone.
pub(super) type Sight = Option<JobView>;

/// The jobs that are followed here.
#[derive(Debug, Default)]
pub(crate) struct Watched(Mutex<BTreeMap<String, watch::Sender<Sight>>>);

impl Watched {
    /// Follows the job that stands as `view` now.
    pub(super) fn follow(&self, app: &Arc<App>, view: JobView) -> Result<watch::Receiver<Sight>, Error> {
        let mut watched = lock(&self.0);
        if let Some(sender) = watched.get(&view.id) {
            return Ok(sender.subscribe());
        }
        if watched.len() >= MOST {
            return Err(Error::Overloaded);
        }
        let id = view.id.clone();
        let (sender, receiver) = watch::channel(Some(view));
        watched.insert(id.clone(), sender.clone());
        let host = Arc::clone(app);
        app.tasks.spawn(async move { look(&host, &id, &sender).await });
        Ok(receiver)
    }

    /// Stops following `id` if nobody does any more. One step with [`Watched::follow`], so that nobody is left behind.
    fn forget_if_alone(&self, id: &str, sender: &watch::Sender<Sight>) -> bool {
        let mut watched = lock(&self.0);
        let is_alone = sender.receiver_count() == 0;
        if is_alone {
            watched.remove(id);
        }
        is_alone
    }

    fn forget(&self, id: &str) {
        lock(&self.0).remove(id);
    }
}

/// Looks at a job until it is finished or nobody is interested.
async fn look(app: &Arc<App>, id: &str, sender: &watch::Sender<Sight>) {
    let mut following = app.lookout.follow(id);
    let mut is_behind = false;
    loop {
        tokio::select! {
            biased;
            () = sender.closed() => {}
            () = following.changed() => {}
            () = app.clock.sleep(app.settings.jobs.poll), if is_behind => {}
        }
        if app.watched.forget_if_alone(id, sender) {
            return;
        }
        let read = app.jobs.get(id).await;
        is_behind = read.is_err();
        let seen = match read {
            Ok(job) => job.map(|job| JobView::of(&job, &app.settings.lease_policy())),
            // Whoever asks for it is told; there is nothing to follow.
            Err(QueueError::Unreadable { .. }) => None,
            Err(error) => {
                tracing::warn!(%error, job = id, "a job that is followed could not be looked at");
                continue;
            }
        };
        let is_over = seen.as_ref().is_none_or(JobView::is_finished);
        sender.send_if_modified(|known| {
            let is_new = *known != seen;
            *known = seen;
            is_new
        });
        if is_over {
            return app.watched.forget(id);
        }
    }
}
