//! The pool of connections that the database in memory stands behind, and the server that all pools share.
//!
//! What costs time or is refused with a real one does so here: waiting for a place, opening a connection, a server with
//! no connection left. Idle connections are looked at when that matters, not by a task.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::{DatabaseError, DatabaseSettings};
use crate::sync::lock;

/// The server: connections in use and idle, of all pools.
#[derive(Debug, Default)]
pub(super) struct Server {
    open: u32,
    /// Since when each idle connection of a pool has been idle; the first is the first to be used again.
    idle: BTreeMap<u64, VecDeque<Instant>>,
    pools: u64,
}

impl Server {
    /// Hangs up those that have been idle for too long.
    fn hang_up(&mut self, settings: &DatabaseSettings) {
        for idle in self.idle.values_mut() {
            let before = idle.len();
            idle.retain(|since| since.elapsed() < settings.idle_timeout);
            self.open -= (before - idle.len()) as u32;
        }
    }
}

/// The pool of one instance.
#[derive(Debug)]
pub(super) struct Pool {
    server: Arc<Mutex<Server>>,
    id: u64,
    places: Arc<Semaphore>,
    settings: DatabaseSettings,
}

impl Pool {
    pub(super) fn new(server: Arc<Mutex<Server>>, settings: DatabaseSettings) -> Self {
        let id = {
            let mut server = lock(&server);
            server.pools += 1;
            let id = server.pools;
            server.idle.insert(id, VecDeque::new());
            id
        };
        Self {
            server,
            id,
            places: Arc::new(Semaphore::new(settings.pool as usize)),
            settings,
        }
    }

    /// Another pool of connections to the same server.
    pub(super) fn another(&self) -> Self {
        Self::new(Arc::clone(&self.server), self.settings)
    }

    /// Waits for a place, and for a connection if none is idle: for both together at most `acquire_timeout`.
    pub(super) async fn acquire(&self) -> Result<Slot, DatabaseError> {
        tokio::time::timeout(self.settings.acquire_timeout, self.connected())
            .await
            .map_err(|_| DatabaseError::PoolTimeout)?
    }

    async fn connected(&self) -> Result<Slot, DatabaseError> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|closed| DatabaseError::Failed(Box::new(closed)))?;
        let is_new = {
            let mut server = lock(&self.server);
            server.hang_up(&self.settings);
            let idle = server.idle.get_mut(&self.id).and_then(VecDeque::pop_front);
            if idle.is_none() && server.open >= self.settings.server_connections {
                return Err(DatabaseError::TooManyConnections);
            }
            server.open += u32::from(idle.is_none());
            idle.is_none()
        };
        let mut slot = Slot {
            server: Arc::clone(&self.server),
            pool: self.id,
            works: !is_new,
            _place: place,
        };
        if is_new && !self.settings.connect_time.is_zero() {
            tokio::time::sleep(self.settings.connect_time).await;
        }
        slot.works = true;
        Ok(slot)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut server = lock(&self.server);
        let idle = server.idle.remove(&self.id);
        server.open -= idle.map_or(0, |idle| idle.len() as u32);
    }
}

/// A connection that is out of the pool. It goes back when it is dropped; one that was not open yet is given up.
#[derive(Debug)]
pub(super) struct Slot {
    server: Arc<Mutex<Server>>,
    pool: u64,
    works: bool,
    _place: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut server = lock(&self.server);
        match server.idle.get_mut(&self.pool).filter(|_| self.works) {
            Some(idle) => idle.push_back(Instant::now()),
            None => server.open -= 1,
        }
    }
}
