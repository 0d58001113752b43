//! A job in the hands of a worker: done, kept alive by heartbeats, and its outcome told to the queue.
//!
//! The work is dropped, and with it the call to the provider, as soon as a heartbeat is refused: then the job was
//! cancelled, or somebody else has it.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use crate::access::Caller;
use crate::app::App;
use crate::draws::{Purpose, unit};
use crate::error::Error;
use crate::features::Context;
use crate::features::chat::{self, ChatRequest, ChatResponse};
use crate::queue::{Event, Job, Lease, QueueError, State};
use crate::resilience::retry::full_jitter;
use crate::telemetry::conventions::span;
use crate::telemetry::{Counted, Trace, TraceParent};

/// How often the queue is told an outcome when it does not answer. After that the lease runs out and the job is run again.
const TELLINGS: u32 = 3;

/// What becomes of a job that failed in a way that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It failed.
    Never,
    /// It goes back to the queue for a while.
    Later,
}

/// Does a job that has just been claimed.
pub(super) async fn run(app: &Arc<App>, job: Job, retry: Retry) {
    let State::Running {
        lease, waited_since_us, ..
    } = job.state.clone()
    else {
        return;
    };
    let parent = job.traceparent.as_deref().and_then(TraceParent::parse);
    let (trace, _root) = app.tracer.resume(parent, &job.request_id, span::JOB);
    trace.record(span::WAIT_QUEUE, waited_since_us, app.clock.now_unix_us());
    trace.tenant(&job.tenant);
    let (_running, log) = (Counted::begin(&app.metrics.jobs_running), trace.log().clone());
    let event = tokio::select! {
        biased;
        result = perform(app, &job, trace).instrument(log) => outcome(app, &job, lease.clone(), result, retry),
        () = keep(app, &job.id, &lease) => {
            app.metrics.job("dropped");
            return;
        }
        () = app.give_back.cancelled() => {
            app.metrics.job("released");
            Event::Release { lease: lease.clone() }
        }
    };
    tell(app, &job.id, event).await;
}

async fn perform(app: &App, job: &Job, trace: Trace) -> Result<ChatResponse, Error> {
    let request: ChatRequest =
        serde_json::from_str(&job.payload).map_err(|error| Error::invalid("#", error.to_string()))?;
    let context = Context {
        request_id: job.request_id.clone(),
        caller: Caller {
            name: job.tenant.clone(),
            tenant: job.tenant.clone(),
        },
        trace,
    };
    chat::answer(app, &context, request, job.id.clone()).await
}

/// Sends heartbeats; returns when the queue says that the job is not ours any more.
async fn keep(app: &App, id: &str, lease: &Lease) {
    loop {
        app.clock.sleep(app.settings.jobs.heartbeat).await;
        let beat = Event::Heartbeat { lease: lease.clone() };
        match app.jobs.update(id, beat, app.clock.now_unix_us()).await {
            Ok(_) => {}
            Err(QueueError::Refused(_) | QueueError::Unknown) => return,
            Err(error) => tracing::warn!(%error, job = id, "a heartbeat failed"),
        }
    }
}

/// What to tell the queue.
fn outcome(app: &App, job: &Job, lease: Lease, result: Result<ChatResponse, Error>, retry: Retry) -> Event {
    let error = match result.map(|answer| serde_json::to_string(&answer)) {
        Ok(Ok(result)) => {
            app.metrics.job("succeeded");
            return Event::Complete { lease, result };
        }
        Ok(Err(_)) => Error::Storage,
        Err(error) => error,
    };
    app.metrics.job("failed");
    let again = retry == Retry::Later && error.is_transient();
    Event::Fail {
        lease,
        retry_after: again.then(|| pause(app, job, &error)),
        error: serde_json::to_string(&error.problem()).unwrap_or_default(),
    }
}

fn pause(app: &App, job: &Job, error: &Error) -> Duration {
    let settings = &app.settings.jobs;
    let retry = job.attempts.saturating_sub(1);
    let draw = unit(app.seed, Purpose::JobBackoff, &job.id, u64::from(job.attempts));
    let backoff = full_jitter(settings.retry_base, settings.retry_cap, retry, draw);
    backoff.max(error.retry_after().unwrap_or_default())
}

async fn tell(app: &App, id: &str, event: Event) {
    for _ in 0..TELLINGS {
        match app.jobs.update(id, event.clone(), app.clock.now_unix_us()).await {
            Ok(_) => return,
            Err(error @ (QueueError::Refused(_) | QueueError::Unknown)) => {
                tracing::info!(%error, job = id, "an outcome was not taken");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, job = id, "the queue could not be told an outcome");
                app.clock.sleep(app.settings.jobs.poll).await;
            }
        }
    }
}
