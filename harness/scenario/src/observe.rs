//! What is seen while a plan is played: the words the load generator, the simulated providers and the books share.
//!
//! Plain data; every time is a distance from the start of the run on the run's clock. Nothing here judges or sums up:
//! that is `brownout-measure`'s part. It lives beside the plan because both ends of the wire speak it and neither end
//! may know the other.

use serde::{Deserialize, Serialize};

use crate::units::{Micros, Picodollars, PromptId};

/// What one planned request came to, as its client saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestObservation {
    /// Position in the schedule, from 0: what the request is known by.
    pub index: u64,
    /// The prompt it carried; others may have carried the same.
    pub prompt: PromptId,
    /// The kind of its client: position in the plan's `load.clients`.
    pub client: u32,
    /// When the schedule asked for it.
    pub due: Micros,
    /// When its first byte was about to be written; `None` if it never left.
    pub sent: Option<Micros>,
    /// When a decoupled service said 202.
    pub acknowledged: Option<Micros>,
    /// When the status line of the answer (for a job: of the 202) had arrived.
    pub headers: Option<Micros>,
    /// When the first word of the answer was in the client's hands.
    pub first_token: Option<Micros>,
    /// When the outcome was known.
    pub ended: Micros,
    /// The last HTTP status seen.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// Gaps between successive tokens of a stream, in order of arrival. Empty for unary answers and jobs.
    pub gaps: Vec<Micros>,
    /// The words that arrived, read as tracer text.
    pub delivered: Delivered,
    /// Token usage that the service itself reported to the client.
    pub reported: Option<Usage>,
    /// Body bytes received.
    pub bytes: u64,
}

/// How a request ended, for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A complete, usable answer.
    Answered,
    /// The client left on purpose before the end, as the plan told it to.
    Aborted,
    /// No free user when it was due, or the run ended before it could leave.
    NotSent,
    /// Anything else.
    Failed(FailureClass),
}

/// Why a request failed, for its client. The names are the keys of `errors` in a run record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// 504: somebody on the way gave up waiting.
    GatewayTimeout,
    /// 502: somebody on the way could not reach or understand the next hop.
    BadGateway,
    /// 503: overloaded, draining or not ready.
    Unavailable,
    /// 429.
    RateLimited,
    /// Any other 5xx.
    ServerError,
    /// Any other 4xx.
    ClientError,
    /// No connection could be made.
    Connect,
    /// The harness itself ran out of descriptors or ports: the run says nothing about the target.
    HarnessExhausted,
    /// The connection broke before or during the answer.
    ConnectionLost,
    /// The answer ended without saying that it was complete.
    Truncated,
    /// The stream carried an error event.
    ErrorEvent,
    /// The answer could not be understood.
    Malformed,
    /// The answer was complete, but not the JSON that was asked for.
    InvalidOutput,
    /// The client's own patience ran out.
    ClientTimeout,
    /// A job ended failed or dead.
    JobFailed,
    /// A job that had been taken on is not known any more.
    JobLost,
    /// Still open when the drain at the end of the run was over.
    Unfinished,
}

impl FailureClass {
    /// The class of an HTTP error status.
    pub const fn of_status(status: u16) -> Self {
        match status {
            429 => Self::RateLimited,
            502 => Self::BadGateway,
            503 => Self::Unavailable,
            504 => Self::GatewayTimeout,
            500..=599 => Self::ServerError,
            _ => Self::ClientError,
        }
    }
}

/// Words of an answer, read as tracer text and counted by the client on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivered {
    /// Tokens of the request's own prompt, each index counted once.
    pub tokens: u64,
    /// Tokens that arrived again.
    pub duplicates: u64,
    /// Tokens of another prompt's answer, each index counted once: the client got words that were meant for somebody else.
    pub misdelivered: u64,
    /// Whose answer that was; `None` if nothing was misdelivered, or the answers of several prompts were.
    pub whose: Option<PromptId>,
    /// Words that the schema of an asked-for JSON brings itself: names, choices and numbers.
    pub schema: u64,
    /// Words that are nothing of all this.
    pub foreign: u64,
}

/// Token usage as somebody reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens of the completion.
    pub completion_tokens: u64,
}

/// One attempt that reached a provider: a row of its ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerRow {
    /// The provider's name in the plan.
    pub provider: String,
    /// The model asked for.
    pub model: String,
    /// The prompt, as read from the request.
    pub prompt: PromptId,
    /// How often this provider had seen the prompt before: 0 for the first attempt.
    pub attempt: u32,
    /// The request that it was made for, by the `traceparent` that the service forwarded: its position in the schedule.
    /// `None` where no trace of ours was forwarded.
    pub caller: Option<u64>,
    /// Which input of which call it is, where one call can carry several (embeddings); each has a row of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<CallInput>,
    /// When the request had been read.
    pub arrived: Micros,
    /// When the first token was due on the wire, if it came to that.
    pub first_token: Option<Micros>,
    /// When the provider stopped working on it.
    pub ended: Micros,
    /// The HTTP status answered; 0 where no answer began.
    pub status: u16,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Of these, read from the provider's cache.
    pub cached_tokens: u64,
    /// Of the prompt, written to the provider's cache at a price of its own.
    pub cache_write_tokens: u64,
    /// Completion tokens generated, thinking included.
    pub generated: u64,
    /// Of these, thinking: never handed to anybody.
    pub reasoning: u64,
    /// Tokens of the answer that the request brought along: the attempt goes on after them, and neither generates nor bills
    /// them as completion.
    pub begun: u64,
    /// Completion tokens handed to the network.
    pub flushed: u64,
    /// Of these, handed over twice by a fault.
    pub repeated: u64,
    /// Completion tokens billed.
    pub billed: u64,
    /// Prompt tokens billed.
    pub billed_prompt: u64,
    /// The price of prompt and completion.
    pub price: Picodollars,
    /// The fault it suffered, as `kind#position in the file`.
    pub fault: Option<String>,
    /// How it ended.
    pub finish: Finish,
    /// When the caller was seen to hang up before the end.
    pub hung_up: Option<Micros>,
}

/// An input of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct CallInput {
    /// The call, by a number that its provider gave it.
    pub call: u64,
    /// The place of the input, from 0. What is charged for the call itself is in the first row.
    pub place: u32,
}

impl LedgerRow {
    /// How far into the answer it came: what it handed over, after what the request brought along.
    pub const fn reach(&self) -> u64 {
        self.begun.saturating_add(self.flushed)
    }

    /// Whether it is the only, or the first, row of its call: what counts calls counts these.
    pub fn is_call(&self) -> bool {
        self.input.is_none_or(|input| input.place == 0)
    }
}

/// How an attempt ended, for the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The whole answer was generated and handed over.
    Stop,
    /// The answer reached its token limit and was handed over.
    Length,
    /// The answer was withheld from some point on, and that was handed over.
    Filtered,
    /// The caller hung up first.
    HungUp,
    /// The provider answered with an error or cut the answer, as a fault asked.
    Fault,
    /// A rate limit refused it.
    RateLimited,
    /// There was neither a slot for it nor room to wait for one.
    Overloaded,
    /// The request was not one that it serves.
    Refused,
    /// Still working when the run ended.
    Unfinished,
}

/// The name under which every attempt at a model is known, whatever the service calls its span.
pub const ATTEMPT: &str = "attempt";

/// A stretch of a request's time, reported from inside the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpanRow {
    /// The request that it belongs to, by the `traceparent` that the load generator sent: its position in the schedule.
    pub request: u64,
    /// The span's name, such as `wait.pool`; [`ATTEMPT`] for a call to a model.
    pub name: String,
    /// Start.
    pub start: Micros,
    /// End.
    pub end: Micros,
}

/// Something that happened to a process of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostRow {
    /// When.
    pub at: Micros,
    /// The process, such as `service-0` or `worker-1`; a replacement has the name of what it replaces.
    pub host: String,
    /// What.
    pub change: HostChange,
}

/// What can happen to a process of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostChange {
    /// It was started.
    Started,
    /// It listens (a worker: it works).
    Ready,
    /// It was told to end in good order because it is being replaced, or is no longer needed.
    Terminated,
    /// It was told to end because it failed its liveness probe.
    FailedLiveness,
    /// It was ended without a word.
    Killed,
    /// It is gone.
    Ended,
    /// The load balancer sends it no more requests.
    Ejected,
    /// The load balancer sends it requests again.
    Admitted,
}

/// One question after a process's health, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeRow {
    /// When it was asked.
    pub at: Micros,
    /// How long the answer took, or how long it was waited for.
    pub took: Micros,
    /// The process.
    pub host: String,
    /// What was asked.
    pub probe: Probe,
    /// The status answered; `None` where no answer came in time, or no connection.
    pub status: Option<u16>,
}

/// What is asked of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// The orchestrator: should it be restarted?
    Liveness,
    /// The load balancer: should it get requests?
    Readiness,
}
