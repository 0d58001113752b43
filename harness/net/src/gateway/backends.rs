//! The backends of a gateway, as those see them who bring them and take them away.
//!
//! An asynchronous shell around `pool`. Does not start or stop backends, and does not probe them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::pool::{Chosen, Pool};
use super::{GatewayEvent, HealthCheck};

/// Who stands behind a gateway. Clones are handles of the same backends.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    pool: Mutex<Pool>,
    /// Somebody arrived, left, is admitted now, or has room again.
    changed: Notify,
    waiting: AtomicU64,
    second_tries: AtomicU64,
}

impl Backends {
    /// Nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a backend that answers at `authority`; it takes the place of the one with that name, if there is one.
    ///
    /// A gateway with health checks sends it requests once it has passed its probes.
    pub fn add(&self, name: &str, authority: &str) {
        self.pool().add(name, authority);
        self.shared.changed.notify_waiters();
    }

    /// Sends the backend no further requests; open ones go on.
    pub fn remove(&self, name: &str) {
        self.pool().remove(name);
        self.shared.changed.notify_waiters();
    }

    /// From now on no backend is given more than `most` requests at once; a gateway that waits for backends waits for one
    /// that has room.
    pub fn limit(&self, most: u64) {
        self.pool().limit(most);
    }

    /// Requests that this backend has open, also after its removal.
    pub fn in_flight(&self, name: &str) -> u64 {
        self.pool().in_flight(name)
    }

    /// Requests that all backends together have open.
    pub fn total_in_flight(&self) -> u64 {
        self.pool().total_in_flight()
    }

    /// Requests that wait for a backend to come.
    pub fn waiting(&self) -> u64 {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    /// Requests that were sent to a second backend because the first refused the connection.
    pub fn second_tries(&self) -> u64 {
        self.shared.second_tries.load(Ordering::Relaxed)
    }

    /// The next backend in turn.
    pub(super) fn choose(&self) -> Option<Lease> {
        let chosen = self.pool().choose(None)?;
        Some(self.lease(chosen))
    }

    /// The next backend in turn that is not the one which refused.
    pub(super) fn choose_another(&self, refused: &Lease) -> Option<Lease> {
        let chosen = self.pool().choose(Some(refused.chosen.arrival))?;
        self.shared.second_tries.fetch_add(1, Ordering::Relaxed);
        Some(self.lease(chosen))
    }

    /// The next backend in turn, as soon as there is one; `None` at the deadline.
    pub(super) async fn wait(&self, deadline: Instant) -> Option<Lease> {
        let _waiting = Waiting::begin(&self.shared);
        loop {
            // Listened for before the look, so that no arrival falls in between.
            let changed = self.shared.changed.notified();
            if let Some(lease) = self.choose() {
                return Some(lease);
            }
            timeout_at(deadline, changed).await.ok()?;
        }
    }

    /// Returns at the next arrival, departure or admission after this call.
    pub(super) fn changed(&self) -> impl Future<Output = ()> {
        self.shared.changed.notified()
    }

    /// From now on only those that passed their probes are sent requests.
    pub(super) fn check(&self) {
        self.pool().check();
    }

    /// Everybody whose health is to be asked after.
    pub(super) fn roll(&self) -> Vec<Chosen> {
        self.pool().roll()
    }

    /// Notes the outcome of a probe, and says what it changed.
    pub(super) fn probed(&self, arrival: u64, well: bool, check: &HealthCheck) -> Option<GatewayEvent> {
        let change = self.pool().probed(arrival, well, check);
        if let Some(GatewayEvent::Admitted { .. }) = change {
            self.shared.changed.notify_waiters();
        }
        change
    }

    fn lease(&self, chosen: Chosen) -> Lease {
        Lease {
            backends: self.clone(),
            chosen,
        }
    }

    /// Locks over a panic elsewhere: every change to the pool is complete.
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.shared.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request's claim on a backend: it counts as open there until this is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    backends: Backends,
    chosen: Chosen,
}

impl Lease {
    pub(super) fn authority(&self) -> &str {
        &self.chosen.authority
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.backends.pool().close(&self.chosen.name) {
            self.backends.shared.changed.notify_waiters();
        }
    }
}

/// A request that waits, for as long as it does.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
