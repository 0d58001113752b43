//! What goes wrong at a provider: when, for whom, and what is seen on the wire.

use serde::Serialize;

use crate::distribution::Distribution;
use crate::units::{Micros, Share};

/// Something that goes wrong at a provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultPlan {
    /// `kind#position`, for ledger rows and reports.
    pub id: String,
    /// What goes wrong.
    pub effect: FaultEffect,
    /// It begins, seen from the start of the run.
    pub from: Micros,
    /// It is over.
    pub until: Micros,
    /// When it is there in between.
    pub timetable: Timetable,
    /// Whom it concerns.
    pub scope: Scope,
    /// Share of the attempts it concerns that suffer.
    pub probability: Share,
    /// Only the first so many attempts it concerns suffer.
    pub first: Option<u64>,
    /// Only every so many-th attempt it concerns suffers: 3 is the third, the sixth, ...
    pub every: Option<u64>,
}

/// When a fault is there, between its `from` and its `until`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Timetable {
    /// All the time.
    Throughout,
    /// In these windows: ascending, without overlap, each from its start (included) to its end (excluded).
    Windows(Vec<(Micros, Micros)>),
    /// It comes and goes, beginning with a time of absence; lengths in microseconds.
    OnOff {
        /// How long it stays.
        on: Distribution,
        /// How long it stays away.
        off: Distribution,
    },
}

/// Whom a fault concerns. An empty scope is everybody; of several conditions all must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Requests for one of these models.
    pub models: Vec<String>,
    /// Requests with one of these API keys.
    pub keys: Vec<String>,
    /// Requests with this header.
    pub header: Option<HeaderMatch>,
}

/// A header that a request must carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeaderMatch {
    /// Its name, in lower case.
    pub name: String,
    /// Its value; `None` for any.
    pub value: Option<String>,
}

/// What an attempt suffers, named by what is on the wire.
///
/// Where there is an `after_tokens`, it happens right after that many tokens of the answer; `None` is half of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultEffect {
    /// An error answer.
    Status {
        /// HTTP status.
        status: u16,
        /// When to try again, said in the dialect's own way.
        retry_after: Option<Micros>,
        /// A `Retry-After` header of exactly this text, however hostile.
        retry_after_text: Option<String>,
        /// The dialect's own code for the error, where it is not the usual one of the status.
        code: Option<String>,
    },
    /// Slower answers.
    LatencySpike {
        /// Replaces the time to first token.
        first_token: Option<Distribution>,
        /// Replaces the gap between tokens.
        inter_token: Option<Distribution>,
    },
    /// The stream falls silent and, if `lasts` says so, goes on later. A unary answer comes as much later.
    Stall {
        /// Where.
        after_tokens: Option<Distribution>,
        /// For how long, in microseconds; `None` for good.
        lasts: Option<Distribution>,
    },
    /// The request is taken and nothing is ever said.
    Blackhole,
    /// Nobody listens: new connections are refused. What is being answered is finished, then its connection closed.
    RefuseConnection,
    /// The connection is reset when the request has been read.
    ResetBeforeHeaders,
    /// The stream carries an error of this status in the dialect's own form. A unary answer is that error.
    ErrorEvent {
        /// Where.
        after_tokens: Option<Distribution>,
        /// The status that the error is of.
        status: u16,
    },
    /// The body ends in good order, but early.
    CleanEof {
        /// Where.
        after_tokens: Option<Distribution>,
    },
    /// The connection is closed (FIN) in the middle of the body. On HTTP/2 the stream is reset.
    FinWithoutTerminator {
        /// Where.
        after_tokens: Option<Distribution>,
    },
    /// The connection is reset (RST) in the middle of the body. On HTTP/2 the stream is.
    ResetMidStream {
        /// Where.
        after_tokens: Option<Distribution>,
    },
    /// A frame that is cut in half comes in between; all tokens come all the same. A unary body is cut in half.
    MalformedFrame {
        /// Where.
        after_tokens: Option<Distribution>,
    },
    /// The stream is complete but for what says so. Unary answers are spared.
    MissingDone,
    /// The frame of one token comes twice. Unary answers are spared.
    DuplicateFrame {
        /// The last token before it.
        after_tokens: Option<Distribution>,
    },
    /// The body leaves in small pieces.
    Trickle {
        /// Bytes in a piece.
        bytes: u64,
        /// From one piece to the next.
        every: Micros,
    },
    /// 200 and a web page.
    #[serde(rename = "html_200")]
    Html200,
    /// 200 and nothing, or an empty object.
    #[serde(rename = "empty_200")]
    Empty200 {
        /// `{}` and not no byte at all.
        object: bool,
    },
    /// A well-formed answer that breaks the schema the caller asked for. Callers who asked for none are spared.
    GarbageOutput,
    /// The model's answer is withheld from here on, in the dialect's own form.
    ContentFilter {
        /// Where; `None` is at once.
        after_tokens: Option<Distribution>,
    },
    /// Refused because prompt and answer exceed the context window.
    ContextLength,
}

impl FaultEffect {
    /// Its name in scenario files.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::LatencySpike { .. } => "latency_spike",
            Self::Stall { .. } => "stall",
            Self::Blackhole => "blackhole",
            Self::RefuseConnection => "refuse_connection",
            Self::ResetBeforeHeaders => "reset_before_headers",
            Self::ErrorEvent { .. } => "error_event",
            Self::CleanEof { .. } => "clean_eof",
            Self::FinWithoutTerminator { .. } => "fin_without_terminator",
            Self::ResetMidStream { .. } => "reset_mid_stream",
            Self::MalformedFrame { .. } => "malformed_frame",
            Self::MissingDone => "missing_done",
            Self::DuplicateFrame { .. } => "duplicate_frame",
            Self::Trickle { .. } => "trickle",
            Self::Html200 => "html_200",
            Self::Empty200 { .. } => "empty_200",
            Self::GarbageOutput => "garbage_output",
            Self::ContentFilter { .. } => "content_filter",
            Self::ContextLength => "context_length",
        }
    }
}
