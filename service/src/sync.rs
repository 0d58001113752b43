//! Locks that survive a panic elsewhere. Never held across an await (a lint sees to it).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`. What it guards here is consistent between any two statements, so poison is no reason to stop.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
