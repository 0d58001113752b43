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
    /// The models that it serves, never empty; the service is told the first.
    pub models: Vec<ModelPlan>,
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
}

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
            for fault in &mut provider.faults {
                fault.until = fault.until.min(plan.duration);
                if let Timetable::Windows(windows) = &mut fault.timetable {
                    windows.retain(|(start, _)| *start < plan.duration);
                    if let Some((_, end)) = windows.last_mut() {
                        *end = plan.duration.min(*end);
                    }
                }
            }
            let never = |fault: &FaultPlan| matches!(&fault.timetable, Timetable::Windows(left) if left.is_empty());
            provider
                .faults
                .retain(|fault| fault.from < plan.duration && !never(fault));
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
