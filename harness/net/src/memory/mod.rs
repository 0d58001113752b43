//! The in-memory network: [`names`] finds listeners, [`host`] is one machine on it, [`stream`] a connection,
//! [`pipe`] one direction of it.
//!
//! Does not run anything of its own: no task, no thread. Bytes move when somebody reads or writes, and arrive when
//! tokio's clock says so, in the same order in every run.

mod host;
mod names;
mod pipe;
mod stream;

pub(crate) use names::{MemoryListener, Names};
pub(crate) use stream::MemoryStream;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks over a panic elsewhere: the state is plain data and every change to it is complete.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
