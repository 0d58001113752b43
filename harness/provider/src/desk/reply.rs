//! What goes over the desk: the request one way, the reply and its attempt the other.
//!
//! Plain data; who fills it in is [`super::Desk`].

use brownout_scenario::units::Micros;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::dialect::openai::Frames;
use crate::limits::Refund;
use crate::script::Schedule;

/// A request, read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) method: &'a Method,
    /// The path, without query.
    pub(crate) path: &'a str,
    /// The headers.
    pub(crate) headers: &'a HeaderMap,
    /// The body; `None` when it was above [`super::MAX_BODY`].
    pub(crate) body: Option<&'a [u8]>,
}

/// What goes on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// All headers but those of the transport.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Content,
    /// The attempt whose end is to be told; `None` for errors, which are over at once.
    pub(crate) admitted: Option<Admitted>,
}

/// The body of a reply.
#[derive(Debug)]
pub(crate) enum Content {
    /// All at once, when the last token is due.
    Whole(Bytes),
    /// Frame by frame, each when its token is due.
    Stream(Frames),
}

/// An attempt that is being answered.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Its row in the ledger.
    pub(crate) row: usize,
    /// When its tokens are due.
    pub(crate) schedule: Schedule,
    /// What comes back to the key when it ends as scheduled.
    pub(super) refund: Option<Refund>,
    /// The most it could have generated, as it was charged.
    pub(super) max_tokens: u64,
}

impl Admitted {
    /// When the status line is due. Providers say 200 to a stream when they have its first token, hardly ever before;
    /// to a unary request when they have all of it.
    pub(crate) fn headers_due(&self, body: &Content) -> Micros {
        match body {
            Content::Whole(_) => self.schedule.end(),
            Content::Stream(_) => self.schedule.first(),
        }
    }
}
