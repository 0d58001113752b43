//! Record and replay: a tape of a real provider's answers and their timings.
//!
//! In reading order: [`Recorder`] (stands in front of a real base URL and stores what passes), [`Player`] (serves a tape
//! again), [`Running`] (either of them, at work); below them `upstream` (where requests go), `take` and `tap` (one
//! exchange while it passes), `paced` (one answer while it is played), `asked` (when two requests are the same), `secrets`
//! (what must not reach the tape), `format` and `file` (the tape itself: JSON lines), `headers` and `intake` (what hops
//! and bounds ask for).
//!
//! Deliberately absent: dialects, the script, the ledger, rewriting of answers, and the virtual clock while recording (a
//! real provider knows none; replay follows either clock).

mod asked;
mod error;
mod file;
mod format;
mod headers;
mod intake;
mod paced;
mod player;
mod recorder;
mod running;
mod secrets;
mod take;
mod tap;
#[cfg(test)]
mod tests;
mod upstream;

pub use error::TapeError;
pub use player::Player;
pub use recorder::Recorder;
pub use running::Running;
pub use upstream::{Upstream, UpstreamError};
