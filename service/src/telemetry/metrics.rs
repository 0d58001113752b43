//! The instance's own registry of metrics.
//!
//! Labels are bounded: endpoints, providers and outcomes come from the code and the settings, never from a request.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::upstream::Usage;

/// Bounds of the latency histograms, in seconds: a database at the low end, a long answer at the high end.
const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    endpoint: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    endpoint: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempted {
    provider: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

type Histograms = Family<Endpoint, Histogram, fn() -> Histogram>;

/// Handles to all metrics. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Answered, Counter>,
    cancelled: Family<Endpoint, Counter>,
    duration: Histograms,
    pool_wait: Histogram,
    attempts: Family<Attempted, Counter>,
    tokens: Family<Kind, Counter>,
    jobs: Family<Kind, Counter>,
    /// Database connections handed out.
    pub(crate) pool_in_use: Gauge,
    /// Workers of the blocking design that are busy.
    pub(crate) workers_busy: Gauge,
    /// Jobs that are running here.
    pub(crate) jobs_running: Gauge,
    /// Second visits to a provider.
    pub(crate) retries: Counter,
    /// Visits to the next provider.
    pub(crate) fallbacks: Counter,
    /// Usage rows that could not be written.
    pub(crate) usage_lost: Counter,
    /// Spans that could not be sent.
    pub(crate) spans_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut metrics = Self {
            registry: Arc::default(),
            requests: Family::default(),
            cancelled: Family::default(),
            duration: Family::new_with_constructor(histogram),
            pool_wait: histogram(),
            attempts: Family::default(),
            tokens: Family::default(),
            jobs: Family::default(),
            pool_in_use: Gauge::default(),
            workers_busy: Gauge::default(),
            jobs_running: Gauge::default(),
            retries: Counter::default(),
            fallbacks: Counter::default(),
            usage_lost: Counter::default(),
            spans_dropped: Counter::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }
}

impl Metrics {
    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("service");
        registry.register("requests", "Requests by endpoint and status", self.requests.clone());
        registry.register(
            "request_duration_seconds",
            "From request to the end of its answer",
            self.duration.clone(),
        );
        registry.register(
            "cancelled",
            "Requests whose client left before the end",
            self.cancelled.clone(),
        );
        registry.register(
            "pool_in_use",
            "Database connections handed out",
            self.pool_in_use.clone(),
        );
        registry.register(
            "pool_wait_seconds",
            "Wait for a database connection",
            self.pool_wait.clone(),
        );
        registry.register(
            "workers_busy",
            "Busy workers of the blocking design",
            self.workers_busy.clone(),
        );
        registry.register("jobs_running", "Jobs that are running here", self.jobs_running.clone());
        registry.register("jobs", "Jobs by what happened to them here", self.jobs.clone());
        registry.register(
            "upstream_attempts",
            "Attempts by provider and outcome",
            self.attempts.clone(),
        );
        registry.register("retries", "Second visits to a provider", self.retries.clone());
        registry.register(
            "fallbacks",
            "Visits to the next provider of the chain",
            self.fallbacks.clone(),
        );
        registry.register("tokens", "Tokens as the providers report them", self.tokens.clone());
        registry.register(
            "usage_lost",
            "Usage rows that could not be written",
            self.usage_lost.clone(),
        );
        registry.register(
            "spans_dropped",
            "Spans that could not be sent",
            self.spans_dropped.clone(),
        );
        registry
    }

    /// A request was answered.
    pub(crate) fn answered(&self, endpoint: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answered { endpoint, status }).inc();
        self.duration
            .get_or_create(&Endpoint { endpoint })
            .observe(took.as_secs_f64());
    }

    /// A client left.
    pub(crate) fn cancelled(&self, endpoint: &'static str) {
        self.cancelled.get_or_create(&Endpoint { endpoint }).inc();
    }

    /// A connection was waited for.
    pub(crate) fn pool_waited(&self, wait: Duration) {
        self.pool_wait.observe(wait.as_secs_f64());
    }

    /// An attempt at a provider ended.
    pub(crate) fn attempt(&self, provider: &str, outcome: &'static str) {
        let label = Attempted {
            provider: provider.to_owned(),
            outcome,
        };
        self.attempts.get_or_create(&label).inc();
    }

    /// A provider reported what an answer cost.
    pub(crate) fn used(&self, usage: Usage) {
        let count = |kind, tokens| self.tokens.get_or_create(&Kind { kind }).inc_by(tokens);
        count("prompt", usage.prompt_tokens);
        count("completion", usage.completion_tokens);
    }

    /// Something happened to a job.
    pub(crate) fn job(&self, kind: &'static str) {
        self.jobs.get_or_create(&Kind { kind }).inc();
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
