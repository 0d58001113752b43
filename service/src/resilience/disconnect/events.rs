//! The way of events from a piece of work to the client who reads along: tied, so that they end together, or detached.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::Client;

/// Events that a detached producer may be ahead of its client. Large: a client that has left reads nothing, and the
/// producer then goes on alone.
const AHEAD: usize = 4096;

/// Events that a producer tied to its client may be ahead. Small: it makes progress only while the client reads.
const STEP: usize = 16;

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
    Events::over(events)
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
    client: Option<Client>,
}

impl<T> Events<T> {
    const fn over(made: mpsc::Receiver<T>) -> Self {
        Self {
            made,
            work: None,
            over: None,
            client: None,
        }
    }

    /// Events of work that is done while they are read.
    pub(super) fn tied<F: Future<Output = ()> + Send + 'static>(produce: impl FnOnce(Sink<T>) -> F) -> Self {
        let (sender, events) = mpsc::channel(STEP);
        Self {
            work: Some(Box::pin(produce(Sink(sender)))),
            ..Self::over(events)
        }
    }

    /// The same events; whoever drops them before their end is `client`, leaving.
    pub(crate) fn bonded(self, client: Client) -> Self {
        Self {
            client: Some(client),
            ..self
        }
    }

    /// The same events, but none after `over` is cancelled: then they break off, and the work with them where it is tied.
    pub(crate) fn until(self, over: CancellationToken) -> Self {
        Self {
            over: Some(Box::pin(over.cancelled_owned())),
            ..self
        }
    }

    fn ended(&mut self, event: Poll<Option<T>>) -> Poll<Option<T>> {
        if matches!(event, Poll::Ready(None)) {
            self.client.take().into_iter().for_each(Client::stayed);
        }
        event
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
        let event = self.made.poll_recv(context);
        self.ended(event)
    }
}
