//! Telling somebody outside what came of a job, once this process has that in hand.
//!
//! The job's record says whether, to whom and how often; the queue lends the telling like the job itself. Does not know
//! how a webhook is signed or sent: that is [`crate::webhooks`]'s.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::tell::tell;
use crate::app::App;
use crate::draws::{Purpose, unit};
use crate::features::jobs::JobView;
use crate::queue::{Delivery, Event, Job, Lease};
use crate::resilience::retry::full_jitter;
use crate::telemetry::TraceParent;
use crate::telemetry::conventions::{attribute, span};
use crate::webhooks::{DeliveryFailure, Message};

/// Tells the outcome of a job whose telling was just claimed. One try; the queue hears what came of it.
pub(super) async fn deliver(app: &Arc<App>, job: &Job) {
    let (Delivery::Lent { lease, .. }, Some(url)) = (&job.delivery, &job.webhook) else {
        return;
    };
    let parent = job.traceparent.as_deref().and_then(TraceParent::parse);
    let (trace, mut root) = app.tracer.resume(parent, &job.request_id, span::WEBHOOK);
    trace.tenant(&job.tenant);
    let message = Message {
        id: &job.id,
        url,
        body: body(app, job),
        traceparent: root.traceparent(),
    };
    let (outcome, event) = tokio::select! {
        biased;
        sent = app.webhooks.send(message) => (
            sent.map_or_else(DeliveryFailure::outcome, |()| "delivered"),
            after(app, job, lease.clone(), sent),
        ),
        () = app.give_back.cancelled() => ("released", Event::Release { lease: lease.clone() }),
    };
    root.set(attribute::WEBHOOK_OUTCOME, outcome);
    drop(root);
    app.metrics.webhook(outcome);
    let told = tell(app, &job.id, event).await;
    if told.is_some_and(|job| matches!(job.delivery, Delivery::GivenUp { .. })) {
        app.metrics.webhook("given_up");
        tracing::warn!(
            job = job.id,
            outcome,
            "a webhook was given up: its receiver has to ask for the job"
        );
    }
}

/// Tells the outcome of `id` if it is time to and nobody else is at it.
pub(super) async fn claim_and_deliver(app: &Arc<App>, id: &str) {
    let worker = app.name.clone();
    // A refusal is no problem: somebody else was faster, or its time has not come.
    if let Ok(job) = app
        .jobs
        .update(id, Event::Claim { worker }, app.clock.now_unix_us())
        .await
    {
        deliver(app, &job).await;
    }
}

/// Tells the outcome of `id` as often as it takes, where no other worker would. Ends with the instance: what is not told
/// by then is never told.
pub(super) async fn deliver_to_the_end(app: &Arc<App>, id: &str) {
    loop {
        let Ok(Some(job)) = app.jobs.get(id).await else { return };
        let Some(due_us) = job.delivery.claimable_us() else {
            return;
        };
        let wait = Duration::from_micros(due_us.saturating_sub(app.clock.now_unix_us()));
        tokio::select! {
            biased;
            () = app.clock.sleep(wait) => claim_and_deliver(app, id).await,
            () = app.shutdown.cancelled() => {
                app.metrics.webhook("lost");
                tracing::warn!(job = id, "a webhook was lost with its process");
                return;
            }
        }
    }
}

/// The same bytes in every try: all that is in them is final.
fn body(app: &App, job: &Job) -> String {
    let view = JobView::outcome(job, &app.settings.lease_policy());
    json!({ "type": format!("job.{}", view.status), "data": view }).to_string()
}

fn after(app: &App, job: &Job, lease: Lease, sent: Result<(), DeliveryFailure>) -> Event {
    match sent {
        Ok(()) => Event::Delivered { lease },
        Err(failure) => {
            tracing::debug!(job = job.id, %failure, "a webhook was not taken");
            Event::Undelivered {
                retry_after: failure.may_pass().then(|| pause(app, job, lease.attempt, failure)),
                lease,
            }
        }
    }
}

fn pause(app: &App, job: &Job, attempt: u32, failure: DeliveryFailure) -> Duration {
    let settings = &app.settings.webhooks;
    let draw = unit(app.seed, Purpose::WebhookBackoff, &job.id, u64::from(attempt));
    let backoff = full_jitter(settings.retry_base, settings.retry_cap, attempt.saturating_sub(1), draw);
    backoff.max(failure.retry_after().unwrap_or_default().min(settings.retry_cap))
}
