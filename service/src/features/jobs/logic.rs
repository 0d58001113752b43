//! Taking jobs on, looking them up, calling them off. Who does them is the design's business.

use std::sync::Arc;

use super::models::JobView;
use crate::app::App;
use crate::designs;
use crate::draws::Purpose;
use crate::error::Error;
use crate::features::Context;
use crate::features::chat::ChatRequest;
use crate::queue::{Event, Job, QueueError, Refused, State};
use crate::settings::Design;
use crate::telemetry::conventions::span;

/// Takes a job on.
pub(super) async fn submit(app: &Arc<App>, context: &Context, request: &ChatRequest) -> Result<JobView, Error> {
    let now_us = app.clock.now_unix_us();
    let id = app.ids.next(Purpose::Answer, &context.request_id, now_us);
    let job = Job {
        id: format!("job-{id:032x}"),
        tenant: context.caller.tenant.clone(),
        idempotency_key: None,
        fingerprint: None,
        webhook: None,
        payload: serde_json::to_string(request).map_err(|_| Error::Storage)?,
        request_id: context.request_id.clone(),
        traceparent: Some(context.trace.parent().to_string()),
        enqueued_us: now_us,
        attempts: 0,
        state: State::Queued { due_us: now_us },
    };
    let handing_over = context.trace.span(span::ENQUEUE);
    designs::submit(app, job.clone()).await?;
    drop(handing_over);
    Ok(job.into())
}

/// A job as it stands.
pub(super) async fn status(app: &App, id: &str) -> Result<JobView, Error> {
    takes_jobs(app)?;
    let job = app.jobs.get(id).await?.ok_or(Error::NotFound("job"))?;
    Ok(job.into())
}

/// Calls a job off. Its worker notices at its next heartbeat.
pub(super) async fn cancel(app: &App, id: &str) -> Result<(), Error> {
    takes_jobs(app)?;
    match app.jobs.update(id, Event::Cancel, app.clock.now_unix_us()).await {
        Ok(_) => Ok(()),
        Err(QueueError::Unknown) => Err(Error::NotFound("job")),
        Err(QueueError::Refused(Refused::Finished)) => Err(Error::JobFinished),
        Err(error) => Err(error.into()),
    }
}

const fn takes_jobs(app: &App) -> Result<(), Error> {
    match app.settings.design {
        Design::Background | Design::Queued => Ok(()),
        Design::Blocking | Design::Coupled => Err(Error::NoJobs),
    }
}
