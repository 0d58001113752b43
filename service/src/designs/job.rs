//! A job in the hands of a worker: done, kept alive by heartbeats, and its outcome told to the queue.
//!
//! The work is dropped, and with it the call to the provider, as soon as it is not wanted any more: the job was called
//! off through this process, a look at the queue says so, or a heartbeat is refused because somebody else has it.

use std::sync::Arc;
use std::time::Duration;

use tracing::Instrument;

use super::at_work::InHand;
use super::tell::tell;
use crate::access::Caller;
use crate::app::App;
use crate::cache::Freshness;
use crate::draws::{Purpose, unit};
use crate::error::Error;
use crate::features::chat::{self, ChatRequest, ChatResponse};
use crate::features::{Context, Kept};
use crate::queue::{Event, Job, Lease, QueueError, Refused, State};
use crate::resilience::deadline::Deadline;
use crate::resilience::retry::full_jitter;
use crate::telemetry::conventions::span;
use crate::telemetry::{Trace, TraceParent};

/// What becomes of a job that failed in a way that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// It failed.
    Never,
    /// It goes back to the queue for a while.
    Later,
}

/// Why a job is dropped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dropped {
    /// Its owner took it back.
    Cancelled,
    /// Somebody else has it, or it is gone.
    Taken,
}

/// Does a job that has just been claimed; the job as it then is, if the queue took the outcome.
pub(super) async fn run(app: &Arc<App>, job: Job, retry: Retry) -> Option<Job> {
    let State::Running {
        lease, waited_since_us, ..
    } = job.state.clone()
    else {
        return None;
    };
    let parent = job.traceparent.as_deref().and_then(TraceParent::parse);
    let (trace, _root) = app.tracer.resume(parent, &job.request_id, span::JOB);
    trace.record(span::WAIT_QUEUE, waited_since_us, app.clock.now_unix_us());
    trace.tenant(&job.tenant);
    let in_hand = app.at_work.begin(&app.metrics, &job.id, lease.attempt);
    let (log, work) = (trace.log().clone(), perform(app, &job, trace.clone()));
    let event = tokio::select! {
        biased;
        result = work.instrument(log) => outcome(app, &job, lease.clone(), result, retry),
        dropped = keep(app, &in_hand, &job.id, &lease) => {
            app.metrics.job(match dropped {
                Dropped::Cancelled => "cancelled",
                Dropped::Taken => "dropped",
            });
            return None;
        }
        () = app.give_back.cancelled() => Event::Release { lease: lease.clone() },
    };
    let told = tell(app, &job.id, event).await?;
    note(app, &trace, &told);
    Some(told)
}

async fn perform(app: &Arc<App>, job: &Job, trace: Trace) -> Result<ChatResponse, Error> {
    let request: ChatRequest =
        serde_json::from_str(&job.payload).map_err(|error| Error::invalid("#", error.to_string()))?;
    let context = Context {
        request_id: job.request_id.clone(),
        caller: Caller {
            name: job.caller.clone(),
            tenant: job.tenant.clone(),
        },
        trace,
        // A run has a time of its own: the queue is where a job may wait for long.
        deadline: Deadline::start(app.clock, app.settings.deadline),
        kept: Kept::default(),
        freshness: Freshness::default(),
    };
    chat::answer(app, &context, request, job.id.clone()).await
}

/// Sends heartbeats and looks at the job when it has changed; returns when it is not ours to do any more.
async fn keep(app: &App, in_hand: &InHand, id: &str, lease: &Lease) -> Dropped {
    let heartbeat = app.settings.jobs.heartbeat;
    let mut following = app.lookout.follow(id);
    let mut beat_at = app.clock.now() + heartbeat;
    loop {
        let still_ours = tokio::select! {
            biased;
            () = in_hand.called_off() => return Dropped::Cancelled,
            () = app.clock.sleep(beat_at.saturating_duration_since(app.clock.now())) => {
                beat_at = app.clock.now() + heartbeat;
                beat(app, id, lease).await
            }
            () = following.changed() => look(app, id, lease).await,
        };
        if let Err(dropped) = still_ours {
            return dropped;
        }
    }
}

async fn look(app: &App, id: &str, lease: &Lease) -> Result<(), Dropped> {
    match app.jobs.get(id).await.map(|job| job.map(|job| job.state)) {
        Ok(Some(State::Running { lease: current, .. })) if current == *lease => Ok(()),
        Ok(Some(State::Cancelled { .. })) => Err(Dropped::Cancelled),
        Ok(_) => Err(Dropped::Taken),
        // The next heartbeat will tell.
        Err(_) => Ok(()),
    }
}

async fn beat(app: &App, id: &str, lease: &Lease) -> Result<(), Dropped> {
    let beat = Event::Heartbeat { lease: lease.clone() };
    match app.jobs.update(id, beat, app.clock.now_unix_us()).await {
        Ok(_) => Ok(()),
        Err(QueueError::Refused(Refused::Cancelled)) => Err(Dropped::Cancelled),
        Err(QueueError::Refused(_) | QueueError::Unknown) => Err(Dropped::Taken),
        Err(error) => {
            tracing::warn!(%error, job = id, "a heartbeat failed");
            Ok(())
        }
    }
}

/// What to tell the queue.
fn outcome(app: &App, job: &Job, lease: Lease, result: Result<ChatResponse, Error>, retry: Retry) -> Event {
    let error = match result.map(|answer| serde_json::to_string(&answer)) {
        Ok(Ok(result)) => return Event::Complete { lease, result },
        Ok(Err(_)) => Error::Storage,
        Err(error) => error,
    };
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
    // What the provider asks for counts up to the cap: a job that is put off for longer than it is kept would never run.
    let asked = error.retry_after().unwrap_or_default();
    backoff.max(asked.min(settings.retry_cap))
}

/// Counts what came of a run.
fn note(app: &App, trace: &Trace, job: &Job) {
    let kind = match &job.state {
        State::Succeeded { .. } => "succeeded",
        State::Failed { .. } => "failed",
        State::Dead { .. } => "dead",
        State::Queued { due_us } if *due_us > app.clock.now_unix_us() => {
            trace.record(span::WAIT_BACKOFF, app.clock.now_unix_us(), *due_us);
            "retried"
        }
        State::Queued { .. } => "released",
        State::Running { .. } | State::Cancelled { .. } => return,
    };
    app.metrics.job(kind);
    if let Some(at_us) = job.finished_us() {
        let took = Duration::from_micros(at_us.saturating_sub(job.enqueued_us));
        app.metrics.job_took(took);
    }
}
