//! The streaming engine: a hyper service over any network that waits for each token and sees its caller leave.
//!
//! Decides nothing: the desk does. When the caller hangs up, hyper drops the future or the body, and the drop is told to
//! the desk.

mod body;

use std::sync::Arc;
use std::time::Duration;

use brownout_net::{Listener, serve};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;

use crate::desk::{Admitted, Call, Content, Desk, MAX_BODY, Reply};
use body::{AnswerBody, TokenStream};

/// Serves until `shutdown`, which ends open answers there and then: the run is over.
pub(crate) async fn run(desk: Arc<Desk>, listener: Listener, shutdown: CancellationToken) {
    let service = service_fn(move |request| answer(Arc::clone(&desk), request));
    serve(listener, service, shutdown, Duration::ZERO).await;
}

/// One exchange.
async fn answer(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Response<AnswerBody>, BodyLost> {
    let (head, body) = request.into_parts();
    let bytes = match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Some(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => None,
        Err(_) => return Err(BodyLost),
    };
    let reply = desk.receive(&Call {
        method: &head.method,
        path: head.uri.path(),
        headers: &head.headers,
        body: bytes.as_deref(),
    });
    let Reply {
        status,
        headers,
        body,
        admitted,
    } = reply;
    let body = match admitted {
        None => AnswerBody::whole(body),
        Some(admitted) => pace(Open::new(desk, admitted), body).await,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Waits until the status line is due and makes the body.
async fn pace(open: Open, body: Content) -> AnswerBody {
    let due = open.admitted.headers_due(&body);
    open.desk.clock().sleep_until(due.0).await;
    match body {
        Content::Whole(bytes) => {
            open.complete();
            AnswerBody::Whole(Full::new(bytes))
        }
        Content::Stream(frames) => AnswerBody::Stream(Box::new(TokenStream::new(open, frames))),
    }
}

/// The caller left while its request was being read: there is nobody to answer.
#[derive(Debug, thiserror::Error)]
#[error("the caller left before its request was complete")]
struct BodyLost;

/// An attempt that is being answered. Dropped before it is complete, it tells the desk that the caller hung up.
#[derive(Debug)]
struct Open {
    desk: Arc<Desk>,
    admitted: Admitted,
}

impl Open {
    fn new(desk: Arc<Desk>, admitted: Admitted) -> Self {
        Self { desk, admitted }
    }

    /// `tokens` tokens have been handed to the network.
    fn flushed(&self, tokens: u64) {
        self.desk.ledger().flushed(self.admitted.row, tokens);
    }

    /// All of it has been handed to the network. A drop after this changes nothing.
    fn complete(&self) {
        self.desk.ledger().complete(self.admitted.row);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The ledger no longer knows a complete attempt as open.
        self.desk.hang_up(&self.admitted);
    }
}
