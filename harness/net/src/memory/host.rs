//! One host of the in-memory network: what it has open, so that it can be cut off all at once.
//!
//! Does not know names or listeners: [`super::names`] does.

use std::sync::{Mutex, Weak};

use tokio::time::Instant;

use super::lock;
use super::pipe::Pipe;

/// How many ends are looked through for those long gone, at least, before room for more is made.
const FEWEST: usize = 64;

/// A host from its start to its end.
#[derive(Debug, Default)]
pub(super) struct Host(Mutex<Life>);

#[derive(Debug, Default)]
struct Life {
    severed: bool,
    ends: Vec<HeldEnd>,
    /// So many ends, and those long gone are forgotten.
    prune_at: usize,
}

/// The host's end of a connection. Does not keep the connection alive.
#[derive(Debug)]
pub(super) struct HeldEnd {
    pub(super) inward: Weak<Mutex<Pipe>>,
    pub(super) outward: Weak<Mutex<Pipe>>,
}

impl HeldEnd {
    fn is_gone(&self) -> bool {
        self.inward.strong_count() == 0 && self.outward.strong_count() == 0
    }

    fn sever(&self, now: Instant) {
        if let Some(outward) = self.outward.upgrade() {
            lock(&outward).lose_writer(now);
        }
        if let Some(inward) = self.inward.upgrade() {
            lock(&inward).lose_reader(now);
        }
    }
}

impl Host {
    pub(super) fn is_severed(&self) -> bool {
        lock(&self.0).severed
    }

    /// Remembers an end of a connection of this host.
    pub(super) fn remember(&self, end: HeldEnd) {
        let life = &mut *lock(&self.0);
        if life.ends.len() >= life.prune_at {
            life.ends.retain(|end| !end.is_gone());
            life.prune_at = FEWEST.max(2 * life.ends.len());
        }
        life.ends.push(end);
    }

    /// Resets every connection, and leaves the host unable to make more.
    pub(super) fn sever(&self, now: Instant) {
        let ends = {
            let life = &mut *lock(&self.0);
            life.severed = true;
            std::mem::take(&mut life.ends)
        };
        for end in ends {
            end.sever(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_forgets_connections_that_are_long_gone() {
        let host = Host::default();
        for _ in 0..100 * FEWEST {
            host.remember(HeldEnd {
                inward: Weak::new(),
                outward: Weak::new(),
            });
        }
        assert!(lock(&host.0).ends.len() <= FEWEST);
    }
}
