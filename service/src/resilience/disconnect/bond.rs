//! The bond between a client and work that is done apart from it: dropping the client's end is how the work learns that
//! nobody waits for it any more.

use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{DisconnectPolicy, Leaving};
use crate::telemetry::Counted;

/// The client's end. Dropped before the work is done, the client has left.
#[must_use = "a client that is not held has left"]
pub(crate) struct Client {
    leaving: Leaving,
    unwanted: CancellationToken,
    done: CancellationToken,
    stayed: bool,
}

/// The work's end: how long the work is wanted. Dropped, the work is done.
pub(crate) struct Wanted {
    unwanted: CancellationToken,
    _done: DropGuard,
}

pub(super) fn between(leaving: Leaving) -> (Client, Wanted) {
    let (unwanted, done) = (CancellationToken::new(), CancellationToken::new());
    let client = Client {
        leaving,
        unwanted: unwanted.clone(),
        done: done.clone(),
        stayed: false,
    };
    let wanted = Wanted {
        unwanted,
        _done: done.drop_guard(),
    };
    (client, wanted)
}

impl Wanted {
    /// What comes of `wait`, unless the work is not wanted any more before that.
    pub(crate) async fn unless_unwanted<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.unwanted.cancelled() => None,
            outcome = wait => Some(outcome),
        }
    }

    /// Does `work` for as long as it is wanted.
    pub(crate) async fn bound(self, work: impl Future<Output = ()>) {
        self.unless_unwanted(work).await;
    }
}

impl Client {
    /// The client has all there is.
    pub(crate) fn stayed(mut self) {
        self.stayed = true;
    }

    fn drain(&self) {
        let place = Arc::clone(&self.leaving.places).try_acquire_owned();
        // Without a runtime there is nothing to go on in.
        let (Ok(place), Ok(_)) = (place, Handle::try_current()) else {
            self.leaving.metrics.drained("full");
            self.unwanted.cancel();
            return;
        };
        let (unwanted, done) = (self.unwanted.clone(), self.done.clone());
        let (metrics, time) = (self.leaving.metrics.clone(), self.leaving.drain.time);
        self.leaving.tasks.spawn(async move {
            let _held = (place, Counted::begin(&metrics.draining));
            let outcome = tokio::select! {
                biased;
                () = done.cancelled() => "finished",
                () = tokio::time::sleep(time) => "cut",
            };
            unwanted.cancel();
            metrics.drained(outcome);
        });
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.stayed || self.done.is_cancelled() {
            return;
        }
        match self.leaving.policy {
            DisconnectPolicy::Cancel => self.unwanted.cancel(),
            DisconnectPolicy::Drain => self.drain(),
            DisconnectPolicy::RunOn => {}
        }
    }
}
