//! Disconnects: what becomes of work whose client has left.
//!
//! `cancel` ties the work to the client: it runs inside the response, so dropping the response (which is what the server
//! does when the client hangs up) drops the call to the provider in that same moment. `run_on` unties them. Does not
//! notice anything by polling: ownership is the mechanism.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::tasks::Tasks;

/// Parameter: what happens to work whose client has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectPolicy {
    /// It stops at once.
    Cancel,
    /// It runs to its end, and is paid for.
    RunOn,
}

/// The instance ended before the work did.
#[derive(Debug, thiserror::Error)]
#[error("the work was dropped because the instance is ending")]
pub(crate) struct WorkLost;

/// Events that a detached producer may be ahead of its client. Large: a client that has left reads nothing, and the
/// producer then goes on alone.
const AHEAD: usize = 4096;

/// Events that a producer tied to its client may be ahead. Small: it makes progress only while the client reads.
const STEP: usize = 16;

impl DisconnectPolicy {
    /// Does `work` for a client who waits for the whole of it.
    pub(crate) async fn answer<T: Send + 'static>(
        self,
        tasks: &Tasks,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, WorkLost> {
        match self {
            Self::Cancel => Ok(work.await),
            Self::RunOn => detached(|task| tasks.spawn(task), work).await,
        }
    }

    /// Does work that yields events for a client who reads along. `produce` gets the sending end.
    pub(crate) fn stream<T, F>(self, tasks: &Tasks, produce: impl FnOnce(Sink<T>) -> F) -> Events<T>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        match self {
            Self::Cancel => {
                let (sender, events) = mpsc::channel(STEP);
                Events {
                    made: events,
                    work: Some(Box::pin(produce(Sink(sender)))),
                    over: None,
                }
            }
            Self::RunOn => detached_stream(|task| tasks.spawn(task), produce),
        }
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

/// Does work that yields events apart from whoever reads them.
pub(crate) fn detached_stream<T, F>(
    spawn: impl FnOnce(BoxFuture<'static, ()>),
    produce: impl FnOnce(Sink<T>) -> F,
) -> Events<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, events) = mpsc::channel(AHEAD);
    spawn(Box::pin(produce(Sink(sender))));
    Events {
        made: events,
        work: None,
        over: None,
    }
}

/// Where work puts its events.
#[derive(Debug)]
pub(crate) struct Sink<T>(mpsc::Sender<T>);

impl<T> Sink<T> {
    /// Hands on an event; waits while the client is too far behind. When the client has left, the event goes nowhere.
    pub(crate) async fn send(&self, event: T) {
        let _ = self.0.send(event).await;
    }
}

/// The events of a piece of work, and the work itself where the two are tied.
pub(crate) struct Events<T> {
    made: mpsc::Receiver<T>,
    work: Option<BoxFuture<'static, ()>>,
    over: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl<T> Events<T> {
    /// The same events, but none after `over` is cancelled: then they break off, and the work with them where it is tied.
    pub(crate) fn until(self, over: CancellationToken) -> Self {
        Self {
            over: Some(Box::pin(over.cancelled_owned())),
            ..self
        }
    }
}

impl<T> Stream for Events<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(over) = &mut self.over
            && over.as_mut().poll(context).is_ready()
        {
            self.over = None;
            self.work = None;
            self.made.close();
            while self.made.try_recv().is_ok() {}
        }
        if let Poll::Ready(Some(event)) = self.made.poll_recv(context) {
            return Poll::Ready(Some(event));
        }
        if let Some(work) = &mut self.work
            && work.as_mut().poll(context).is_ready()
        {
            self.work = None;
        }
        self.made.poll_recv(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use futures::StreamExt;

    use super::*;

    /// Yields 1 to 5, one a second, and counts what it made.
    async fn count_to_five(sink: Sink<u32>, made: Arc<AtomicU32>) {
        for n in 1..=5 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            made.store(n, Ordering::Relaxed);
            sink.send(n).await;
        }
    }

    async fn leave_after_two(policy: DisconnectPolicy) -> u32 {
        let (tasks, made) = (Tasks::default(), Arc::new(AtomicU32::new(0)));
        let counter = Arc::clone(&made);
        let events = policy.stream(&tasks, move |sink| count_to_five(sink, counter));
        let read: Vec<u32> = events.take(2).collect().await;
        assert_eq!(read, [1, 2]);
        tokio::time::sleep(Duration::from_mins(1)).await;
        made.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_tied_producer_stops_when_its_client_leaves() {
        assert_eq!(leave_after_two(DisconnectPolicy::Cancel).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_detached_producer_runs_to_its_end() {
        assert_eq!(leave_after_two(DisconnectPolicy::RunOn).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn both_deliver_every_event_in_order_to_a_client_that_stays() {
        for policy in [DisconnectPolicy::Cancel, DisconnectPolicy::RunOn] {
            let made = Arc::new(AtomicU32::new(0));
            let events = policy.stream(&Tasks::default(), move |sink| count_to_five(sink, made));
            assert_eq!(events.collect::<Vec<_>>().await, [1, 2, 3, 4, 5], "{policy:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn detached_work_ends_with_its_instance() {
        let tasks = Tasks::default();
        let lifeline = tasks.lifeline();
        let made = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&made);
        let _events = DisconnectPolicy::RunOn.stream(&tasks, move |sink| count_to_five(sink, counter));
        tokio::time::sleep(Duration::from_millis(2500)).await;
        drop(lifeline);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
