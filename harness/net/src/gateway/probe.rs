//! Asks every backend how it is, over and over.
//!
//! Each probe is a connection of its own. Does not judge: the pool does, by [`super::standing`].

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::backends::Backends;
use super::pool::Chosen;
use super::{GatewayEvent, HealthCheck, Observer};
use crate::network::Network;

/// Bytes of an answer that are read; a longer one has failed.
const LONGEST_ANSWER: usize = 64 * 1_024;

/// Everything a prober needs.
#[derive(Clone)]
pub(super) struct Probing {
    pub(super) network: Network,
    pub(super) backends: Backends,
    pub(super) check: HealthCheck,
    pub(super) on_event: Observer,
}

/// Probes everybody who is there, and whoever arrives; never returns.
pub(super) async fn watch(probing: Probing) {
    let probing = Arc::new(probing);
    let mut probers = BTreeMap::new();
    loop {
        let changed = probing.backends.changed();
        let roll = probing.backends.roll();
        probers.retain(|arrival, _| roll.iter().any(|present| present.arrival == *arrival));
        for backend in roll {
            let arrival = backend.arrival;
            probers
                .entry(arrival)
                .or_insert_with(|| AbortOnDropHandle::new(tokio::spawn(Arc::clone(&probing).ask(backend))));
        }
        changed.await;
    }
}

impl Probing {
    /// Probes one backend for good: at once, then every so often, one probe at a time.
    async fn ask(self: Arc<Self>, backend: Chosen) {
        loop {
            let at = Instant::now();
            let answer = timeout(self.check.timeout, self.answer(&backend.authority)).await;
            let status = answer.ok().flatten();
            (self.on_event)(GatewayEvent::Probed {
                name: backend.name.clone(),
                at,
                took: at.elapsed(),
                status: status.map(|status| status.as_u16()),
            });
            let well = status.is_some_and(|status| status.is_success());
            if let Some(change) = self.backends.probed(backend.arrival, well, &self.check) {
                (self.on_event)(change);
            }
            sleep_until(at + self.check.every).await;
        }
    }

    /// The status of a complete answer.
    async fn answer(&self, authority: &str) -> Option<StatusCode> {
        let stream = self.network.connect(authority).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let converse = async {
            let response = sender.send_request(self.request(authority)?).await.ok()?;
            let status = response.status();
            Limited::new(response, LONGEST_ANSWER).collect().await.ok()?;
            Some(status)
        };
        let drive = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = drive => None,
            answer = converse => answer,
        }
    }

    /// `None` where the path or the authority cannot stand in a request.
    fn request(&self, authority: &str) -> Option<Request<Empty<Bytes>>> {
        Request::get(&self.check.path)
            .header(HOST, authority)
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(Empty::new())
            .ok()
    }
}
