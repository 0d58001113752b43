//! The body that a recorder's caller gets: the upstream's, copied to the tape as it passes.
//!
//! Does not hold anything back. Dropping it, as hyper does when the caller leaves, ends the request upstream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};

use super::take::Take;

/// The upstream broke off: the caller must not take what it has for all.
#[derive(Debug, thiserror::Error)]
#[error("the upstream broke its answer off")]
pub(super) struct BrokeOff;

/// A body on its way to the caller.
#[derive(Debug)]
pub(super) struct Tap {
    body: reqwest::Body,
    take: Take,
    is_broken: bool,
}

impl Tap {
    /// Copies `body` to `take`; `is_empty` says that by its status or method the answer has none.
    pub(super) fn new(body: reqwest::Body, mut take: Take, is_empty: bool) -> Self {
        if is_empty || body.is_end_stream() {
            take.complete();
        }
        Self {
            body,
            take,
            is_broken: false,
        }
    }
}

impl Body for Tap {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        loop {
            if self.is_broken {
                return Poll::Ready(Some(Err(BrokeOff)));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    match frame.data_ref() {
                        Some(data) if data.is_empty() => continue,
                        Some(data) => self.take.piece(data),
                        None => {}
                    }
                    // Of a body whose length was announced hyper asks for no more than that, not even for the end.
                    if self.body.is_end_stream() {
                        self.take.complete();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                None => {
                    self.take.complete();
                    return Poll::Ready(None);
                }
                Some(Err(_)) => {
                    self.take.break_off("the upstream broke off");
                    self.is_broken = true;
                    // An error drops what hyper has not written yet. It writes when it is told to wait.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.take.is_over() && !self.is_broken
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use brownout_net::RunClock;
    use futures::{poll, stream};
    use http::{HeaderMap, Method, StatusCode, Uri};
    use http_body_util::BodyExt;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tape::Running;
    use crate::tape::asked::Asked;
    use crate::tape::file::Writer;
    use crate::tape::secrets::Secrets;
    use crate::tape::take::{Pending, Question};

    #[tokio::test]
    async fn hyper_is_given_time_to_write_the_last_words_before_the_connection_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let (_running, work) = Running::new(String::new(), CancellationToken::new());
        let secrets = Secrets::default();
        let question = Question {
            writer: Arc::new(Writer::create(&folder.path().join("day.tape"), "", work).unwrap()),
            clock: RunClock::start(),
            arrived_us: 0,
            asked: Asked::new(&Method::GET, &Uri::from_static("/"), b"", &secrets),
            body: Bytes::new(),
            secrets,
        };
        let take = Pending::new(question).begin(StatusCode::OK, &HeaderMap::new()).unwrap();
        let frames = [Ok("last words"), Err(io::Error::from(io::ErrorKind::ConnectionReset))];
        let mut tap = Tap::new(reqwest::Body::wrap_stream(stream::iter(frames)), take, false);
        assert_eq!(tap.frame().await.unwrap().unwrap().into_data().unwrap(), "last words");
        assert!(poll!(tap.frame()).is_pending());
        assert!(tap.frame().await.unwrap().is_err());
    }
}
