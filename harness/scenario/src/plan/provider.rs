//! The providers of a plan: what they serve, how fast, within which limits, at which price.
//!
//! What goes wrong at them is in [`super::fault`].

use serde::Serialize;

use super::fault::{FaultEffect, FaultPlan};
use crate::distribution::Distribution;
use crate::units::{Micros, Picodollars, Share};

/// A simulated provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderPlan {
    /// Name, unique in the plan.
    pub name: String,
    /// Wire dialect.
    pub dialect: Dialect,
    /// The models that it serves, never empty; the service is told the first.
    pub models: Vec<ModelPlan>,
    /// What the service is told that it is meant for. Changes nothing at the provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// Time to first token, in microseconds.
    pub first_token: Distribution,
    /// Gap between tokens, in microseconds.
    pub inter_token: Distribution,
    /// What every prompt token that is not read from the provider's cache adds to the time to first token.
    pub prefill: Micros,
    /// Length of an answer, in tokens; the request's own limit cuts it.
    pub output_tokens: Distribution,
    /// Tokens that the model thinks before it answers: billed as completion, never delivered.
    pub reasoning_tokens: Distribution,
    /// Share of the prompts with tools on offer, and no tool forced, that are answered with a call.
    pub tool_calls: Share,
    /// Stretches in which everything is slower.
    pub slow_periods: Option<SlowPeriods>,
    /// How many answers it works on at once; without it, any number.
    pub capacity: Option<Capacity>,
    /// Beginnings of prompts that it remembers.
    pub prompt_cache: Option<PromptCache>,
    /// What it makes of the beginning of an answer that a request brings along.
    #[serde(skip_serializing_if = "Beginnings::is_usual")]
    pub beginnings: Beginnings,
    /// What happens to work whose caller hangs up.
    pub on_disconnect: OnDisconnect,
    /// Whether an answer that the provider itself broke off is billed as far as it came.
    pub bill_broken: bool,
    /// Real rate limits, per API key and model family.
    pub limits: Option<RateLimits>,
    /// Faults, in the order of the file: the first that applies wins.
    pub faults: Vec<FaultPlan>,
}

/// A model that a provider serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelPlan {
    /// Its name on the wire.
    pub name: String,
    /// Models of a family share their rate limits.
    pub family: String,
    /// Prompt and answer must fit into so many tokens; `None` for any number.
    pub context_window: Option<u64>,
    /// List prices.
    pub price: Price,
}

/// A provider's wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI Chat Completions.
    #[serde(rename = "openai")]
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini `generateContent` and `streamGenerateContent`.
    Gemini,
    /// Ollama `/api/chat`.
    Ollama,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Gemini, Self::Ollama];

    /// Its name in files, on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
        }
    }
}

/// Slow stretches that come and go, the same for every request that arrives in one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlowPeriods {
    /// From the end of one to the start of the next, in microseconds.
    pub every: Distribution,
    /// How long one lasts, in microseconds.
    pub lasts: Distribution,
    /// All waits of an answer that arrives in one are multiplied by this.
    pub factor: f64,
}

/// How much a provider works on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Answers in progress.
    pub slots: u32,
    /// Requests that may wait for a slot; the next one is answered "overloaded".
    pub queue: u32,
}

/// A provider's prompt cache: beginnings that were seen lately are read at a lower price and in no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PromptCache {
    /// Shorter beginnings are not kept, in tokens.
    pub min_tokens: u64,
    /// Cached lengths are rounded down to a multiple of this, in tokens.
    pub granularity: u64,
    /// A beginning is forgotten when nobody used it for so long.
    pub ttl: Micros,
}

/// What a model makes of a last turn of its own, the beginning of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beginnings {
    /// It answers from the beginning, as if the turn were any other.
    #[default]
    Ignored,
    /// It goes on where the turn ends.
    Continued,
    /// It refuses the request with a 400.
    Refused,
}

impl Beginnings {
    /// Whether it is what most models do.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// What a provider does when its caller hangs up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "policy", rename_all = "snake_case")]
pub enum OnDisconnect {
    /// Generation and billing stop after a lag.
    Stop {
        /// From the hang-up to the last billed token.
        lag: Micros,
    },
    /// The answer is generated and billed to its end.
    RunToCompletion,
}

/// Token-bucket limits with continuous refill, per API key and model family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Prompt and completion tokens per minute together.
    pub tokens_per_minute: Option<u64>,
    /// Prompt tokens per minute, those read from the cache left out.
    pub input_tokens_per_minute: Option<u64>,
    /// Completion tokens per minute.
    pub output_tokens_per_minute: Option<u64>,
    /// How much of a minute's allowance the bucket holds; real providers enforce a minute in smaller slices.
    pub burst: Share,
}

/// List price of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Price {
    /// Per prompt token.
    pub prompt: Picodollars,
    /// Per prompt token read from the provider's cache.
    pub cached: Picodollars,
    /// Per prompt token written to the provider's cache.
    pub cache_write: Picodollars,
    /// Per completion token.
    pub completion: Picodollars,
    /// For each call that is billed, whatever it carries.
    #[serde(skip_serializing_if = "is_free")]
    pub per_call: Picodollars,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_free(price: &Picodollars) -> bool {
    price.0 == 0
}

impl ProviderPlan {
    /// The model that the service is told.
    pub fn model(&self) -> &str {
        self.models.first().map_or("", |model| &model.name)
    }

    /// The model of that name, if the provider serves it.
    pub fn serves(&self, model: &str) -> Option<&ModelPlan> {
        self.models.iter().find(|served| served.name == model)
    }

    /// How long the slowest answer takes that can reasonably be drawn, faults included: a bound for choosing parts, not a
    /// figure. The end of time if a fault can keep an answer back for good.
    pub fn slowest_answer(&self) -> Micros {
        let tokens = self.output_tokens.upper();
        let (mut first, mut gap, mut stall) = (self.first_token.upper(), self.inter_token.upper(), 0.0_f64);
        for fault in &self.faults {
            match &fault.effect {
                FaultEffect::LatencySpike {
                    first_token,
                    inter_token,
                } => {
                    first = first_token.as_ref().map_or(first, |d| first.max(d.upper()));
                    gap = inter_token.as_ref().map_or(gap, |d| gap.max(d.upper()));
                }
                FaultEffect::Stall { lasts: Some(lasts), .. } => stall = stall.max(lasts.upper()),
                FaultEffect::Stall { lasts: None, .. } | FaultEffect::Blackhole | FaultEffect::Trickle { .. } => {
                    return Micros(u64::MAX);
                }
                _ => {}
            }
        }
        let factor = self.slow_periods.as_ref().map_or(1.0, |slow| slow.factor.max(1.0));
        let answer = (first + gap * tokens) * factor;
        // Whoever waits for a slot waits for the answers before it.
        let turns = self
            .capacity
            .map_or(1.0, |c| 1.0 + f64::from(c.queue) / f64::from(c.slots.max(1)));
        Micros((answer * turns + stall) as u64)
    }
}
