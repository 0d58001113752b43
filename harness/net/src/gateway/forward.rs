//! One request: to which backend it goes, and what its client gets when no response comes.
//!
//! Does not touch bodies: the request's is hyper's to stream, the response's is [`super::relay`]'s.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use super::GatewayConfig;
use super::backends::{Backends, Lease};
use super::headers::strip_hop;
use super::relay::{self, RelayBody};
use crate::network::Network;
use crate::stream::{AbortHandle, Stream};

/// What all requests of one gateway share.
#[derive(Debug)]
pub(super) struct Forwarder {
    network: Network,
    backends: Backends,
    config: GatewayConfig,
}

/// Why a request gets no response from a backend.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    NoBackend,
    BadGateway,
    TooLate,
}

impl Forwarder {
    pub(super) fn new(network: Network, backends: Backends, config: GatewayConfig) -> Self {
        Self {
            network,
            backends,
            config,
        }
    }

    /// Gets a response from the next backend, or answers in its place.
    pub(super) async fn forward(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<RelayBody>, Infallible> {
        Ok(self.exchange(request).await.unwrap_or_else(problem))
    }

    async fn exchange(&self, request: Request<Incoming>) -> Result<Response<RelayBody>, Refusal> {
        let arrived = Instant::now();
        let total = self.config.total_timeout.map(|longest| arrived + longest);
        let deadline = arrived + self.config.request_timeout;
        let deadline = total.map_or(deadline, |total| total.min(deadline));
        let (lease, stream) = self.reach(deadline).await?;
        let (head, response) = oneshot::channel();
        let (frames, received) = relay::channel();
        let exchange = relay::Exchange {
            stream,
            client: request.extensions().get::<AbortHandle>().cloned().unwrap_or_default(),
            deadline: arrived + self.config.request_timeout,
            total,
            idle_timeout: self.config.idle_timeout,
            _open: lease,
        };
        // The exchange lives in a task so that its timeouts hold even while the client reads nothing. The handle is
        // what ties it to the client: it moves from this future to the body, and its drop ends the exchange.
        let task = tokio::spawn(exchange.run(outgoing(request), head, frames));
        let task = AbortOnDropHandle::new(task);
        match timeout_at(deadline, response).await {
            Ok(Ok(parts)) => Ok(Response::from_parts(parts, received.into_body(task))),
            Ok(Err(_)) => Err(Refusal::BadGateway),
            Err(_) => Err(Refusal::TooLate),
        }
    }

    /// A connection to the next backend, or to the one after it where that one refuses.
    async fn reach(&self, deadline: Instant) -> Result<(Lease, Stream), Refusal> {
        let first = match self.backends.choose() {
            None if self.config.wait_for_backend => self.backends.wait(deadline).await,
            chosen => chosen,
        };
        let mut lease = first.ok_or(Refusal::NoBackend)?;
        let mut connected = self.connect(&lease, deadline).await?;
        if let Err(error) = &connected
            && error.kind() == io::ErrorKind::ConnectionRefused
            && let Some(another) = self.backends.choose_another(&lease)
        {
            lease = another;
            connected = self.connect(&lease, deadline).await?;
        }
        match connected {
            Ok(stream) => Ok((lease, stream)),
            Err(_) => Err(Refusal::BadGateway),
        }
    }

    async fn connect(&self, lease: &Lease, deadline: Instant) -> Result<io::Result<Stream>, Refusal> {
        timeout_at(deadline, self.network.connect(lease.authority()))
            .await
            .map_err(|_| Refusal::TooLate)
    }
}

/// The request as the backend shall see it: HTTP/1.1, whatever the client speaks.
fn outgoing<B>(mut request: Request<B>) -> Request<B> {
    strip_hop(request.headers_mut());
    // HTTP/2 names the host in the URI.
    let host = request
        .uri()
        .authority()
        .map(|host| HeaderValue::from_str(host.as_str()));
    if let Some(Ok(host)) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    request.extensions_mut().clear();
    *request.version_mut() = Version::HTTP_11;
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    request
}

/// The answer in a backend's place.
fn problem(refusal: Refusal) -> Response<RelayBody> {
    let (status, code) = match refusal {
        Refusal::NoBackend => (StatusCode::SERVICE_UNAVAILABLE, "no_backend"),
        Refusal::BadGateway => (StatusCode::BAD_GATEWAY, "bad_gateway"),
        Refusal::TooLate => (StatusCode::GATEWAY_TIMEOUT, "gateway_timeout"),
    };
    let text = format!(r#"{{"error":"{code}","source":"gateway"}}"#);
    let mut response = Response::new(RelayBody::full(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_learns_the_host_from_requests_of_either_version() {
        for (version, uri, host) in [
            (Version::HTTP_2, "http://service:8080/chat?x=1", None),
            (Version::HTTP_11, "/chat?x=1", Some("service:8080")),
        ] {
            let mut request = Request::builder().version(version).uri(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = outgoing(request.body(()).expect("a sound request"));
            assert_eq!(request.version(), Version::HTTP_11);
            assert_eq!(request.uri(), "/chat?x=1");
            assert_eq!(request.headers()[HOST], "service:8080", "{version:?}");
        }
    }
}
