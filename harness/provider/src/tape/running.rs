//! A recorder or a player at work: where it is reached, what it has done so far, and how it ends.
//!
//! Does not know which of the two it is.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A recorder or a player. It ends when it is dropped, or with the token that it was started with.
#[derive(Debug)]
pub struct Running {
    /// Host and port, or the name on the in-memory network.
    pub authority: String,
    tally: Arc<Tally>,
    alive: mpsc::Receiver<Infallible>,
    own: CancellationToken,
    _guard: DropGuard,
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Tally {
    exchanges: AtomicU64,
    missed: AtomicU64,
}

/// Held by all that is under way, and by whoever counts. When the last one is dropped the work is over.
#[derive(Debug, Clone)]
pub(super) struct Work {
    tally: Arc<Tally>,
    _alive: mpsc::Sender<Infallible>,
}

impl Work {
    /// One more exchange was stored, or played.
    pub(super) fn count(&self) {
        self.tally.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    /// One more exchange could not be stored, or was not on the tape.
    pub(super) fn miss(&self) {
        self.tally.missed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Running {
    /// What is about to run at `authority` until `own`, and what its tasks have to hold.
    pub(super) fn new(authority: String, own: CancellationToken) -> (Self, Work) {
        let (sender, alive) = mpsc::channel(1);
        let tally = Arc::new(Tally::default());
        let work = Work {
            tally: Arc::clone(&tally),
            _alive: sender,
        };
        let running = Self {
            authority,
            tally,
            alive,
            _guard: own.clone().drop_guard(),
            own,
        };
        (running, work)
    }

    /// Exchanges stored so far, or played so far.
    pub fn exchanges(&self) -> u64 {
        self.tally.exchanges.load(Ordering::Relaxed)
    }

    /// Exchanges that the recorder passed on and could not store (no answer came, the disk is full, the tape is as long
    /// as tapes get), or requests that the player did not find on its tape.
    pub fn missed(&self) -> u64 {
        self.tally.missed.load(Ordering::Relaxed)
    }

    /// Ends it, and returns when all that was under way has been broken off and stored.
    pub async fn stop(&mut self) {
        self.own.cancel();
        // Nothing is ever sent: this returns when the last holder of the other side is gone.
        let _ = self.alive.recv().await;
    }
}
