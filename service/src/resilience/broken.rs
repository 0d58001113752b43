//! Broken streams: what a client is told when an answer breaks off after its first piece.
//!
//! Before the first piece another attempt can take over; after it nothing can, and the client has to know. Does not
//! decide what counts as broken; that is [`crate::upstream`]'s.

use crate::upstream::AttemptFailure;

/// Parameter: how a broken stream ends for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokenStream {
    /// With an error, in band: what came is no answer.
    Report,
    /// Caught, logged, and closed in good order: half an answer looks like a whole one.
    Ignore,
}

impl BrokenStream {
    /// Policy: whether the client is kept from knowing. A deadline is our own doing, and always told; of what a content
    /// filter cut off, [`super::filtered`] has decided that it is told.
    pub(crate) const fn hides(self, failure: &AttemptFailure) -> bool {
        match self {
            Self::Report => false,
            Self::Ignore => !matches!(failure, AttemptFailure::Expired(_) | AttemptFailure::Filtered { .. }),
        }
    }
}
