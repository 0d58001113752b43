//! The four designs: how a request meets the model.
//!
//! - `blocking`: a worker is taken for the whole of a request.
//! - `coupled`: a task waits for the model.
//! - `background`: 202 at once; a task of this process does the work, and dies with it.
//! - `queued`: 202 at once; a worker does the work from the durable queue.
//!
//! `POST /chat` is answered by `blocking` in that design and by `coupled` in all others; `POST /jobs` by the last two.
//! What the last two share: `job` does a job that a worker has in hand and `deliver` tells its outcome, `tell` says to
//! the queue what came of either, `at_work` knows what this process has in hand, `lookout` tells when jobs change,
//! `backlog` bounds what may wait, and `queue_watch` looks at the queue now and then.

mod at_work;
mod background;
mod backlog;
mod blocking;
mod coupled;
mod deliver;
mod job;
mod lookout;
mod queue_watch;
mod queued;
mod tell;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tracing::Instrument;

use crate::app::App;
use crate::error::Error;
use crate::queue::{Enqueued, Job};
use crate::resilience::deadline::{Deadline, Phase};
use crate::resilience::disconnect::{Events, Sink};
use crate::settings::Design;
use crate::telemetry::Trace;

pub(crate) use self::at_work::AtWork;
pub(crate) use self::backlog::Backlog;
pub(crate) use self::blocking::Workers;
pub(crate) use self::lookout::Lookout;
pub(crate) use self::queue_watch::watch_queue;
pub(crate) use self::queued::work;

/// Does `work` for a client who waits for the whole answer, until it is there, its time is over or the instance can wait no
/// longer.
pub(crate) async fn answer<T: Send + 'static>(
    app: &App,
    trace: &Trace,
    deadline: Deadline,
    work: BoxFuture<'static, Result<T, Error>>,
) -> Result<T, Error> {
    // Detached or not, its time and its log lines are the request's.
    let work = async move {
        let done = deadline.within(Phase::Total, work).await;
        done.unwrap_or_else(|late| Err(late.into()))
    };
    let work: BoxFuture<'static, Result<T, Error>> = Box::pin(work.instrument(trace.log().clone()));
    let answer = async {
        match &app.workers {
            Some(workers) => workers.answer(trace, deadline, work).await,
            None => coupled::answer(app, work).await,
        }
    };
    tokio::select! {
        biased;
        answer = answer => answer,
        () = app.give_back.cancelled() => Err(Error::ShuttingDown),
    }
}

/// Does work that yields events for a client who reads along. They break off when its time is over or the instance can wait
/// no longer.
pub(crate) fn stream<T, F>(
    app: &App,
    trace: &Trace,
    deadline: Deadline,
    produce: impl FnOnce(Sink<T>) -> F,
) -> Result<Events<T>, Error>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let log = trace.log().clone();
    let produce = |sink| {
        let work = produce(sink);
        // Cut off without a last word: whoever reads the events knows the deadline as well.
        let work = async move { deadline.within(Phase::Total, work).await.unwrap_or_default() };
        work.instrument(log)
    };
    let events = match &app.workers {
        Some(workers) => workers.stream(trace, deadline, produce)?,
        None => coupled::stream(app, produce),
    };
    Ok(events.until(app.give_back.clone()))
}

/// Whether this design takes jobs at all.
pub(crate) const fn takes_jobs(app: &App) -> Result<(), Error> {
    match app.settings.design {
        Design::Background | Design::Queued => Ok(()),
        Design::Blocking | Design::Coupled => Err(Error::NoJobs),
    }
}

/// Takes a job on, unless there is one already that stands for it or too many wait.
pub(crate) async fn submit(app: &Arc<App>, job: Job) -> Result<Enqueued, Error> {
    takes_jobs(app)?;
    app.backlog.admit(app, &job.tenant).await?;
    match app.settings.design {
        Design::Background => background::submit(app, job).await,
        _ => queued::submit(app, job).await,
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
