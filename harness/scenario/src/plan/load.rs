//! The clients of a plan: when they come, what they ask for, how they behave.

use serde::Serialize;

use super::PromptsPlan;
use crate::distribution::Distribution;
use crate::units::{Micros, PerSecond, Share};

/// The clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadPlan {
    /// When requests fall due.
    pub arrivals: Arrivals,
    /// What they ask for.
    pub endpoint: Endpoint,
    /// How a client learns what came of its job.
    pub watch: Watch,
    /// How often a client asks for the result of its job, where it asks.
    pub poll: Micros,
    /// What kind of answer they ask for.
    #[serde(skip_serializing_if = "Output::is_text")]
    pub output: Output,
    /// Which prompts are asked for; `None` if each request has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompts: Option<PromptsPlan>,
    /// Length of a prompt, in tokens.
    pub prompt_tokens: Distribution,
    /// What was said before each prompt; `None` if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryPlan>,
    /// The `max_tokens` a client asks for.
    pub max_tokens: u64,
    /// How long a client waits for the whole answer; `None` for ever (the drain bounds it).
    pub patience: Option<Micros>,
    /// Kinds of clients; their shares sum to 1.
    pub clients: Vec<ClientPlan>,
}

/// The conversation in front of each prompt.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryPlan {
    /// Earlier turns, half of them the user's: an even number.
    pub turns: u32,
    /// Tokens of a turn.
    pub tokens: Distribution,
}

/// When requests fall due.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Arrivals {
    /// Evenly.
    Constant {
        /// Requests per second.
        rate: PerSecond,
    },
    /// Independent of each other.
    Poisson {
        /// Mean requests per second.
        rate: PerSecond,
    },
    /// Independent of each other, at a rate that changes evenly over the run.
    Ramp {
        /// Rate at the start.
        from: PerSecond,
        /// Rate at the end.
        to: PerSecond,
    },
    /// Independent of each other, at a rate that changes from one step to the next.
    Steps {
        /// How long each step lasts, and its rate; the last one lasts to the end of the run.
        steps: Vec<(Micros, PerSecond)>,
    },
    /// In clusters: gaps that are gamma distributed.
    Gamma {
        /// Mean requests per second.
        rate: PerSecond,
        /// Variance of the gaps, of that of independent arrivals: 1 is as independent ones, 4 comes in clusters.
        burstiness: f64,
    },
    /// Independent of each other, at one rate and for a while at another.
    Spike {
        /// Rate before and after.
        rate: PerSecond,
        /// Rate in between.
        peak: PerSecond,
        /// The other rate begins.
        from: Micros,
        /// It is over.
        until: Micros,
    },
    /// Independent of each other for a while, then none for a while, and so on.
    OnOff {
        /// Requests per second while they come.
        rate: PerSecond,
        /// How long they come.
        on: Micros,
        /// How long they stay away.
        off: Micros,
    },
    /// Users who wait for their answer, think, and ask again.
    Closed {
        /// How many.
        users: u32,
        /// Think time, in microseconds.
        think: Distribution,
    },
}

/// What the clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `POST /chat`: one answer.
    Chat,
    /// `POST /chat/stream`: server-sent events.
    Stream,
    /// `POST /jobs`, then polling or listening.
    Jobs,
    /// `POST /v1/chat/completions`: one answer, as OpenAI gives it.
    Completions,
    /// `POST /v1/chat/completions` with `stream`: OpenAI's chunks up to `[DONE]`.
    CompletionsStream,
    /// `POST /v1/embeddings`: the vector of a text.
    Embeddings,
}

impl Endpoint {
    /// Whether it speaks as OpenAI does.
    pub const fn is_openai(self) -> bool {
        matches!(self, Self::Completions | Self::CompletionsStream | Self::Embeddings)
    }

    /// Whether its answers come word by word.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Stream | Self::CompletionsStream)
    }
}

/// What kind of answer the clients ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// Plain text.
    #[default]
    Text,
    /// The JSON of [`crate::structured`], which they check.
    Json,
}

impl Output {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// How a client learns what came of its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// It asks `GET /jobs/{id}` again and again.
    #[default]
    Poll,
    /// It listens to `GET /jobs/{id}/events`.
    Events,
}

/// A kind of client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientPlan {
    /// Its name in figures (`clients.<name>`); `None` for those that are not told apart.
    pub name: Option<String>,
    /// Share of the requests.
    pub share: Share,
    /// The API key that it sends, if any.
    pub key: Option<String>,
    /// Whether its requests carry a key that makes them safe to send again.
    pub idempotent: bool,
    /// What it says that its requests are for, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// How slowly it reads an answer, if not as fast as it comes.
    pub reads: Option<SlowRead>,
    /// When it leaves, if it does.
    pub disconnect: Option<Disconnect>,
    /// When it sends its request again, if it is so impatient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
}

/// An impatient client: it sends its request a second time while it goes on waiting for the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Again {
    /// How long after the first, in microseconds.
    pub after: Distribution,
    /// How many do.
    pub probability: Share,
}

/// How slowly a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SlowRead {
    /// So many bytes a second.
    Rate {
        /// Bytes.
        bytes_per_second: u64,
    },
    /// It stops reading after so many bytes, and stays connected.
    Stops {
        /// Bytes.
        after_bytes: u64,
    },
}

/// How a client leaves before the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disconnect {
    /// The moment.
    pub after: LeaveAfter,
    /// What the peer's kernel sees.
    pub how: HangUp,
}

/// The moment a client leaves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveAfter {
    /// This many tokens of a stream.
    Tokens(Distribution),
    /// This long after sending, in microseconds.
    Time(Distribution),
}

/// How a connection is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HangUp {
    /// An orderly close.
    #[default]
    Fin,
    /// A reset.
    Rst,
}
