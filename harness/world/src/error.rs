//! Why a plan could not be played: which part of its world did not come up, or did not stay up.

use std::io;

/// Why a plan could not be played.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The service did not start, or did not stay up.
    #[error("the service did not run in variant `{variant}`: {reason}")]
    Service {
        /// In which variant.
        variant: String,
        /// What it said.
        reason: String,
    },
    /// The plan asks for something that this clock does not have.
    #[error("variant `{variant}` cannot be played on this clock: {reason}")]
    Clock {
        /// Which variant.
        variant: String,
        /// What, and what to do instead.
        reason: String,
    },
    /// A provider did not start.
    #[error("provider `{provider}` could not listen: {source}")]
    Provider {
        /// Which.
        provider: String,
        /// Why.
        source: io::Error,
    },
    /// The gateway or the collector did not start.
    #[error("the harness could not listen as `{host}`: {source}")]
    Listen {
        /// As what.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No runtime or thread could be made.
    #[error("the run could not begin: {0}")]
    Begin(#[from] io::Error),
}
