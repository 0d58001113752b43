//! `GET /jobs/{id}/events`: a job as it changes, until its end.
//!
//! `status` says how it stands, now and after each change; `done` or `error` is the last event. All carry the job as
//! `GET /jobs/{id}` shows it. A stream that ends without either of them was cut off: ask again. Not traced: a follower
//! waits, it does no work.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::logic;
use super::models::JobView;
use super::watch::Sight;
use crate::app::App;
use crate::error::Error;
use crate::features::exchange::Segment;
use crate::features::openapi::{Problems, StreamEvent};
use crate::settings::Design;

/// A job as it changes: server-sent events `status`, at last `done` or `error`, each with the job. A stream that ends without
/// either of the last two was cut off: ask again.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, description = "The job as it changes", body = StreamEvent, content_type = "text/event-stream"), Problems)
)]
pub(super) async fn events(State(app): State<Arc<App>>, Segment(id): Segment, headers: HeaderMap) -> Response {
    match follow(&app, &headers, &id).await {
        Ok(follower) => respond(&app, follower),
        Err(error) => error.into_response(),
    }
}

async fn follow(app: &Arc<App>, headers: &HeaderMap, id: &str) -> Result<Follower, Error> {
    let view = logic::status(app, &app.access.caller(headers), id).await?;
    let seen = if view.is_finished() {
        // Nothing can change any more: no task, and the channel is closed from the start.
        watch::channel(Some(view)).1
    } else {
        app.watched.follow(app, view)?
    };
    let leave = match app.settings.design {
        // No other process knows the job: who follows it stays to the end of this one.
        Design::Background => CancellationToken::new(),
        _ => app.shutdown.clone(),
    };
    Ok(Follower {
        seen,
        leave,
        step: Step::First,
    })
}

fn respond(app: &App, follower: Follower) -> Response {
    let events = Sse::new(follower.events());
    let mut response = match app.settings.heartbeat {
        Some(heartbeat) => events.keep_alive(KeepAlive::new().interval(heartbeat)).into_response(),
        None => events.into_response(),
    };
    // Proxies that collect a response before they pass it on would make the events come all at once.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(unbuffered, HeaderValue::from_static("no"));
    response
}

/// Somebody who follows a job.
struct Follower {
    seen: watch::Receiver<Sight>,
    /// Cancelled when followers should go to another replica.
    leave: CancellationToken,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    First,
    Further,
    Over,
}

impl Follower {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        futures::stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((Ok(event), follower))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        match self.step {
            Step::First => self.step = Step::Further,
            Step::Further => self.change().await?,
            Step::Over => return None,
        }
        // A job that is gone was finished for so long that it was forgotten. There is nothing to say about it.
        let view = self.seen.borrow_and_update().clone()?;
        let name = name(&view);
        if name != "status" {
            self.step = Step::Over;
        }
        let data = serde_json::to_string(&view).unwrap_or_default();
        Some(Event::default().event(name).data(data))
    }

    /// Waits for a change; `None` when there is none to wait for.
    async fn change(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            changed = self.seen.changed() => changed.ok(),
            () = self.leave.cancelled() => None,
        }
    }
}

fn name(view: &JobView) -> &'static str {
    match view.status {
        "succeeded" => "done",
        _ if view.is_finished() => "error",
        _ => "status",
    }
}
