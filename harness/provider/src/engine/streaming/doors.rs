//! Opens and closes the provider's doors: accepts connections, but for the times when a fault refuses them.
//!
//! When the doors close, what is being answered is finished and its connection closed; new callers are refused by the
//! system, as they are where nobody listens.

use std::error::Error;

use brownout_net::{Listener, accept_into};
use brownout_scenario::units::Micros;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::timetable::Timetable;

/// Serves until `shutdown`, which ends every connection there and then.
pub(super) async fn serve<S, B>(desk: &Desk, mut listener: Listener, service: S, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut open = JoinSet::new();
    loop {
        let closing = shutdown.child_token();
        let until_closed = async {
            wait_until(desk, true).await;
            closing.cancel();
        };
        let accepting = accept_into(&mut listener, service.clone(), closing.clone(), &mut open);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            ((), ()) = async { tokio::join!(biased; until_closed, accepting) } => {}
        }
        let Ok(closed) = listener.close() else { return };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = wait_until(desk, false) => {}
        }
        // The address stayed ours. If the system takes it away all the same, nobody can be served any more.
        let Ok(reopened) = closed.reopen() else { return };
        listener = reopened;
    }
}

fn is_closed(doors: &mut [Timetable], now: Micros) -> bool {
    doors.iter_mut().any(|door| door.is_on(now))
}

/// Waits until the doors are as `closed` says, whatever is played by then; for good where they never will be.
async fn wait_until(desk: &Desk, closed: bool) {
    loop {
        let mut doors = desk.closed_doors();
        let now = desk.now();
        if is_closed(&mut doors, now) == closed {
            return;
        }
        let next = doors.iter_mut().filter_map(|door| door.next_change(now)).min();
        let clock = desk.clock();
        tokio::select! {
            biased;
            () = desk.replaced() => {}
            () = clock.sleep_until(next.map_or(u64::MAX, |next| next.0)), if next.is_some() => {}
        }
    }
}
