//! One request: to which backend it goes, and what its client gets when no response comes.
//!
//! Does not touch bodies: the request's is hyper's to stream, the response's is [`super::relay`]'s.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::GatewayConfig;
use super::headers::strip_hop;
use super::relay::{self, RelayBody};
use crate::network::Network;

/// What all requests of one gateway share.
#[derive(Debug)]
pub(super) struct Forwarder {
    network: Network,
    backends: Vec<String>,
    next: AtomicUsize,
    config: GatewayConfig,
}

impl Forwarder {
    pub(super) fn new(network: Network, backends: Vec<String>, config: GatewayConfig) -> Self {
        Self {
            network,
            backends,
            next: AtomicUsize::new(0),
            config,
        }
    }

    /// Gets a response from the next backend, or answers in its place.
    pub(super) async fn forward(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<RelayBody>, Infallible> {
        let deadline = Instant::now() + self.config.request_timeout;
        let Some(backend) = self.next_backend() else {
            return Ok(problem(StatusCode::BAD_GATEWAY, "no_backend"));
        };
        let (head, response) = oneshot::channel();
        let (frames, received) = relay::channel();
        let exchange = relay::Exchange {
            network: self.network.clone(),
            backend,
            deadline,
            idle_timeout: self.config.idle_timeout,
        };
        // The exchange lives in a task so that its timeouts hold even while the client reads nothing. The handle is
        // what ties it to the client: it moves from this future to the body, and its drop ends the exchange.
        let task = tokio::spawn(exchange.run(outgoing(request), head, frames));
        let task = AbortOnDropHandle::new(task);
        Ok(match tokio::time::timeout_at(deadline, response).await {
            Ok(Ok(parts)) => Response::from_parts(parts, received.into_body(task)),
            Ok(Err(_)) => problem(StatusCode::BAD_GATEWAY, "bad_gateway"),
            Err(_) => problem(StatusCode::GATEWAY_TIMEOUT, "gateway_timeout"),
        })
    }

    fn next_backend(&self) -> Option<String> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = turn.checked_rem(self.backends.len())?;
        self.backends.get(turn).cloned()
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

fn problem(status: StatusCode, code: &str) -> Response<RelayBody> {
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
