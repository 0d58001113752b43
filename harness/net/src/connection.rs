//! One connection, from its first byte to its last: HTTP/1.1, or HTTP/2 where a TCP peer opens with its preface.
//!
//! Does not accept connections, route, or answer in the service's place.

mod streams;

use std::error::Error;
use std::pin::pin;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::opening::{Spoken, spoken};
use crate::stream::{AbortHandle, Stream};
use streams::Streams;

/// How long a client may take over its first byte, and over the head of a request, idle time on a kept-alive connection
/// included. On HTTP/2, whose connections may be idle: how long it may be silent before it is asked whether it is there,
/// and how long it may take over the answer.
pub(crate) const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests that an HTTP/2 client may have open on one connection.
const MAX_STREAMS: u32 = 1_000;

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves one connection until the peer leaves, or until `shutdown` and the end of the requests under way.
///
/// `Request::version` tells the service what the peer speaks. An error of the service or of its body
/// - on HTTP/1.1 ends the connection there and then: FIN, or RST after [`AbortHandle::reset_on_drop`] on the handle that
///   every request carries as an extension;
/// - on HTTP/2 resets the request's stream (`RST_STREAM`, `INTERNAL_ERROR`), whatever its handle was told, and leaves the
///   connection and its other streams alone. Closing and resetting are the same thing there: a stream has no third end
///   beside the complete one and the reset.
///
/// On either, bytes which the body gave out just before its error may not have left: it must wait a moment in between.
pub async fn serve_connection<S, B>(mut stream: Stream, service: S, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    match opened(&mut stream, &shutdown).await {
        Some(Spoken::Http1) => serve_http1(stream, service, shutdown).await,
        // Rare and large: in a box it costs the others nothing.
        Some(Spoken::Http2) => Box::pin(serve_http2(stream, service, shutdown)).await,
        None => {}
    }
}

/// What the peer speaks; `None` if it says nothing in time, or before the shutdown.
async fn opened(stream: &mut Stream, shutdown: &CancellationToken) -> Option<Spoken> {
    if !stream.is_tcp() {
        return Some(Spoken::Http1);
    }
    tokio::select! {
        biased;
        opened = timeout(HEADER_READ_TIMEOUT, spoken(stream)) => opened.ok()?.ok(),
        () = shutdown.cancelled() => None,
    }
}

async fn serve_http1<S, B>(stream: Stream, service: S, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    let service = with_handle(service, stream.abort_handle());
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

async fn serve_http2<S, B>(stream: Stream, service: S, shutdown: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>> + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    // A handle of nothing: the connection belongs to all of its streams.
    let service = with_handle(service, AbortHandle::default());
    let streams = Streams::default();
    let mut connection = pin!(
        http2::Builder::new(streams.spawner())
            .timer(TokioTimer::new())
            .keep_alive_interval(HEADER_READ_TIMEOUT)
            .keep_alive_timeout(HEADER_READ_TIMEOUT)
            .max_concurrent_streams(MAX_STREAMS)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// `service`, with `handle` as an extension of every request.
fn with_handle<S, B>(
    service: S,
    handle: AbortHandle,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = S::Error, Future = S::Future>
where
    S: Service<Request<Incoming>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
{
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(handle.clone());
        service.call(request)
    })
}
