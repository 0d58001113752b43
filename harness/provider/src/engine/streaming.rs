//! The streaming engine: a hyper service over any network that waits for each token and sees its caller leave.
//!
//! Decides nothing: the desk does. When the caller hangs up, hyper drops the future or the body, and the drop is told to
//! the desk.

mod body;
mod doors;
mod intake;
mod outbox;

use std::sync::Arc;

use brownout_net::{AbortHandle, Listener};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;

use crate::desk::{Admitted, Begin, Desk, Reply};
use crate::dialect::Call;
use body::AnswerBody;
use intake::Intake;

/// Serves until `shutdown`, which ends open answers there and then: the run is over.
pub(crate) async fn run(desk: Arc<Desk>, listener: Listener, shutdown: CancellationToken) {
    let intake = Arc::new(Intake::new(desk.max_body()));
    let service = {
        let desk = Arc::clone(&desk);
        service_fn(move |request| answer(Arc::clone(&desk), Arc::clone(&intake), request))
    };
    doors::serve(&desk, listener, service, shutdown).await;
}

/// One exchange.
async fn answer(
    desk: Arc<Desk>,
    intake: Arc<Intake>,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Broken> {
    let (head, body) = request.into_parts();
    let abort = head.extensions.get::<AbortHandle>().cloned().unwrap_or_default();
    let bytes = intake.read(body).await?;
    let reply = desk.receive(&Call {
        method: &head.method,
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &head.headers,
        body: bytes.as_deref(),
    });
    let Reply {
        begin,
        status,
        headers,
        body,
        due,
        admitted,
    } = reply;
    let (clock, desk_now) = (desk.clock(), desk.now());
    let open = admitted.map(|admitted| Open { desk, admitted });
    match begin {
        Begin::Head => {}
        // Until the caller leaves: then this future is dropped, and `open` with it.
        Begin::Silence => {
            let _open = open;
            return std::future::pending().await;
        }
        Begin::Reset => {
            abort.reset_on_drop();
            return Err(Broken::Cut);
        }
    }
    if let Some(due) = due.filter(|due| desk_now < *due) {
        clock.sleep_until(due.0).await;
    }
    let body = match open {
        None => AnswerBody::whole(body),
        Some(open) => {
            let due = open.admitted.headers_due();
            // A timer that is due already waits for its tick all the same: a millisecond that a latency of 0 must not cost.
            if open.desk.now() < due {
                open.desk.clock().sleep_until(due.0).await;
            }
            AnswerBody::of(open, body, abort)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Why an exchange ends without a proper end.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// There is nobody to answer.
    #[error("the caller left before its request was complete, or took too long over it")]
    NoRequest,
    /// The plan asks for it.
    #[error("a fault cuts the answer off")]
    Cut,
}

/// An attempt that is being answered. Dropped before it is complete, it tells the desk that the caller hung up.
#[derive(Debug)]
struct Open {
    desk: Arc<Desk>,
    admitted: Admitted,
}

impl Open {
    /// `tokens` tokens have been handed to the network.
    fn flushed(&self, tokens: u64) {
        self.desk.ledger().flushed(self.admitted.row, tokens);
    }

    /// All that there is has been handed to the network. A drop after this changes nothing.
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
