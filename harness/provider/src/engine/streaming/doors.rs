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
        let mut doors = desk.closed_doors();
        let closing = shutdown.child_token();
        let until_closed = async {
            tokio::select! {
                biased;
                () = desk.replaced() => {}
                () = wait_while(desk, &mut doors, false) => {}
            }
            closing.cancel();
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            ((), ()) = async { tokio::join!(biased; until_closed, accept_into(&mut listener, service.clone(), closing.clone(), &mut open)) } => {}
        }
        let mut doors = desk.closed_doors();
        if !is_closed(&mut doors, desk.now()) {
            continue;
        }
        let Ok(closed) = listener.close() else { return };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = desk.replaced() => {}
            () = wait_while(desk, &mut doors, true) => {}
        }
        // The address stayed ours. If the system takes it away all the same, nobody can be served any more.
        let Ok(reopened) = closed.reopen() else { return };
        listener = reopened;
    }
}

fn is_closed(doors: &mut [Timetable], now: Micros) -> bool {
    doors.iter_mut().any(|door| door.is_on(now))
}

/// Waits while the doors are as `closed` says; for good where they stay so.
async fn wait_while(desk: &Desk, doors: &mut [Timetable], closed: bool) {
    loop {
        let now = desk.now();
        if is_closed(doors, now) != closed {
            return;
        }
        match doors.iter_mut().filter_map(|door| door.next_change(now)).min() {
            Some(next) => desk.clock().sleep_until(next.0).await,
            None => std::future::pending().await,
        }
    }
}
