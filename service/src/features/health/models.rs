//! What health looks like from outside.

use serde::Serialize;

/// The process lives.
#[derive(Debug, Serialize)]
pub(super) struct Liveness {
    pub(super) status: &'static str,
}

/// Whether the instance should get requests, and if not, why not.
#[derive(Debug, Serialize)]
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// True while the instance is ending.
    pub(super) draining: bool,
    pub(super) database: &'static str,
    pub(super) queue: &'static str,
}
