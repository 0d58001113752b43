//! Asks every backend how it is, over and over.
//!
//! A probe is [`mod@crate::probe`]'s. Does not judge: the pool does, by [`super::standing`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::backends::Backends;
use super::pool::Chosen;
use super::{GatewayEvent, HealthCheck, Observer};
use crate::network::Network;
use crate::probe::status;

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
            let answer = timeout(
                self.check.timeout,
                status(&self.network, &backend.authority, &self.check.path),
            )
            .await;
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
}
