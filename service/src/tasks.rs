//! The tasks of one instance: all that it spawns ends with it.
//!
//! A graceful end waits for them for a while. A crash (the instance's future is dropped) ends them at once, so that nothing
//! of a dead instance goes on working inside a process that lives.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// How long tasks that were told to end may take to do so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Spawns, drains and ends tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    killed: CancellationToken,
}

impl Tasks {
    /// Runs `work` on its own, until it is done or the instance ends.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.bounded(work));
    }

    /// Does `work` where it is awaited, and on its own when whoever awaits it is dropped: what was begun is finished.
    pub(crate) fn finish(&self, work: impl Future<Output = ()> + Send + 'static) -> Finishing {
        Finishing {
            tasks: self.clone(),
            work: Some(Box::pin(work)),
        }
    }

    /// Runs `work` on a thread of its own, for code that blocks. Real time only: a foreign thread does not stop a
    /// virtual clock.
    pub(crate) fn spawn_thread(&self, work: impl Future<Output = ()> + Send + 'static) {
        let runtime = tokio::runtime::Handle::current();
        let work = self.tracker.track_future(self.bounded(work));
        #[expect(
            clippy::disallowed_methods,
            reason = "the blocking design on the real clock is about real threads; the virtual clock uses `spawn`"
        )]
        tokio::task::spawn_blocking(move || runtime.block_on(work));
    }

    /// Ends all tasks when it is dropped.
    pub(crate) fn lifeline(&self) -> DropGuard {
        self.killed.clone().drop_guard()
    }

    /// Waits until all tasks are done, at most for `limit`. True if they are.
    pub(crate) async fn wait(&self, limit: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }

    /// Ends all tasks at once. They record their spans on the way out.
    pub(crate) async fn end(&self) {
        self.killed.cancel();
        self.wait(LAST_WORDS).await;
    }

    fn bounded(&self, work: impl Future<Output = ()> + Send + 'static) -> impl Future<Output = ()> + Send + 'static {
        let killed = self.killed.clone();
        async move {
            tokio::select! {
                biased;
                () = killed.cancelled_owned() => {}
                () = work => {}
            }
        }
    }
}

/// Work that is finished, with or without whoever awaits it.
#[must_use = "nothing is done before it is awaited"]
pub(crate) struct Finishing {
    tasks: Tasks,
    work: Option<BoxFuture<'static, ()>>,
}

impl Future for Finishing {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else {
            return Poll::Ready(());
        };
        let state = work.as_mut().poll(context);
        if state.is_ready() {
            self.work = None;
        }
        state
    }
}

impl Drop for Finishing {
    fn drop(&mut self) {
        // Without a runtime there is nothing to go on in.
        if let Some(work) = self.work.take()
            && Handle::try_current().is_ok()
        {
            self.tasks.spawn(work);
        }
    }
}
