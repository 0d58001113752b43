//! The four designs: how a request meets the model.
//!
//! - `blocking`: a worker is taken for the whole of a request.
//! - `coupled`: a task waits for the model.
//! - `background`: 202 at once; a task of this process does the work, and dies with it.
//! - `queued`: 202 at once; a worker does the work from the durable queue.
//!
//! `POST /chat` is answered by `blocking` in that design and by `coupled` in all others; `POST /jobs` by the last two.
//! `job` is what the last two do with a job once they have it.

mod background;
mod blocking;
mod coupled;
mod job;
mod queued;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tracing::Instrument;

use crate::app::App;
use crate::error::Error;
use crate::queue::Job;
use crate::resilience::disconnect::{Events, Sink};
use crate::settings::Design;
use crate::telemetry::Trace;

pub(crate) use self::blocking::Workers;
pub(crate) use self::queued::work;

/// Does `work` for a client who waits for the whole answer, until it is there or the instance can wait no longer.
pub(crate) async fn answer<T: Send + 'static>(
    app: &App,
    trace: &Trace,
    work: BoxFuture<'static, Result<T, Error>>,
) -> Result<T, Error> {
    // Detached or not, its log lines are the request's.
    let work: BoxFuture<'static, Result<T, Error>> = Box::pin(work.instrument(trace.log().clone()));
    let answer = async {
        match &app.workers {
            Some(workers) => workers.answer(trace, work).await,
            None => coupled::answer(app, work).await,
        }
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = app.give_back.cancelled() => Err(Error::ShuttingDown),
    }
}

/// Does work that yields events for a client who reads along. They break off when the instance can wait no longer.
pub(crate) fn stream<T, F>(app: &App, trace: &Trace, produce: impl FnOnce(Sink<T>) -> F) -> Result<Events<T>, Error>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let log = trace.log().clone();
    let produce = |sink| produce(sink).instrument(log);
    let events = match &app.workers {
        Some(workers) => workers.stream(trace, produce)?,
        None => coupled::stream(app, produce),
    };
    Ok(events.until(app.give_back.clone()))
}

/// Takes a job on.
pub(crate) async fn submit(app: &Arc<App>, job: Job) -> Result<(), Error> {
    match app.settings.design {
        Design::Background => background::submit(app, job).await,
        Design::Queued => queued::submit(app, job).await,
        Design::Blocking | Design::Coupled => Err(Error::NoJobs),
    }
}

/// Forgets outcomes that nobody asked for in time, until the instance ends.
pub(crate) async fn forget_finished(app: Arc<App>) {
    let pause = app.settings.jobs.expiry.min(Duration::from_mins(1));
    loop {
        tokio::select! {
            biased;
            () = app.shutdown.cancelled() => return,
            () = app.clock.sleep(pause) => {}
        }
        if let Err(error) = app.jobs.purge(app.clock.now_unix_us()).await {
            tracing::warn!(%error, "finished jobs could not be forgotten");
        }
    }
}
