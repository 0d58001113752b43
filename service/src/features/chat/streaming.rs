//! A streamed answer on its way to its client: begun with its first event, kept alive through silences, ended in words.
//!
//! Does not say what events look like on the wire: each route has a [`Wording`].

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt, stream};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::answering::{self, Ask, Event as AnswerEvent};
use crate::app::App;
use crate::designs;
use crate::error::Error;
use crate::features::exchange::{Context, Exchange};
use crate::resilience::deadline::Deadline;
use crate::resilience::disconnect::Events;

/// How the events of a stream are written: any number of frames for each.
pub(crate) trait Wording: Send + 'static {
    /// The frames of `event`.
    fn frames(&mut self, event: AnswerEvent) -> Vec<Event>;
}

/// A stream that has begun.
pub(crate) struct EventStream {
    /// `None` when it was silent for too long to wait for its first event.
    opening: Option<AnswerEvent>,
    events: Events<AnswerEvent>,
    deadline: Deadline,
}

/// Begins the answer and waits for its first event, so that what fails before it gets a status of its own. With a
/// heartbeat not for ever: after a silence the stream begins anyway, because something between here and the client would
/// take it for dead.
pub(crate) async fn open(app: &Arc<App>, context: Context, ask: Ask, id: String) -> Result<EventStream, Error> {
    let (trace, deadline, host) = (context.trace.clone(), context.deadline, Arc::clone(app));
    let mut events = designs::stream(app, &trace, deadline, |sink| async move {
        answering::stream(&host, &context, ask, id, sink).await;
    })?;
    let first = events.next();
    let first = match app.settings.heartbeat {
        Some(heartbeat) => app.clock.timeout(heartbeat, first).await,
        None => Ok(first.await),
    };
    let opening = match first {
        Ok(Some(AnswerEvent::Error(error))) => return Err(error),
        Ok(Some(event)) => Some(event),
        Ok(None) => return Err(Error::cut_off(&deadline)),
        Err(_silence) => None,
    };
    Ok(EventStream {
        opening,
        events,
        deadline,
    })
}

/// The response that carries a stream.
pub(crate) fn respond(
    heartbeat: Option<Duration>,
    exchange: Exchange,
    stream: EventStream,
    wording: impl Wording,
) -> Response {
    let mut signed = Response::default();
    exchange.sign(&mut signed);
    let open = Open {
        exchange,
        stream,
        wording,
        over: false,
    };
    let frames = Sse::new(open.encoded());
    let mut response = match heartbeat {
        Some(heartbeat) => frames.keep_alive(KeepAlive::new().interval(heartbeat)).into_response(),
        None => frames.into_response(),
    };
    let headers = response.headers_mut();
    headers.extend(std::mem::take(signed.headers_mut()));
    // Proxies that collect a response before they pass it on would undo the streaming.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}

/// A stream to a client. Dropped when the client leaves, and with it all that is tied to it.
struct Open<W> {
    exchange: Exchange,
    stream: EventStream,
    wording: W,
    over: bool,
}

impl<W: Wording> Open<W> {
    fn encoded(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        // An early comment commits the response when there is no event to begin with.
        let comment = self
            .stream
            .opening
            .is_none()
            .then(|| Event::default().comment("waiting"));
        let frames = stream::unfold(self, |mut open| async move {
            let event = open.next().await?;
            let frames = open.wording.frames(event);
            Some((stream::iter(frames), open))
        });
        stream::iter(comment).chain(frames.flatten()).map(Ok)
    }

    async fn next(&mut self) -> Option<AnswerEvent> {
        if self.over {
            return None;
        }
        let event = if let Some(event) = self.stream.opening.take() {
            event
        } else {
            // A producer that is cut off says nothing. The client is told, so that it can't take the rest for the whole.
            let next = self.stream.events.next().await;
            next.unwrap_or_else(|| AnswerEvent::Error(Error::cut_off(&self.stream.deadline)))
        };
        match &event {
            AnswerEvent::Begin { .. } | AnswerEvent::Delta(_) | AnswerEvent::Usage(_) => return Some(event),
            AnswerEvent::Done(_) => self.exchange.finish(StatusCode::OK),
            AnswerEvent::Error(error) => {
                self.exchange.failed(error);
                self.exchange.finish(error.status());
            }
        }
        self.over = true;
        Some(event)
    }
}
