//! Looking at jobs on behalf of all who want to know when they change, however many they are: one question to the queue
//! for all of them together, each `jobs.poll`.
//!
//! The queue can change in another process, so somebody has to look. Only marks are asked for; whoever follows a job reads
//! it when its mark is another one. Jobs are followed by their workers and by clients, both of which have bounds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::queue::{JobStore, Mark};
use crate::sync::lock;
use crate::tasks::Tasks;

/// The jobs that somebody in this process wants to know about.
#[derive(Clone)]
pub(crate) struct Lookout(Arc<Inner>);

struct Inner {
    jobs: Arc<dyn JobStore>,
    clock: Clock,
    poll: Duration,
    tasks: Tasks,
    followed: Mutex<Followed>,
    /// Rung when nobody follows anything any more.
    left: Notify,
}

#[derive(Default)]
struct Followed {
    jobs: BTreeMap<String, Entry>,
    is_watched: bool,
}

/// What the last look showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// There was none since somebody came.
    Nothing,
    /// The job is gone.
    Gone,
    At(Mark),
}

/// A job that is followed.
struct Entry {
    followers: usize,
    seen: Seen,
    changed: watch::Sender<()>,
}

impl Lookout {
    pub(crate) fn new(jobs: Arc<dyn JobStore>, poll: Duration, clock: Clock, tasks: Tasks) -> Self {
        Self(Arc::new(Inner {
            jobs,
            clock,
            poll,
            tasks,
            followed: Mutex::default(),
            left: Notify::new(),
        }))
    }

    /// Follows the job `id` until the result is dropped.
    pub(crate) fn follow(&self, id: &str) -> Following {
        let mut followed = lock(&self.0.followed);
        let entry = followed.jobs.entry(id.to_owned()).or_insert_with(|| Entry {
            followers: 0,
            seen: Seen::Nothing,
            changed: watch::Sender::new(()),
        });
        entry.followers += 1;
        let changed = entry.changed.subscribe();
        // What happened between the follower's own last look and this moment shows at the next look, like all else.
        entry.seen = Seen::Nothing;
        if !followed.is_watched {
            followed.is_watched = true;
            self.0.tasks.spawn(watch(Arc::clone(&self.0)));
        }
        Following {
            lookout: self.clone(),
            id: id.to_owned(),
            changed,
        }
    }
}

/// Somebody who follows a job.
pub(crate) struct Following {
    lookout: Lookout,
    id: String,
    changed: watch::Receiver<()>,
}

impl Following {
    /// Returns when the job may stand otherwise than it did: at the first look in any case, then after each change.
    pub(crate) async fn changed(&mut self) {
        // The sender lives as long as there are followers.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let inner = &self.lookout.0;
        let mut followed = lock(&inner.followed);
        if let Some(entry) = followed.jobs.get_mut(&self.id) {
            entry.followers -= 1;
            if entry.followers == 0 {
                followed.jobs.remove(&self.id);
            }
        }
        if followed.jobs.is_empty() {
            inner.left.notify_one();
        }
    }
}

/// Looks for as long as somebody wants to know.
async fn watch(inner: Arc<Inner>) {
    while inner.is_wanted() {
        tokio::select! {
            biased;
            () = inner.left.notified() => {}
            () = inner.clock.sleep(inner.poll) => inner.look().await,
        }
    }
}

impl Inner {
    /// Whether anybody follows anything. One step with the end of the watch, so that nobody is left behind.
    fn is_wanted(&self) -> bool {
        let mut followed = lock(&self.followed);
        followed.is_watched = !followed.jobs.is_empty();
        followed.is_watched
    }

    async fn look(&self) {
        let ids: Vec<String> = lock(&self.followed).jobs.keys().cloned().collect();
        let marks = match self.jobs.marks(&ids).await {
            Ok(marks) => marks,
            Err(error) => {
                tracing::warn!(%error, jobs = ids.len(), "the jobs that are followed could not be looked at");
                return;
            }
        };
        let mut followed = lock(&self.followed);
        for id in ids {
            let seen = marks.get(&id).map_or(Seen::Gone, |mark| Seen::At(*mark));
            // Whoever came while the question was under way is told at the next look.
            if let Some(entry) = followed.jobs.get_mut(&id)
                && entry.seen != seen
            {
                entry.seen = seen;
                entry.changed.send_replace(());
            }
        }
    }
}
