//! Taking jobs on, looking them up, calling them off. Who does them is the design's business.

use std::sync::Arc;

use super::models::{JobRequest, JobView};
use super::receipt::{self, Origin, Receipt};
use crate::access::Caller;
use crate::answering::Ask;
use crate::app::App;
use crate::designs;
use crate::draws::Purpose;
use crate::error::Error;
use crate::features::Context;
use crate::queue::{Delivery, Enqueued, Event, Job, QueueError, Refused, State};
use crate::telemetry::conventions::span;

/// Takes a job on, or finds the one that stands for it.
pub(super) async fn submit(
    app: &Arc<App>,
    context: &Context,
    request: JobRequest,
    key: Option<String>,
) -> Result<Receipt, Error> {
    designs::takes_jobs(app)?;
    if let Some(url) = &request.webhook {
        app.webhooks.check(url)?;
    }
    app.limits
        .is_solvent(&context.caller, &Ask::from(request.chat()).prompt)
        .await?;
    let wanted = job(app, context, request, key)?;
    let view = |job: &Job| JobView::of(job, &app.settings.lease_policy());
    let handing_over = context.trace.span(span::ENQUEUE);
    let enqueued = designs::submit(app, wanted.clone()).await?;
    drop(handing_over);
    match enqueued {
        Enqueued::New => Ok(Receipt {
            job: view(&wanted),
            origin: Origin::New,
        }),
        Enqueued::Existing(existing) => {
            let origin = Origin::of(&existing, &wanted)?;
            app.metrics.job(match origin {
                Origin::Coalesced => "coalesced",
                _ => "replayed",
            });
            Ok(Receipt {
                job: view(&existing),
                origin,
            })
        }
    }
}

fn job(app: &App, context: &Context, request: JobRequest, key: Option<String>) -> Result<Job, Error> {
    let now_us = app.clock.now_unix_us();
    let id = app.ids.next(Purpose::Answer, &context.request_id, now_us);
    let tenant = context.caller.tenant.clone();
    let payload = serde_json::to_string(&request.chat()).map_err(|_| Error::Storage)?;
    // A client that names its work gets a job of its own for each name.
    let is_nameless = key.is_none() && app.settings.jobs.coalesce;
    let digest = || receipt::fingerprint(&tenant, &payload, request.webhook.as_deref());
    Ok(Job {
        id: format!("job-{id:032x}"),
        idempotency_key: key,
        fingerprint: is_nameless.then(digest),
        tenant,
        caller: context.caller.name.clone(),
        payload,
        webhook: request.webhook,
        request_id: context.request_id.clone(),
        traceparent: Some(context.trace.parent().to_string()),
        enqueued_us: now_us,
        attempts: 0,
        released: 0,
        state: State::Queued { due_us: now_us },
        delivery: Delivery::None,
    })
}

/// A job as it stands.
pub(super) async fn status(app: &App, caller: &Caller, id: &str) -> Result<JobView, Error> {
    let job = owned(app, caller, id).await?;
    Ok(JobView::of(&job, &app.settings.lease_policy()))
}

/// Calls a job off. Where it runs in this process it stops at once, elsewhere when its worker looks.
pub(super) async fn cancel(app: &App, caller: &Caller, id: &str) -> Result<(), Error> {
    owned(app, caller, id).await?;
    match app.jobs.update(id, Event::Cancel, app.clock.now_unix_us()).await {
        Ok(_) => {
            app.at_work.call_off(id);
            Ok(())
        }
        Err(QueueError::Unknown) => Err(Error::NotFound("job")),
        Err(QueueError::Refused(Refused::Finished)) => Err(Error::JobFinished),
        Err(error) => Err(error.into()),
    }
}

/// A job of the caller's. That somebody else has one under that name is not said.
async fn owned(app: &App, caller: &Caller, id: &str) -> Result<Job, Error> {
    designs::takes_jobs(app)?;
    let job = match app.jobs.get(id).await {
        Err(QueueError::Unreadable { tenant, .. }) if tenant != caller.tenant => None,
        job => job?,
    };
    job.filter(|job| job.tenant == caller.tenant)
        .ok_or(Error::NotFound("job"))
}
