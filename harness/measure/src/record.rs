//! The run record: what `run.json` holds, and all that reports, gates and comparisons read.
//!
//! Integers are the truth and make up `results_fingerprint`; milliseconds, dollars and ratios are derived from them for
//! people. Keys are a contract: add, never rename without a new `schema`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `schema` of records written by this version.
pub const SCHEMA: &str = "brownout.run/1";

/// One scenario, played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: String,
    /// Version of the tool.
    pub brownout: String,
    /// The scenario's name.
    pub scenario: String,
    /// What it asks.
    pub question: String,
    /// The claim it tests, if it states one.
    pub claim: Option<String>,
    /// `virtual` or `real`.
    pub clock: ClockKind,
    /// The seed.
    pub seed: u64,
    /// Hash of lock file, compiler and target.
    pub engine: String,
    /// Hash of the resolved plan.
    pub plan_fingerprint: String,
    /// Hash of the integers in the results.
    pub results_fingerprint: String,
    /// The command that plays it again.
    pub command: String,
    /// True when the run was interrupted: it counts what had fallen due.
    pub interrupted: bool,
    /// Where it ran; in no fingerprint.
    pub environment: Environment,
    /// What came out.
    pub results: Results,
}

/// Which clock a run was played on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockKind {
    /// Exact, in one process.
    Virtual,
    /// Sockets, processes, real time.
    Real,
}

/// Where a run was played.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// When it started, RFC 3339; empty on the virtual clock.
    pub started: String,
    /// Operating system and architecture.
    pub platform: String,
    /// Processors the harness could use.
    pub cpus: u64,
    /// Wall seconds the run took.
    pub wall_s: f64,
    /// What a reader must know about how this run was made: replaced parts, engines.
    pub notes: Vec<String>,
}

/// What came out of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Per variant, in the order of the file.
    pub variants: Vec<VariantRecord>,
    /// Per expectation, in the order of the file.
    pub expectations: Vec<ExpectationRecord>,
    /// The sum of it.
    pub verdict: Verdict,
    /// The question answered in one sentence, from the figures.
    pub answer: String,
    /// What each cure is worth, where that was asked: played beside the variants, in no verdict and no fingerprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ablation: Vec<AblationRecord>,
}

/// One cure: alone, and taken out of the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AblationRecord {
    /// Its name.
    pub cure: String,
    /// The settings it consists of, as far as the two variants differ in them.
    pub keys: Vec<String>,
    /// The variant without any cure.
    pub base: String,
    /// The variant with all of them.
    pub full: String,
    /// The base with this cure alone; `None` where those settings contradict each other.
    pub alone: Option<AblationFigures>,
    /// The whole without this cure; `None` where those settings contradict each other.
    pub without: Option<AblationFigures>,
}

/// What a cure is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct AblationFigures {
    /// Requests by what became of them.
    pub requests: RequestCounts,
    /// Valid answers per second of measured time.
    pub goodput_rps: f64,
    /// 99th percentile of latency; `None` if nothing was answered.
    pub p99_ms: Option<f64>,
    /// What the providers bill, in US dollars.
    pub cost_usd: f64,
    /// The same in picodollars.
    pub cost_picodollars: u64,
    /// The same by valid answers; `None` if there was none.
    pub cost_per_valid_usd: Option<f64>,
}

/// How a run or an expectation came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that was expected holds.
    Passed,
    /// Something that was expected does not hold.
    Failed,
    /// The books do not balance, or the harness was the bottleneck: no figure may be trusted.
    Invalid,
    /// There is not enough to judge.
    Inconclusive,
}

/// An expectation and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExpectationRecord {
    /// It, in words.
    pub text: String,
    /// The variant it is about; `None` for a comparison.
    pub variant: Option<String>,
    /// The figure found, if there was one.
    pub value: Option<f64>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What the author says it shows.
    pub because: Option<String>,
}

/// One variant's figures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct VariantRecord {
    /// Name.
    pub name: String,
    /// Design of the service.
    pub design: String,
    /// Endpoint the clients called.
    pub endpoint: String,
    /// Seconds of measured time: the run without warm-up and drain.
    pub duration_s: f64,
    /// Usable answers that arrived within the measured time, per second of it. The drain is left out.
    pub throughput_rps: f64,
    /// Of these, the valid ones ([`RequestCounts::valid`]), per second likewise.
    #[serde(default)]
    pub goodput_rps: f64,
    /// Requests by what became of them.
    pub requests: RequestCounts,
    /// Failures by class. 504s are split by where the time went: `gateway_timeout_before_model`, `gateway_timeout_in_model`.
    pub errors: BTreeMap<String, u64>,
    /// Last HTTP status seen, by code.
    pub status: BTreeMap<String, u64>,
    /// From due to the usable answer in the client's hands.
    pub latency: Distribution,
    /// From due to the 202 of a decoupled design.
    pub ack: Distribution,
    /// From sent to the usable answer.
    pub service_time: Distribution,
    /// From due to the end of a request that failed.
    #[serde(default)]
    pub failure_time: Distribution,
    /// From due to the first word of a streamed answer.
    pub ttft: Distribution,
    /// Between the words of a streamed answer, every gap.
    pub inter_token: Distribution,
    /// From due to sent.
    pub lateness: Distribution,
    /// From the client's hang-up to the moment the provider saw its caller leave.
    pub cancel_lag: Distribution,
    /// Token books, in sums and histograms.
    pub tokens: TokenRecord,
    /// What the providers bill, in US dollars: for the requests of the figures, and for what nobody asked for.
    pub cost_usd: f64,
    /// The same in picodollars: the integer that is fingerprinted.
    pub cost_picodollars: u64,
    /// Of these, for what nobody asked for.
    #[serde(default)]
    pub unasked: UnaskedRecord,
    /// Of these, for tokens nobody used (prompt tokens of useless attempts included).
    pub wasted_picodollars: u64,
    /// Attempts that reached a provider.
    pub attempts: AttemptRecord,
    /// Where the slowest hundredth of the requests spent its time: share by phase, 0 to 1, summing to 1.
    pub attribution: BTreeMap<String, f64>,
    /// The same in microseconds: the integers behind the shares.
    pub attribution_us: BTreeMap<String, u64>,
    /// The phase that took most of the p99, with the sentence that says so.
    pub culprit: Option<String>,
    /// Before, during and after the fault window, where there is one, and the steps of a load that goes in steps.
    pub phases: Vec<PhaseRecord>,
    /// From the end of the fault window until latency was back at its old level; `None` without a window, or if it
    /// never came back.
    pub recovery_s: Option<f64>,
    /// Second by second, by due time.
    pub timeline: Vec<TimelinePoint>,
    /// By kind of client, of those kinds that have a name.
    #[serde(default)]
    pub clients: BTreeMap<String, ClientRecord>,
    /// What became of the target's processes.
    #[serde(default)]
    pub hosts: HostRecord,
    /// Questions after their health.
    #[serde(default)]
    pub probes: ProbeRecords,
    /// Second by second, where the processes were watched.
    #[serde(default)]
    pub replicas: Vec<ReplicaPoint>,
    /// Whether the books balance.
    pub books: Books,
    /// The fault window, in seconds from the start of the run.
    pub fault_window_s: Option<(f64, f64)>,
    /// Which engine served each provider, and why.
    pub engines: BTreeMap<String, String>,
}

/// Requests by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Asked for by the schedule.
    pub due: u64,
    /// Left the client.
    pub sent: u64,
    /// Ended with a complete, usable answer.
    pub answered: u64,
    /// Ended otherwise.
    pub failed: u64,
    /// Given up by their client, as planned.
    pub aborted: u64,
    /// Never left.
    pub not_sent: u64,
    /// Of the answered, those whose client took a part of an answer for all of it.
    #[serde(default)]
    pub incomplete: u64,
    /// Of the answered, those that the provider's content filter cut.
    #[serde(default)]
    pub withheld: u64,
    /// Of the answered, those that answer another question.
    #[serde(default)]
    pub wrong: u64,
    /// Of the answered, those served from an attempt that had ended before they were sent, and was made for another request.
    #[serde(default)]
    pub from_cache: u64,
    /// Of the answered, those served from an attempt that was under way, and was made for another request.
    #[serde(default)]
    pub coalesced: u64,
}

impl RequestCounts {
    /// Of the answered, those whose client got all that the provider had said.
    pub const fn whole(&self) -> u64 {
        self.answered.saturating_sub(self.incomplete)
    }

    /// Of the answered, those that were worth having: neither cut short, nor withheld, nor the answer to another question.
    pub const fn valid(&self) -> u64 {
        self.answered
            .saturating_sub(self.incomplete + self.withheld + self.wrong)
    }
}

impl VariantRecord {
    /// What a valid answer costs, in US dollars; `None` if there was none.
    pub fn cost_per_valid_usd(&self) -> Option<f64> {
        let valid = self.requests.valid();
        (valid > 0).then(|| self.cost_usd / valid as f64)
    }

    /// Answers that came from a cache for every thousand tokens that were paid for, prompts and what nobody asked for
    /// included; `None` if nothing was paid for.
    pub fn hits_per_1000_tokens(&self) -> Option<f64> {
        let paid = self.tokens.prompt + self.tokens.billed + self.unasked.prompt + self.unasked.billed;
        (paid > 0).then(|| 1_000.0 * self.requests.from_cache as f64 / paid as f64)
    }
}

/// A latency distribution with its histogram.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Distribution {
    /// Values recorded.
    pub count: u64,
    /// Smallest.
    pub min_ms: f64,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// Largest.
    pub max_ms: f64,
    /// Mean.
    pub mean_ms: f64,
    /// HDR histogram of microseconds, 3 significant digits: V2, uncompressed, base64. Empty when nothing was recorded.
    pub hdr: String,
}

/// Token books of a variant.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Completion tokens billed by the providers.
    pub billed: u64,
    /// Of these, in an answer somebody read, and of the thinking that led to it.
    pub used: u64,
    /// Tokens counted in the clients' hands.
    pub delivered: u64,
    /// Of these, from attempts that had ended before the request was sent, and were made for others.
    #[serde(default)]
    pub from_cache: u64,
    /// Of these, from attempts that were under way, and were made for others.
    #[serde(default)]
    pub fan_out: u64,
    /// `billed - used`.
    pub wasted: u64,
    /// `wasted / billed`; 0 when nothing was billed.
    pub wasted_ratio: f64,
    /// Wasted, by why.
    pub wasted_by: WastedBy,
    /// Prompt tokens billed.
    pub prompt: u64,
    /// Tokens per request.
    pub histogram: TokenHistograms,
}

/// Billed tokens nobody used, by why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WastedBy {
    /// The client had left.
    pub abandoned: u64,
    /// Another attempt's answer was used.
    pub superseded: u64,
    /// The answer was complete, but the client got an error in its place.
    pub discarded: u64,
    /// Part of an answer that broke off.
    pub truncated: u64,
    /// A job's result that nobody fetched.
    pub unfetched: u64,
}

/// Histograms of tokens per request, same encoding as [`Distribution::hdr`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenHistograms {
    /// Billed per request.
    pub billed: TokenHistogram,
    /// Delivered per request.
    pub delivered: TokenHistogram,
    /// Wasted per request.
    pub wasted: TokenHistogram,
}

/// One histogram of token counts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TokenHistogram {
    /// Requests counted.
    pub count: u64,
    /// Median.
    pub p50: u64,
    /// 95th percentile.
    pub p95: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
    /// V2, uncompressed, base64.
    pub hdr: String,
}

/// Attempts that reached a provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// All of them.
    pub upstream: u64,
    /// By provider.
    pub by_provider: BTreeMap<String, u64>,
    /// Those that suffered a fault, by `provider/fault`.
    #[serde(default)]
    pub by_fault: BTreeMap<String, u64>,
    /// Attempts per request sent.
    pub amplification: f64,
    /// Attempts refused by a rate limit.
    pub rate_limited: u64,
    /// Different prompts that they were made at.
    #[serde(default)]
    pub distinct_prompts: u64,
    /// The most attempts at one prompt.
    #[serde(default)]
    pub per_prompt_max: u64,
}

/// Attempts that no request led to: a cache that is filled before anybody asks, a service that asks after a provider's
/// health. From the first moment of the run to the end of the measured time: who answers from such a cache has paid for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnaskedRecord {
    /// That many.
    pub attempts: u64,
    /// Prompt tokens billed for them.
    pub prompt: u64,
    /// Completion tokens billed for them.
    pub billed: u64,
    /// What they cost.
    pub picodollars: u64,
}

/// A part of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PhaseRecord {
    /// `before`, `during` or `after` the fault window, or a step of the load such as `step-1`.
    pub name: String,
    /// Start, in seconds from the start of the run.
    pub from_s: f64,
    /// End.
    pub until_s: f64,
    /// Requests due in it.
    pub requests: RequestCounts,
    /// Failures by class.
    pub errors: BTreeMap<String, u64>,
    /// From due to the usable answer.
    pub latency: Distribution,
    /// From due to the first word.
    pub ttft: Distribution,
    /// From due to the end of a request that failed.
    #[serde(default)]
    pub failure_time: Distribution,
    /// What became of the target's processes in it.
    #[serde(default)]
    pub hosts: HostRecord,
}

/// One kind of client.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClientRecord {
    /// Its requests.
    pub requests: RequestCounts,
    /// Failures by class.
    pub errors: BTreeMap<String, u64>,
    /// From due to the usable answer.
    pub latency: Distribution,
    /// From due to the first word.
    pub ttft: Distribution,
}

/// What became of the target's processes. A replica is one that serves requests; workers are not.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct HostRecord {
    /// Processes started, workers and replacements included.
    pub started: u64,
    /// Of these, in place of one that had been there before.
    pub restarts: u64,
    /// Told to end in good order.
    pub terminated: u64,
    /// Ended without a word.
    pub killed: u64,
    /// Told to end because they failed their liveness probe.
    pub failed_liveness: u64,
    /// Times the load balancer stopped sending requests to a replica.
    pub ejected: u64,
    /// Times it sent them again.
    pub admitted: u64,
    /// The most replicas that were ready at once.
    pub most_ready: u64,
    /// The fewest.
    pub least_ready: u64,
    /// Seconds that replicas were there, ready or not, all added up: the bill.
    pub replica_seconds: f64,
}

impl HostRecord {
    /// Whether anything happened to the processes at all, beyond that they were there.
    pub fn is_eventful(&self) -> bool {
        let happened = self.restarts + self.terminated + self.killed + self.failed_liveness + self.ejected;
        happened > 0 || self.least_ready != self.most_ready
    }
}

/// Questions after the health of processes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeRecords {
    /// The orchestrator's.
    pub liveness: ProbeRecord,
    /// The load balancer's.
    pub readiness: ProbeRecord,
}

/// How long answers to a probe took, or were waited for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProbeRecord {
    /// Without an answer in time, or with another than 2xx.
    pub failed: u64,
    /// From the question to the answer, or to the end of the wait.
    #[serde(flatten)]
    pub took: Distribution,
}

/// One second of the target's processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReplicaPoint {
    /// Its start, in seconds from the start of the run.
    pub second: u64,
    /// The fewest replicas that were ready at once.
    pub least_ready: u64,
    /// The most.
    pub most_ready: u64,
    /// Processes started in place of others.
    pub restarts: u64,
    /// Processes that were ended, in good order or not.
    pub ended: u64,
}

/// One second of the run, by due time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TimelinePoint {
    /// Its start, in seconds from the start of the run.
    pub second: u64,
    /// Requests that fell due.
    pub due: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Of these, failed.
    pub failed: u64,
    /// Of these, given up by their client.
    pub aborted: u64,
    /// Median latency of the answered, in microseconds; 0 without one.
    pub p50_us: u64,
    /// Largest latency of the answered, in microseconds.
    pub max_us: u64,
    /// Attempts that arrived at a provider in this second.
    pub attempts: u64,
}

/// Whether the books balance.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Books {
    /// All of the below.
    pub balanced: bool,
    /// False when the target's text is not the provider's, so that tokens cannot be joined.
    pub joined: bool,
    /// What does not add up, in words; empty when balanced.
    pub discrepancies: Vec<String>,
    /// Tokens billed outside any request: probes, warm-up.
    pub overhead: u64,
}
