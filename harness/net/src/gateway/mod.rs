//! The gateway: a reverse-proxying load balancer with the timeouts that real ones have.
//!
//! In reading order: `forward` (one request, from its arrival to the head of its response), `relay` (the body
//! that follows), `headers` (what stops at a hop). Round robin over the backends, one backend connection to a
//! request, bodies passed on as they come. Does not retry, check health, eject, buffer or add headers of its own.

mod forward;
mod headers;
mod relay;

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;

use crate::listener::Listener;
use crate::network::Network;
use crate::serve::serve;
use forward::Forwarder;

/// How patient the gateway is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayConfig {
    /// From the arrival of a request to the head of its response (past it: 504) and, unless the response is an event
    /// stream, to the end of its body (past it: the connection is cut).
    pub request_timeout: Duration,
    /// The longest silence of a backend within a response body; past it the connection is cut.
    pub idle_timeout: Duration,
}

/// Forwards requests to `backends` in turn until `shutdown`, then lets open ones finish within `grace`.
///
/// A backend that cannot be reached, or breaks off before the head of its response, is a 502; no backend at all too.
/// A client that leaves takes the connection to the backend with it, at once.
pub async fn run(
    listener: Listener,
    network: Network,
    backends: Vec<String>,
    config: GatewayConfig,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let forwarder = Arc::new(Forwarder::new(network, backends, config));
    let service = service_fn(move |request| Arc::clone(&forwarder).forward(request));
    serve(listener, service, shutdown, grace).await;
}
