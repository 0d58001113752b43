//! The coupled design: the request's own task waits for the model.
//!
//! Cheap to wait in, but the client's connection, and every timeout between it and here, lasts as long as the model
//! takes. What happens when the client does not wait is the disconnect policy's.

use std::future::Future;

use futures::future::BoxFuture;

use crate::app::App;
use crate::error::Error;
use crate::resilience::disconnect::{Events, Sink};

pub(super) async fn answer<T: Send + 'static>(
    app: &App,
    work: BoxFuture<'static, Result<T, Error>>,
) -> Result<T, Error> {
    let answered = app.leaving.answer(work).await;
    answered.map_err(|_lost| Error::ShuttingDown)?
}

pub(super) fn stream<T, F>(app: &App, produce: impl FnOnce(Sink<T>) -> F) -> Events<T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    app.leaving.stream(produce)
}
