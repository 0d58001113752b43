//! Disconnects: what becomes of work whose client has left, in whichever phase it is.
//!
//! - `cancel` ties the work to the client: it runs inside the response, so dropping the response (which is what the server
//!   does when the client hangs up) drops the call to the provider in that same moment.
//! - `run_on` unties them. `drain` unties them too, within bounds: so many at a time, each for so long; what is beyond is
//!   cancelled. What is drained is paid for and may still be of use: to a cache, to the accounts, to nobody.
//!
//! `events` carries pieces from work to client, `bond` tells detached work that its client has left. Does not notice
//! anything by polling: ownership is the mechanism.

mod bond;
mod events;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, oneshot};

use crate::tasks::Tasks;
use crate::telemetry::Metrics;

pub(crate) use self::bond::{Client, Wanted};
pub(crate) use self::events::{Events, Sink, detached_stream};

/// Policy: what happens to work whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectPolicy {
    /// It stops at once.
    Cancel,
    /// It goes on, within the bounds of [`DrainSettings`].
    Drain,
    /// It runs to its end, and is paid for.
    RunOn,
}

/// Parameters of `drain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainSettings {
    /// Pieces of work that may go on without a client at a time, in one instance.
    pub concurrent: u32,
    /// How long each may go on.
    pub time: Duration,
}

/// The instance ended before the work did, or the work was cut.
#[derive(Debug, thiserror::Error)]
#[error("the work was dropped because the instance is ending")]
pub(crate) struct WorkLost;

/// What one instance does about clients that leave.
#[derive(Clone)]
pub(crate) struct Leaving {
    policy: DisconnectPolicy,
    drain: DrainSettings,
    places: Arc<Semaphore>,
    tasks: Tasks,
    metrics: Metrics,
}

impl Leaving {
    pub(crate) fn new(policy: DisconnectPolicy, drain: DrainSettings, tasks: Tasks, metrics: Metrics) -> Self {
        Self {
            policy,
            drain,
            places: Arc::new(Semaphore::new(drain.concurrent as usize)),
            tasks,
            metrics,
        }
    }

    /// Does `work` for a client who waits for the whole of it.
    pub(crate) async fn answer<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, WorkLost> {
        if self.policy == DisconnectPolicy::Cancel {
            return Ok(work.await);
        }
        let (client, wanted) = self.bond();
        let answered = detached(|task| self.tasks.spawn(wanted.bound(task)), work).await;
        client.stayed();
        answered
    }

    /// Does work that yields events for a client who reads along. `produce` gets the sending end.
    pub(crate) fn stream<T, F>(&self, produce: impl FnOnce(Sink<T>) -> F) -> Events<T>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        if self.policy == DisconnectPolicy::Cancel {
            return Events::tied(produce);
        }
        let (client, wanted) = self.bond();
        detached_stream(|task| self.tasks.spawn(wanted.bound(task)), produce).bonded(client)
    }

    /// What a client holds as long as it waits, and what tells the work done for it apart from it.
    pub(crate) fn bond(&self) -> (Client, Wanted) {
        bond::between(self.clone())
    }
}

/// Does `work` apart from whoever waits for it.
pub(crate) async fn detached<T: Send + 'static>(
    spawn: impl FnOnce(BoxFuture<'static, ()>),
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, WorkLost> {
    let (sender, result) = oneshot::channel();
    spawn(Box::pin(async move {
        // The receiver is gone when the client is: nobody is left to tell.
        let _ = sender.send(work.await);
    }));
    result.await.map_err(|_| WorkLost)
}

#[cfg(test)]
mod tests;
