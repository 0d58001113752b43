//! The accept loop: connections until the shutdown, then a bounded wait for those still open.
//!
//! Does not route, log or retry. Unlike `axum::serve` it writes no Date header, polls in a fixed order, and lets the
//! service reset its connection: see [`crate::serve_connection`].

use std::error::Error;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::connection::serve_connection;
use crate::listener::Listener;

/// Connections served at once; further ones wait in the listener's backlog.
const MAX_OPEN: usize = 16_384;

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves connections until `shutdown`, then closes the listener and lets open requests finish within `grace`.
///
/// A tower service (an axum `Router`) fits through `hyper_util::service::TowerToHyperService`. What an error of the
/// service or of its body does is said at [`serve_connection`]. Dropping this future drops every connection.
pub async fn serve<S, B>(mut listener: Listener, service: S, shutdown: CancellationToken, grace: Duration)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut open = JoinSet::new();
    accept_into(&mut listener, service, shutdown, &mut open).await;
    drop(listener);
    let finished = async { while open.join_next().await.is_some() {} };
    // Past the grace the set is dropped, and what is open with it.
    let _ = tokio::time::timeout(grace, finished).await;
}

/// Accepts connections until `closing` and serves them in `open`, where they finish what they are answering after that.
///
/// The listener stays the caller's, who may accept with it again.
pub async fn accept_into<S, B>(listener: &mut Listener, service: S, closing: CancellationToken, open: &mut JoinSet<()>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => return,
            Some(_) = open.join_next() => {}
            stream = listener.next(), if open.len() < MAX_OPEN => {
                open.spawn(serve_connection(stream, service.clone(), closing.clone()));
            }
        }
    }
}
