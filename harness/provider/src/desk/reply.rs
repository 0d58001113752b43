//! What comes over the desk: the reply, and the attempt behind it.
//!
//! Plain data; who fills it in is [`super::Desk`].

use brownout_scenario::units::Micros;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::dialect::{Delivery, Frames};
use crate::limits::Refund;
use crate::script::Course;

/// What goes on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    /// How it begins.
    pub(crate) begin: Begin,
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// All headers but those of the transport.
    pub(crate) headers: HeaderMap,
    /// The body.
    pub(crate) body: Content,
    /// When it leaves, if nothing else says so; else at once.
    pub(crate) due: Option<Micros>,
    /// The attempt whose end is to be told; `None` for what is over at once.
    pub(crate) admitted: Option<Admitted>,
}

/// How a reply begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With its head, when that is due.
    Head,
    /// Not at all.
    Silence,
    /// With a reset.
    Reset,
}

/// The body of a reply.
#[derive(Debug)]
pub(crate) enum Content {
    /// All at once, when the last token is due.
    Whole(Bytes),
    /// Frame by frame, each when its token is due.
    Stream(Box<dyn Frames>),
}

/// An attempt that is being answered.
#[derive(Debug)]
pub(crate) struct Admitted {
    /// Its row in the ledger.
    pub(crate) row: usize,
    /// How its answer goes.
    pub(crate) course: Course,
    /// What it holds at the provider until it ends.
    pub(super) holds: Holds,
    /// How the answer comes.
    pub(super) delivery: Delivery,
    /// Its tokens leave together with the last of them.
    pub(crate) leaves_at_once: bool,
    /// The model asked for.
    pub(crate) model: String,
}

/// What an attempt holds until it ends.
#[derive(Debug)]
pub(super) struct Holds {
    /// A slot, under this number, expected to be free again at this time.
    pub(super) slot: Option<(u64, Micros)>,
    /// What comes back to the key when it ends as scheduled.
    pub(super) refund: Option<Refund>,
    /// The most it could have generated, as it was charged.
    pub(super) max_tokens: u64,
}

impl Admitted {
    /// When the status line is due. Providers say 200 to a stream when they have its first token, hardly ever before;
    /// to a unary request when they have all of it.
    pub(crate) fn headers_due(&self) -> Micros {
        match self.delivery {
            Delivery::Whole => self.course.schedule.end(),
            Delivery::Events | Delivery::Array | Delivery::Lines => self.course.schedule.first(),
        }
    }
}
