//! The resolved plan: every default filled in, every variant spelled out, every value valid.
//!
//! A plan is made by [`crate::Scenario::parse`] alone, so whoever holds one need not check it. It is plain data and
//! serialises to the same bytes everywhere; `plan_fingerprint` is the hash of those bytes.

use serde::Serialize;

use crate::distribution::Distribution;
use crate::units::{Micros, PerSecond, Picodollars, Share};

/// A scenario, resolved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The file's stem, or the name of an embedded scenario.
    pub scenario: String,
    /// What the run is to answer.
    pub question: String,
    /// The advice or belief that is put to the test.
    pub claim: Option<String>,
    /// Root of every draw.
    pub seed: u64,
    /// Requests due before this instant are played, but kept out of every figure but the books.
    pub warmup: Micros,
    /// How long requests fall due for, warm-up included.
    pub duration: Micros,
    /// How long what is still open may take after that.
    pub drain: Micros,
    /// Where the run judges the harness itself.
    pub limits: Limits,
    /// The designs that are compared, in the order of the file.
    pub variants: Vec<Variant>,
    /// What must hold.
    pub expectations: Vec<Expectation>,
}

/// What the harness demands of itself on the real clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Limits {
    /// A run whose 99th percentile of send lateness is above this is invalid.
    pub lateness_p99: Micros,
}

/// One way to run the service, with the world around it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Name, unique in the plan.
    pub name: String,
    /// What the service is told.
    pub service: ServicePlan,
    /// The providers, in the order of the file.
    pub providers: Vec<ProviderPlan>,
    /// The load balancer in front of the service, if there is one.
    pub gateway: Option<GatewayPlan>,
    /// What the clients do.
    pub load: LoadPlan,
}

/// How the target is set up. All but the numbers of processes is passed through, unread.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServicePlan {
    /// `design` of the reference service, for the record.
    pub design: String,
    /// Processes that serve requests.
    pub replicas: u32,
    /// Processes that work on queued jobs.
    pub workers: u32,
    /// The service's own settings (`preset`, `design`, ...), as the file has them, keys in order.
    pub settings: serde_json::Map<String, serde_json::Value>,
}

/// A simulated provider.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProviderPlan {
    /// Name, unique in the plan.
    pub name: String,
    /// Wire dialect.
    pub dialect: Dialect,
    /// The model that it serves.
    pub model: String,
    /// Time to first token, in microseconds.
    pub first_token: Distribution,
    /// Gap between tokens, in microseconds.
    pub inter_token: Distribution,
    /// Length of an answer, in tokens; the request's own limit cuts it.
    pub output_tokens: Distribution,
    /// What happens to work whose caller hangs up.
    pub on_disconnect: OnDisconnect,
    /// Real rate limits, per API key.
    pub limits: Option<RateLimits>,
    /// Faults, in the order of the file: the first that applies wins.
    pub faults: Vec<FaultPlan>,
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

/// Token-bucket limits with continuous refill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RateLimits {
    /// Requests per minute.
    pub requests_per_minute: Option<u64>,
    /// Prompt and completion tokens per minute.
    pub tokens_per_minute: Option<u64>,
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
    /// Per completion token.
    pub completion: Picodollars,
}

/// Something that goes wrong at a provider, while a window is open.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FaultPlan {
    /// `kind#position`, for ledger rows and reports.
    pub id: String,
    /// What goes wrong.
    pub effect: FaultEffect,
    /// The window opens, seen from the start of the run.
    pub from: Micros,
    /// The window closes.
    pub until: Micros,
    /// Share of the attempts in the window that suffer.
    pub probability: Share,
    /// Only the first so many attempts in the window suffer.
    pub first: Option<u64>,
}

/// What an attempt suffers, named by what is on the wire.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultEffect {
    /// An error answer.
    Status {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, if it says one.
        retry_after: Option<Micros>,
    },
    /// Slower answers.
    LatencySpike {
        /// Replaces the time to first token.
        first_token: Option<Distribution>,
        /// Replaces the gap between tokens.
        inter_token: Option<Distribution>,
    },
}

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GatewayPlan {
    /// From the request's arrival to the head of the answer (past it: 504) and, unless that is an event stream, to its last
    /// byte (past it: the connection is cut).
    pub request_timeout: Micros,
    /// Longest silence within an answer; then it cuts the connection.
    pub idle_timeout: Micros,
}

/// The clients.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoadPlan {
    /// When requests fall due.
    pub arrivals: Arrivals,
    /// What they ask for.
    pub endpoint: Endpoint,
    /// How often a client asks for the result of its job.
    pub poll: Micros,
    /// Length of a prompt, in tokens.
    pub prompt_tokens: Distribution,
    /// The `max_tokens` a client asks for.
    pub max_tokens: u64,
    /// How long a client waits for the whole answer; `None` for ever (the drain bounds it).
    pub patience: Option<Micros>,
    /// Kinds of clients; their shares sum to 1.
    pub clients: Vec<ClientPlan>,
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
    /// `POST /jobs`, then polling.
    Jobs,
}

/// A kind of client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientPlan {
    /// Share of the requests.
    pub share: Share,
    /// When it leaves, if it does.
    pub disconnect: Option<Disconnect>,
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

/// Something that must hold for the run to pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expectation {
    /// What it says about the world, for the report.
    pub because: Option<String>,
    /// Which variant's figure; `None` with a comparison or for all variants.
    pub variant: Option<String>,
    /// Path of the figure in the variant's record, such as `tokens.wasted_ratio`, `latency.p99_ms`, `errors.gateway_timeout`.
    pub metric: String,
    /// Take the figure from this phase (`before`, `during`, `after` the fault window) and not from the whole run.
    pub phase: Option<String>,
    /// A quotient of two variants' figures and not one figure.
    pub compare: Option<Comparison>,
    /// Lower bound, included.
    pub at_least: Option<f64>,
    /// Upper bound, included.
    pub at_most: Option<f64>,
}

/// `numerator / denominator` of two variants' figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The variant above the line.
    pub numerator: String,
    /// The variant below the line.
    pub denominator: String,
}

impl ProviderPlan {
    /// How long the slowest answer takes that can reasonably be drawn, faults included: a bound for choosing parts, not a
    /// figure.
    pub fn slowest_answer(&self) -> Micros {
        let tokens = self.output_tokens.upper();
        let (mut first, mut gap) = (self.first_token.upper(), self.inter_token.upper());
        for fault in &self.faults {
            if let FaultEffect::LatencySpike {
                first_token,
                inter_token,
            } = &fault.effect
            {
                first = first_token.as_ref().map_or(first, |d| first.max(d.upper()));
                gap = inter_token.as_ref().map_or(gap, |d| gap.max(d.upper()));
            }
        }
        Micros((first + gap * tokens) as u64)
    }
}

impl Variant {
    /// The hull of all fault windows of all providers, where there is one: what phases and charts mean by "the fault".
    pub fn fault_window(&self) -> Option<(Micros, Micros)> {
        let faults = || self.providers.iter().flat_map(|p| &p.faults);
        Some((faults().map(|f| f.from).min()?, faults().map(|f| f.until).max()?))
    }
}

impl Plan {
    /// The beginning of this plan, up to `duration`: without expectations, which were written for the whole.
    #[must_use]
    pub fn beginning(&self, duration: Micros) -> Self {
        let mut plan = self.clone();
        plan.duration = duration.min(self.duration);
        if plan.warmup >= plan.duration {
            plan.warmup = Micros::ZERO;
        }
        plan.expectations.clear();
        for provider in plan.variants.iter_mut().flat_map(|v| &mut v.providers) {
            provider.faults.retain(|fault| fault.from < plan.duration);
            for fault in &mut provider.faults {
                fault.until = fault.until.min(plan.duration);
            }
        }
        plan
    }

    /// This plan with the named variants only, and the expectations that speak of no other. `None` if a name is unknown.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Option<Self> {
        if names.iter().any(|name| !self.variants.iter().any(|v| v.name == *name)) {
            return None;
        }
        let kept = |name: &String| names.contains(name);
        let mut plan = self.clone();
        plan.variants.retain(|v| kept(&v.name));
        plan.expectations.retain(|e| {
            e.variant.as_ref().is_none_or(kept)
                && e.compare
                    .as_ref()
                    .is_none_or(|c| kept(&c.numerator) && kept(&c.denominator))
        });
        Some(plan)
    }

    /// SHA-256 over the plan's canonical JSON, in hex.
    pub fn fingerprint(&self) -> String {
        use sha2::Digest;
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        sha2::Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                use std::fmt::Write;
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}
