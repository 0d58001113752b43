//! The gateway: a reverse-proxying load balancer with the timeouts and health checks that real ones have.
//!
//! In reading order: [`backends`] (who stands behind it), `pool` and `standing` (whose turn it is, and what the probes
//! came to), `probe` (the probes), `forward` (one request, from its arrival to the head of its response), `relay` (the
//! body that follows), `headers` (what stops at a hop). Round robin over the backends, one backend connection to a
//! request, bodies passed on as they come. Does not repeat what a backend may have seen, buffer, limit what one backend
//! carries, or add headers of its own; with nobody admitted it sends requests to nobody, where some real ones turn to
//! everybody.

pub mod backends;
mod forward;
mod headers;
mod pool;
mod probe;
mod relay;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use backends::Backends;

use crate::listener::Listener;
use crate::network::Network;
use crate::serve::serve;
use forward::Forwarder;
use probe::{Probing, watch};

/// How patient the gateway is, and with whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// From the arrival of a request to the head of its response (past it: 504) and, unless the response is an event
    /// stream, to the end of its body (past it: the connection is cut).
    pub request_timeout: Duration,
    /// The longest silence of a backend within a response body; past it the connection is cut. Time in which the client
    /// does not take what the backend has sent is no silence.
    pub idle_timeout: Duration,
    /// From the arrival of a request to the end of its response, event streams too; past it the connection is reset, even
    /// while the client does not read, or the answer is a 504 where nothing of it has been sent.
    pub total_timeout: Option<Duration>,
    /// How it finds out to which backends it can send requests; without it, to all there are.
    pub health: Option<HealthCheck>,
    /// Whether a request without a backend to go to waits for one, up to the request timeout. A 503 is its answer then,
    /// and at once where it does not wait.
    pub wait_for_backend: bool,
}

/// Repeated questions after the health of every backend. Any 2xx is well, and only a complete answer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Path of the probe, such as `/readyz`.
    pub path: String,
    /// From the start of one probe to that of the next; a backend is first probed when it arrives.
    pub every: Duration,
    /// A probe that takes longer has failed. Probes of one backend do not overlap: a longer one delays the next.
    pub timeout: Duration,
    /// So many failures in a row eject a backend: it is sent no further requests, and keeps those it has.
    pub unhealthy_after: u32,
    /// So many successes in a row admit a new or an ejected backend.
    pub healthy_after: u32,
}

/// What happened at the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayEvent {
    /// A backend has failed its probes, and is sent no further requests.
    Ejected {
        /// Which.
        name: String,
    },
    /// A backend has passed its probes, and is sent requests from now on.
    Admitted {
        /// Which.
        name: String,
    },
    /// A backend was probed.
    Probed {
        /// Which.
        name: String,
        /// When the probe began.
        at: Instant,
        /// How long it took.
        took: Duration,
        /// What the answer was; `None` when there was none in time, or not all of it.
        status: Option<u16>,
    },
}

/// Who is told what happens at the gateway, as it happens.
pub type Observer = Arc<dyn Fn(GatewayEvent) + Send + Sync>;

/// Forwards requests to `backends` in turn until `shutdown`, then lets open ones finish within `grace`.
///
/// A backend that cannot be reached, or breaks off before the head of its response, is a 502; but where it refuses the
/// connection, one other backend is tried. A client that leaves takes the connection to the backend with it, at once.
pub async fn run(
    listener: Listener,
    network: Network,
    backends: Backends,
    config: GatewayConfig,
    on_event: Observer,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let probing = config.health.clone().map(|check| Probing {
        network: network.clone(),
        backends: backends.clone(),
        check,
        on_event,
    });
    let forwarder = Arc::new(Forwarder::new(network, backends.clone(), config));
    let service = service_fn(move |request| Arc::clone(&forwarder).forward(request));
    let probes = async {
        if let Some(probing) = probing {
            backends.check();
            watch(probing).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = probes => {}
        () = serve(listener, service, shutdown, grace) => {}
    }
}

#[cfg(test)]
impl HealthCheck {
    /// One probe decides.
    fn for_tests() -> Self {
        Self {
            path: "/".to_owned(),
            every: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            unhealthy_after: 1,
            healthy_after: 1,
        }
    }
}
