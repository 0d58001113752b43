//! The exchange with a backend, and the body that carries its frames to the client.
//!
//! A body ends cleanly only when the exchange said so; any other end (timeout, backend broken, task gone) is an error,
//! which cuts the client's connection. Does not choose backends or statuses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::pending;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request, response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::backends::Lease;
use super::headers::strip_hop;
use crate::stream::{AbortHandle, Stream};

/// What goes from the exchange to the body.
#[derive(Debug)]
enum Part {
    Frame(Frame<Bytes>),
    End,
}

/// The exchange's side of a body.
#[derive(Debug)]
pub(super) struct Frames(mpsc::Sender<Part>);

/// The body's side, until there is a response to give it to.
#[derive(Debug)]
pub(super) struct Parts(mpsc::Receiver<Part>);

impl Parts {
    /// The body of the response. Dropping it ends `exchange`.
    pub(super) fn into_body(self, exchange: AbortOnDropHandle<()>) -> RelayBody {
        RelayBody {
            source: Source::Backend(self.0),
            _exchange: Some(exchange),
        }
    }
}

/// Both sides of a body, with room for one frame between them.
pub(super) fn channel() -> (Frames, Parts) {
    let (sender, receiver) = mpsc::channel(1);
    (Frames(sender), Parts(receiver))
}

/// One request's dealings with one backend.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) stream: Stream,
    /// The client's connection.
    pub(super) client: AbortHandle,
    /// When a response that is no event stream must be complete.
    pub(super) deadline: Instant,
    /// When every response must be.
    pub(super) total: Option<Instant>,
    pub(super) idle_timeout: Duration,
    /// Held for its drop: the request is open at its backend until then.
    pub(super) _open: Lease,
}

impl Exchange {
    /// Sends the request, hands over the head of the response, then its body. Returning drops the connection.
    pub(super) async fn run(self, request: Request<Incoming>, head: oneshot::Sender<response::Parts>, frames: Frames) {
        let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(self.stream)).await else {
            return;
        };
        let converse = async {
            let Ok(response) = sender.send_request(request).await else {
                return;
            };
            let (mut parts, body) = response.into_parts();
            let streams = is_event_stream(&parts.headers);
            strip_hop(&mut parts.headers);
            if head.send(parts).is_err() {
                return;
            }
            let pass = pass_on(body, frames, self.idle_timeout);
            let pass = until((!streams).then_some(self.deadline), pass);
            if until(self.total, pass).await.is_none() {
                // A client that does not read would not hear of it for as long as there is something to write to it.
                self.client.reset_now();
            }
        };
        // The connection may end before its body has been read, so its end is not the exchange's.
        let drive = async {
            let _ = connection.await;
            pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = drive => {}
            () = converse => {}
        }
    }
}

/// `None` when `work` is not done by `deadline`.
async fn until<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

/// Passes frames on until the body ends, breaks, falls silent for too long, or nobody takes them any more.
async fn pass_on(mut body: Incoming, frames: Frames, idle_timeout: Duration) {
    loop {
        let part = match timeout(idle_timeout, body.frame()).await {
            Ok(Some(Ok(frame))) if frame.data_ref().is_some_and(Bytes::is_empty) => continue,
            Ok(Some(Ok(frame))) => Part::Frame(frame),
            Ok(None) => Part::End,
            Ok(Some(Err(_))) | Err(_) => return,
        };
        let last = matches!(part, Part::End);
        if frames.0.send(part).await.is_err() || last {
            return;
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The response broke off: the client must not take it for complete.
#[derive(Debug, thiserror::Error)]
#[error("the gateway cut the response: the backend broke off, fell silent or took too long")]
pub(super) struct Cut;

/// The body of a response, the backend's or the gateway's own.
#[derive(Debug)]
pub(super) struct RelayBody {
    source: Source,
    /// Held for its drop, which ends the exchange.
    _exchange: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
enum Source {
    Backend(mpsc::Receiver<Part>),
    Own(Bytes),
    Ended,
}

impl RelayBody {
    pub(super) fn full(text: String) -> Self {
        Self {
            source: Source::Own(text.into()),
            _exchange: None,
        }
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let next = match &mut self.source {
            Source::Backend(parts) => match ready!(parts.poll_recv(cx)) {
                Some(Part::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                Some(Part::End) => None,
                None => Some(Err(Cut)),
            },
            Source::Own(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Source::Ended => None,
        };
        self.source = Source::Ended;
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Ended => SizeHint::with_exact(0),
            Source::Backend(_) => SizeHint::default(),
        }
    }
}
