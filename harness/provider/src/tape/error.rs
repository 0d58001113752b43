//! Why a tape can't be made or played, and what to do about it.
//!
//! Says nothing about single requests: those get an answer over HTTP.

use std::io;
use std::path::PathBuf;

/// A tape that can't be made or played.
#[derive(Debug, thiserror::Error)]
pub enum TapeError {
    /// The file can't be made.
    #[error("cannot write the tape {}: {source}", path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file can't be read.
    #[error("cannot read the tape {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file to record to holds something already.
    #[error("{} holds something already: record to a new file, or delete this one first", path.display())]
    Taken {
        /// Which file.
        path: PathBuf,
    },
    /// The file is something else.
    #[error("{}:1: not a tape: its first line should be {{\"brownout_tape\":1,...}}. Name a file that --record wrote", path.display())]
    NotATape {
        /// Which file.
        path: PathBuf,
    },
    /// The file was written by another version.
    #[error("{}:1: a tape of version {found}, this brownout reads version {expected}: play it with the one that wrote it, or record again", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// A line is no exchange.
    #[error("{}:{line}: not a recorded exchange: {why}. Mend or delete this line, or record again", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The tape has no exchange.
    #[error("{} holds no exchange: record one first, by sending a request through `brownout provider --record`", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// The tape is above the bound.
    #[error("{} is larger than {limit_mib} MiB, the most that is played: keep only the lines you need", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// The bound, in MiB.
        limit_mib: u64,
    },
    /// The HTTP client for the upstream can't be set up.
    #[error("cannot set up the client for the upstream: {0}. Check the system's TLS certificates")]
    Client(reqwest::Error),
}
