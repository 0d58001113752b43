//! The accept loop: HTTP/1.1 connections until the shutdown, then a bounded wait for those still open.
//!
//! Does not route, log or retry. Unlike `axum::serve` it writes no Date header, polls in a fixed order, and lets the
//! service reset its connection: every request carries its [`AbortHandle`](crate::AbortHandle) as an extension.

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::listener::Listener;
use crate::stream::Stream;

/// How long a client may take over the head of a request, idle time on a kept-alive connection included.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections served at once; further ones wait in the listener's backlog.
const MAX_OPEN: usize = 16_384;

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves connections until `shutdown`, then closes the listener and lets open requests finish within `grace`.
///
/// A tower service (an axum `Router`) fits through `hyper_util::service::TowerToHyperService`. A service or body that
/// returns an error ends its connection there and then. Dropping this future drops every connection.
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
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(_) = open.join_next() => {}
            stream = listener.next(), if open.len() < MAX_OPEN => {
                open.spawn(serve_connection(stream, service.clone(), shutdown.clone()));
            }
        }
    }
    drop(listener);
    let finished = async { while open.join_next().await.is_some() {} };
    // Past the grace the set is dropped, and what is open with it.
    let _ = tokio::time::timeout(grace, finished).await;
}

/// Serves one connection until the peer leaves, or until `shutdown` and the end of the request under way.
pub async fn serve_connection<S, B>(stream: Stream, service: S, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    let abort = stream.abort_handle();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(abort.clone());
        service.call(request)
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A connection that ends in an error has lost its peer, who knows more about it than we do.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
