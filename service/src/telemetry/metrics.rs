//! The instance's own registry of metrics.
//!
//! Labels are bounded: endpoints, providers and outcomes come from the code and the settings, never from a request.

mod buckets;
mod labels;
mod text;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use self::labels::{
    Answered, Attempted, Breaker, Build, Cached, Capped, Endpoint, EndpointKind, EndpointModel, Kind, Known, Model,
    Outcome, Provider, Reason, Routed, State, Tokens, Turned, WastedTokens,
};
pub(crate) use self::text::Format;
use super::conventions::metric;
use crate::queue::Depth;
use crate::resilience::breaker::Standing;
use crate::upstream::Usage;

/// The status under which requests are counted and logged whose client left: nobody was there for any other. Source: nginx.
pub(crate) const CLIENT_LEFT: u16 = 499;
/// Different models, and different providers, that get labels of their own.
const NAMES: usize = 64;

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
/// A gauge that is not whole.
type Fraction = Gauge<f64, AtomicU64>;

/// Counts into a gauge as long as it lives.
pub(crate) struct Counted(Gauge);

impl Counted {
    pub(crate) fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Why tokens that a provider delivered were of use to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wasted {
    /// The one who waited for them had left.
    Abandoned,
    /// The answer that they were part of broke off.
    Truncated,
}

/// Handles to all metrics. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    models: Capped,
    providers: Capped,
    requests: Family<Answered, Counter>,
    errors: Family<EndpointKind, Counter>,
    cancelled: Family<Endpoint, Counter>,
    abandoned: Family<Known, Counter>,
    drained: Family<Outcome, Counter>,
    refused: Family<Kind, Counter>,
    limited: Family<Kind, Counter>,
    shed: Family<Reason, Counter>,
    duration: Histograms<Endpoint>,
    first_token: Histograms<EndpointModel>,
    output_token: Histograms<Model>,
    cost: Histograms<Model>,
    pool_wait: Histogram,
    attempts: Family<Attempted, Counter>,
    attempt_duration: Histograms<Provider>,
    routes: Family<Routed, Counter>,
    batch: Histogram,
    breaker_state: Family<Breaker, Gauge>,
    breaker_transitions: Family<Turned, Counter>,
    breaker_refused: Family<Breaker, Counter>,
    hedges: Family<Outcome, Counter>,
    rescues: Family<Outcome, Counter>,
    structured: Family<Outcome, Counter>,
    cache_lookups: Family<Cached, Counter>,
    cache_stores: Family<Cached, Counter>,
    coalesced: Family<Outcome, Counter>,
    tokens: Family<Tokens, Counter>,
    wasted: Family<WastedTokens, Counter>,
    jobs: Family<Kind, Counter>,
    job_duration: Histogram,
    webhooks: Family<Outcome, Counter>,
    queue_depth: Family<State, Gauge>,
    queue_oldest: Fraction,
    build: Family<Build, Gauge>,
    /// Requests that were not answered yet.
    pub(crate) in_flight: Gauge,
    /// Requests whose client has left and that are worked on all the same.
    pub(crate) draining: Gauge,
    /// Steps that the store of limits did not do.
    pub(crate) limit_store_errors: Counter,
    /// 1 while the store of limits does not answer.
    pub(crate) limits_degraded: Gauge,
    /// Calls that may be at work at a time.
    pub(crate) places: Gauge,
    /// Calls that are at work.
    pub(crate) places_in_use: Gauge,
    /// Calls that wait for a place.
    pub(crate) places_waiting: Gauge,
    /// Database connections that there can be.
    pub(crate) pool_size: Gauge,
    /// Database connections handed out.
    pub(crate) pool_in_use: Gauge,
    /// Requests that wait for a database connection.
    pub(crate) pool_waiting: Gauge,
    /// Workers of the blocking design.
    pub(crate) workers: Gauge,
    /// Workers of the blocking design that are busy.
    pub(crate) workers_busy: Gauge,
    /// Jobs that are running here.
    pub(crate) jobs_running: Gauge,
    /// Tokens of conversations that the model was not shown.
    pub(crate) diet_tokens: Counter,
    /// Answers that were asked for shorter than the client asked.
    pub(crate) diet_capped: Counter,
    /// Second visits to a provider.
    pub(crate) retries: Counter,
    /// Visits to the next provider.
    pub(crate) fallbacks: Counter,
    /// Usage rows that could not be written.
    pub(crate) usage_lost: Counter,
    /// Spans that could not be sent.
    pub(crate) spans_dropped: Counter,
    /// When the instance began, in seconds since the Unix epoch.
    pub(crate) process_start: Fraction,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(buckets::SECONDS);
        let mut metrics = Self {
            registry: Arc::default(),
            models: Capped::new(NAMES),
            providers: Capped::new(NAMES),
            requests: Family::default(),
            errors: Family::default(),
            cancelled: Family::default(),
            abandoned: Family::default(),
            drained: Family::default(),
            refused: Family::default(),
            limited: Family::default(),
            shed: Family::default(),
            duration: Family::new_with_constructor(seconds),
            first_token: Family::new_with_constructor(|| Histogram::new(buckets::FIRST_TOKEN_SECONDS)),
            output_token: Family::new_with_constructor(|| Histogram::new(buckets::OUTPUT_TOKEN_SECONDS)),
            cost: Family::new_with_constructor(|| Histogram::new(buckets::USD)),
            pool_wait: seconds(),
            attempts: Family::default(),
            attempt_duration: Family::new_with_constructor(seconds),
            routes: Family::default(),
            batch: Histogram::new(buckets::INPUTS),
            breaker_state: Family::default(),
            breaker_transitions: Family::default(),
            breaker_refused: Family::default(),
            hedges: Family::default(),
            rescues: Family::default(),
            structured: Family::default(),
            cache_lookups: Family::default(),
            cache_stores: Family::default(),
            coalesced: Family::default(),
            tokens: Family::default(),
            wasted: Family::default(),
            jobs: Family::default(),
            job_duration: Histogram::new(buckets::JOB_SECONDS),
            webhooks: Family::default(),
            queue_depth: Family::default(),
            build: Family::default(),
            in_flight: Gauge::default(),
            draining: Gauge::default(),
            queue_oldest: Fraction::default(),
            limit_store_errors: Counter::default(),
            limits_degraded: Gauge::default(),
            places: Gauge::default(),
            places_in_use: Gauge::default(),
            places_waiting: Gauge::default(),
            pool_size: Gauge::default(),
            pool_in_use: Gauge::default(),
            pool_waiting: Gauge::default(),
            workers: Gauge::default(),
            workers_busy: Gauge::default(),
            jobs_running: Gauge::default(),
            diet_tokens: Counter::default(),
            diet_capped: Counter::default(),
            retries: Counter::default(),
            fallbacks: Counter::default(),
            usage_lost: Counter::default(),
            spans_dropped: Counter::default(),
            process_start: Fraction::default(),
        };
        let version = env!("CARGO_PKG_VERSION");
        metrics.build.get_or_create(&Build { version }).set(1);
        metrics.registry = Arc::new(metrics.register());
        metrics
    }
}

impl Metrics {
    fn register(&self) -> Registry {
        let mut registry = Registry::default();
        add(
            &mut registry,
            metric::PROCESS_START,
            "When the instance began, since the Unix epoch",
            &self.process_start,
        );
        let service = registry.sub_registry_with_prefix(metric::PREFIX);
        self.register_requests(service);
        self.register_limits(service);
        self.register_providers(service);
        self.register_instance(service);
        registry
    }

    fn register_requests(&self, to: &mut Registry) {
        add(to, metric::REQUESTS, "Requests by endpoint and status", &self.requests);
        add(
            to,
            metric::REQUESTS_IN_FLIGHT,
            "Requests not answered yet",
            &self.in_flight,
        );
        add(
            to,
            metric::REQUEST_ERRORS,
            "Requests that failed, by kind of problem",
            &self.errors,
        );
        let help = "From request to the end of its answer";
        add(to, metric::REQUEST_DURATION, help, &self.duration);
        let help = "From request to the first token from a provider, waits and failed attempts included";
        add(to, metric::FIRST_TOKEN, help, &self.first_token);
        let help = "From token to token of a stream, averaged over the answer";
        add(to, metric::OUTPUT_TOKEN, help, &self.output_token);
        let help = "Requests whose client left before the end";
        add(to, metric::CANCELLED, help, &self.cancelled);
        let help = "Requests whose client left and that nobody works for any more, by how it is known what they used";
        add(to, metric::ABANDONED, help, &self.abandoned);
        let help = "Requests whose client has left and that are worked on all the same, within the bounds of drain";
        add(to, metric::DRAINING, help, &self.draining);
        let help = "Requests whose client left and that were to be drained, by what came of them";
        add(to, metric::DRAINED, help, &self.drained);
        let help = "Requests that were refused for their key before they were read, by kind of problem";
        add(to, metric::REFUSED, help, &self.refused);
    }

    fn register_limits(&self, to: &mut Registry) {
        let help = "Requests that a limit stopped, by which";
        add(to, metric::LIMITED, help, &self.limited);
        let help = "Steps that the store of limits did not do";
        add(to, metric::LIMIT_STORE_ERRORS, help, &self.limit_store_errors);
        let help = "1 while the store of limits does not answer and limits.when_down is what is done";
        add(to, metric::LIMITS_DEGRADED, help, &self.limits_degraded);
        let help = "Calls that may be at work at a time; 0 for as many as come";
        add(to, metric::PLACES, help, &self.places);
        add(to, metric::PLACES_IN_USE, "Calls that are at work", &self.places_in_use);
        add(
            to,
            metric::PLACES_WAITING,
            "Calls that wait for a place",
            &self.places_waiting,
        );
        let help = "Calls that were refused a place, by reason";
        add(to, metric::SHED, help, &self.shed);
    }

    fn register_providers(&self, to: &mut Registry) {
        add(to, metric::ATTEMPTS, "Attempts by provider and outcome", &self.attempts);
        add(
            to,
            metric::ATTEMPT_DURATION,
            "Attempts, from sending to their end",
            &self.attempt_duration,
        );
        add(to, metric::RETRIES, "Second visits to a provider", &self.retries);
        add(
            to,
            metric::FALLBACKS,
            "Visits to the next provider of the chain",
            &self.fallbacks,
        );
        let help = "Inputs that a call for embeddings carried";
        add(to, metric::BATCH, help, &self.batch);
        let help = "Requests by the provider that was to be asked first, and why";
        add(to, metric::ROUTES, help, &self.routes);
        let help = "Tokens of conversations that the model was not shown, as far as their bytes tell";
        add(to, metric::DIET_TOKENS, help, &self.diet_tokens);
        let help = "Answers that were asked for shorter than the client asked";
        add(to, metric::DIET_CAPPED, help, &self.diet_capped);
        self.register_breakers(to);
        let help = "Second attempts beside late ones: those begun, and those that answered first";
        add(to, metric::HEDGES, help, &self.hedges);
        let help = "Streams that broke off, by whether another attempt completed them";
        add(to, metric::RESCUES, help, &self.rescues);
        let help =
            "Answers for which a form was asked: those that fit, those that did when asked again, those that did not";
        add(to, metric::STRUCTURED, help, &self.structured);
        self.register_caches(to);
        add(to, metric::TOKENS, "Tokens as the providers report them", &self.tokens);
        add(
            to,
            metric::COST,
            "What an answer costs, where prices are known",
            &self.cost,
        );
        let help = "Tokens that a provider delivered and that were of use to nobody";
        add(to, metric::WASTED_TOKENS, help, &self.wasted);
    }

    fn register_breakers(&self, to: &mut Registry) {
        let help = "Where a provider's circuit breaker for an operation stands: 0 closed, 1 half-open, 2 open";
        add(to, metric::BREAKER_STATE, help, &self.breaker_state);
        let help = "Circuit breakers that turned, by where they stood then";
        add(to, metric::BREAKER_TRANSITIONS, help, &self.breaker_transitions);
        let help = "Attempts that were not made because a circuit breaker was open";
        add(to, metric::BREAKER_REFUSED, help, &self.breaker_refused);
    }

    fn register_caches(&self, to: &mut Registry) {
        let help = "Looks into a cache by what came of them";
        add(to, metric::CACHE_LOOKUPS, help, &self.cache_lookups);
        let help = "Answers for a cache by what became of them";
        add(to, metric::CACHE_STORES, help, &self.cache_stores);
        let help = "Questions that could be shared, by their part in it";
        add(to, metric::COALESCED, help, &self.coalesced);
    }

    fn register_instance(&self, to: &mut Registry) {
        add(to, metric::BUILD_INFO, "The version that runs", &self.build);
        add(
            to,
            metric::POOL_SIZE,
            "Database connections that there can be",
            &self.pool_size,
        );
        add(
            to,
            metric::POOL_IN_USE,
            "Database connections handed out",
            &self.pool_in_use,
        );
        add(
            to,
            metric::POOL_WAITING,
            "Requests that wait for a database connection",
            &self.pool_waiting,
        );
        add(to, metric::POOL_WAIT, "Wait for a database connection", &self.pool_wait);
        add(to, metric::WORKERS, "Workers of the blocking design", &self.workers);
        add(
            to,
            metric::WORKERS_BUSY,
            "Busy workers of the blocking design",
            &self.workers_busy,
        );
        add(
            to,
            metric::JOBS_RUNNING,
            "Jobs that are running here",
            &self.jobs_running,
        );
        add(to, metric::JOBS, "Jobs by what happened to them here", &self.jobs);
        add(
            to,
            metric::JOB_DURATION,
            "From a job's acceptance to its outcome",
            &self.job_duration,
        );
        add(
            to,
            metric::WEBHOOKS,
            "Tries to tell the outcome of a job by what came of them",
            &self.webhooks,
        );
        add(to, metric::QUEUE_DEPTH, "Jobs in the queue by state", &self.queue_depth);
        let help = "How long the job that has been due for the longest has waited";
        add(to, metric::QUEUE_OLDEST, help, &self.queue_oldest);
        add(
            to,
            metric::USAGE_LOST,
            "Usage rows that could not be written",
            &self.usage_lost,
        );
        add(
            to,
            metric::SPANS_DROPPED,
            "Spans that could not be sent",
            &self.spans_dropped,
        );
    }

    /// A request was answered.
    pub(crate) fn answered(&self, endpoint: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answered { endpoint, status }).inc();
        self.duration
            .get_or_create(&Endpoint { endpoint })
            .observe(took.as_secs_f64());
    }

    /// A second attempt beside a late one: `launched`, and perhaps `won`.
    pub(crate) fn hedged(&self, outcome: &'static str) {
        self.hedges.get_or_create(&Outcome { outcome }).inc();
    }

    /// A stream that broke off was `spliced`, or that was tried `in_vain`.
    pub(crate) fn rescued(&self, outcome: &'static str) {
        self.rescues.get_or_create(&Outcome { outcome }).inc();
    }

    /// An answer was `valid`, `repaired` or `invalid` under the form that was asked for.
    pub(crate) fn checked(&self, outcome: &'static str) {
        self.structured.get_or_create(&Outcome { outcome }).inc();
    }

    /// A request failed. `kind` is the problem's.
    pub(crate) fn failed(&self, endpoint: &'static str, kind: &'static str) {
        self.errors.get_or_create(&EndpointKind { endpoint, kind }).inc();
    }

    /// A client left. No answer went out, so there is no time to it.
    pub(crate) fn cancelled(&self, endpoint: &'static str) {
        let status = CLIENT_LEFT;
        self.requests.get_or_create(&Answered { endpoint, status }).inc();
        self.cancelled.get_or_create(&Endpoint { endpoint }).inc();
    }

    /// Nobody works any more for a request whose client left. `usage` says how it is known what it used.
    pub(crate) fn abandoned(&self, usage: &'static str) {
        self.abandoned.get_or_create(&Known { usage }).inc();
    }

    /// Work whose client had left came to its end (`finished`), was cut when its time was up (`cut`), or never went on because
    /// too much did already (`full`).
    pub(crate) fn drained(&self, outcome: &'static str) {
        self.drained.get_or_create(&Outcome { outcome }).inc();
    }

    /// The first token of a streamed answer is here.
    pub(crate) fn first_token(&self, endpoint: &'static str, model: &str, after: Duration) {
        let model = self.models.label(model);
        let label = EndpointModel { endpoint, model };
        self.first_token.get_or_create(&label).observe(after.as_secs_f64());
    }

    /// A streamed answer is complete: so much time lay between one of its tokens and the next.
    pub(crate) fn output_token(&self, model: &str, each: Duration) {
        let model = self.models.label(model);
        self.output_token
            .get_or_create(&Model { model })
            .observe(each.as_secs_f64());
    }

    /// A request was refused for who sent it.
    pub(crate) fn refused(&self, kind: &'static str) {
        self.refused.get_or_create(&Kind { kind }).inc();
    }

    /// A limit stopped a request. `kind` says which.
    pub(crate) fn limited(&self, kind: &'static str) {
        self.limited.get_or_create(&Kind { kind }).inc();
    }

    /// A call was refused a place.
    pub(crate) fn shed(&self, reason: &'static str) {
        self.shed.get_or_create(&Reason { reason }).inc();
    }

    /// An answer was paid for.
    pub(crate) fn cost(&self, model: &str, usd: f64) {
        let model = self.models.label(model);
        self.cost.get_or_create(&Model { model }).observe(usd);
    }

    /// A connection was waited for.
    pub(crate) fn pool_waited(&self, wait: Duration) {
        self.pool_wait.observe(wait.as_secs_f64());
    }

    /// An attempt at a provider ended.
    pub(crate) fn attempt(&self, provider: &str, outcome: &'static str, took: Duration) {
        let provider = self.providers.label(provider);
        let label = Provider { provider };
        self.attempt_duration.get_or_create(&label).observe(took.as_secs_f64());
        let Provider { provider } = label;
        self.attempts.get_or_create(&Attempted { provider, outcome }).inc();
    }

    /// A call for embeddings goes out with so many inputs.
    pub(crate) fn batch(&self, inputs: usize) {
        self.batch.observe(inputs as f64);
    }

    /// It was decided who is to be asked first, for a `reason` of few.
    pub(crate) fn routed(&self, provider: &str, reason: &'static str) {
        let provider = self.providers.label(provider);
        self.routes.get_or_create(&Routed { provider, reason }).inc();
    }

    /// The circuit breaker of a provider stands so, for one operation.
    pub(crate) fn breaker_stands(&self, provider: &str, operation: &'static str, standing: Standing) {
        let provider = self.providers.label(provider);
        let label = Breaker { provider, operation };
        self.breaker_state.get_or_create(&label).set(standing.number());
    }

    /// The circuit breaker of a provider turned.
    pub(crate) fn breaker_turned(&self, provider: &str, operation: &'static str, to: Standing) {
        self.breaker_stands(provider, operation, to);
        let provider = self.providers.label(provider);
        let label = Turned {
            provider,
            operation,
            to: to.name(),
        };
        self.breaker_transitions.get_or_create(&label).inc();
    }

    /// An attempt was not made.
    pub(crate) fn breaker_refused(&self, provider: &str, operation: &'static str) {
        let provider = self.providers.label(provider);
        let label = Breaker { provider, operation };
        self.breaker_refused.get_or_create(&label).inc();
    }

    /// A provider reported what an answer used.
    pub(crate) fn used(&self, model: &str, usage: Usage) {
        let count = |direction, tokens| {
            let model = self.models.label(model);
            self.tokens.get_or_create(&Tokens { model, direction }).inc_by(tokens);
        };
        count("input", usage.prompt_tokens);
        count("output", usage.completion_tokens);
    }

    /// Tokens of an answer were of use to nobody. `estimated` if they were counted by the pieces they came in.
    pub(crate) fn wasted(&self, reason: Wasted, estimated: bool, tokens: u64) {
        let reason = match reason {
            Wasted::Abandoned => "abandoned",
            Wasted::Truncated => "truncated",
        };
        let estimated = if estimated { "true" } else { "false" };
        self.wasted
            .get_or_create(&WastedTokens { reason, estimated })
            .inc_by(tokens);
    }

    /// A cache was looked into.
    pub(crate) fn cache_lookup(&self, cache: &'static str, outcome: &'static str) {
        self.cache_lookups.get_or_create(&Cached { cache, outcome }).inc();
    }

    /// A cache was to keep an answer.
    pub(crate) fn cache_store(&self, cache: &'static str, outcome: &'static str) {
        self.cache_stores.get_or_create(&Cached { cache, outcome }).inc();
    }

    /// A question that could be shared was put, or joined one that was.
    pub(crate) fn coalesced(&self, outcome: &'static str) {
        self.coalesced.get_or_create(&Outcome { outcome }).inc();
    }

    /// Something happened to a job.
    pub(crate) fn job(&self, kind: &'static str) {
        self.jobs.get_or_create(&Kind { kind }).inc();
    }

    /// A job got its outcome, so long after it was taken on.
    pub(crate) fn job_took(&self, took: Duration) {
        self.job_duration.observe(took.as_secs_f64());
    }

    /// The outcome of a job was told, or not.
    pub(crate) fn webhook(&self, outcome: &'static str) {
        self.webhooks.get_or_create(&Outcome { outcome }).inc();
    }

    /// The queue was looked at.
    pub(crate) fn queue(&self, depth: &Depth) {
        for (state, jobs) in [("queued", depth.queued), ("running", depth.running)] {
            let jobs = i64::try_from(jobs).unwrap_or(i64::MAX);
            self.queue_depth.get_or_create(&State { state }).set(jobs);
        }
        self.queue_oldest.set(depth.oldest_us as f64 / 1e6);
    }

    /// All metrics as text.
    pub(crate) fn render(&self, format: Format) -> String {
        let mut open = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut open, &self.registry);
        match format {
            Format::OpenMetrics => open,
            Format::Classic => text::classic(&open),
        }
    }
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: &M) {
    registry.register(name, help, metric.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_models_there_are_the_series_are_not_more_than_the_cap() {
        let metrics = Metrics::default();
        for n in 0..1_000 {
            metrics.first_token("POST /chat/stream", &format!("model-{n}"), Duration::from_secs(1));
            metrics.attempt(&format!("provider-{n}"), "ok", Duration::from_secs(1));
        }
        let text = metrics.render(Format::Classic);
        let series = |prefix: &str| text.lines().filter(|line| line.starts_with(prefix)).count();
        assert_eq!(series("service_time_to_first_token_seconds_count"), NAMES + 1);
        assert_eq!(series("service_upstream_attempts_total"), NAMES + 1);
        let rest = r#"service_time_to_first_token_seconds_count{endpoint="POST /chat/stream",model="other"} 936"#;
        assert!(text.lines().any(|line| line == rest), "{text}");
    }

    #[test]
    fn the_queue_is_seen_by_state() {
        let metrics = Metrics::default();
        metrics.queue(&Depth {
            queued: 3,
            running: 1,
            oldest_us: 1_500_000,
        });
        let text = metrics.render(Format::Classic);
        assert!(text.contains("service_queue_depth{state=\"queued\"} 3\n"), "{text}");
        assert!(text.contains("service_queue_oldest_seconds 1.5\n"), "{text}");
    }
}
