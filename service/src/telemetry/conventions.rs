//! The names of all spans, attributes, events, metrics and headers of telemetry. Nothing else names any.
//!
//! Sources: OpenTelemetry semantic conventions, HTTP and resources (stable) and generative AI as of 1.41.1 (in development:
//! a change there is a change here and nowhere else). What the conventions have no name for begins with `brownout.`, and
//! waits and own work have names of ours, because people and harnesses look for them by name.

/// Spans. Those of requests are called by method and route, those of attempts by [`attempt_name`].
pub(crate) mod span {
    /// A job in the hands of a worker: the root of its part of the trace.
    pub(crate) const JOB: &str = "job";
    /// A worker that tells the outcome of a job: the root of that part of the trace.
    pub(crate) const WEBHOOK: &str = "webhook";
    /// Waiting for a worker of the blocking design.
    pub(crate) const WAIT_WORKER: &str = "wait.worker";
    /// Waiting for a database connection.
    pub(crate) const WAIT_POOL: &str = "wait.pool";
    /// A job waiting to be begun.
    pub(crate) const WAIT_QUEUE: &str = "wait.queue";
    /// Looking into a cache, or putting something there.
    pub(crate) const WAIT_CACHE: &str = "wait.cache";
    /// Waiting for, and reading along, the answer that an equal request asked for.
    pub(crate) const WAIT_COALESCED: &str = "wait.coalesced";
    /// An input of embeddings waiting for others to share a call with.
    pub(crate) const WAIT_BATCH: &str = "wait.batch";
    /// Between two attempts.
    pub(crate) const WAIT_BACKOFF: &str = "wait.backoff";
    /// Waiting for a place among the calls at work.
    pub(crate) const WAIT_PLACE: &str = "wait.place";
    /// Waiting for what the store of limits says, where they are shared.
    pub(crate) const WAIT_LIMITS: &str = "wait.limits";
    /// Waiting until a limit of our own has room.
    pub(crate) const WAIT_RATE_LIMIT: &str = "wait.rate_limit";
    /// Looking the session up.
    pub(crate) const SESSION: &str = "work.session";
    /// Writing down what was used.
    pub(crate) const USAGE: &str = "work.usage";
    /// Handing a job to the queue.
    pub(crate) const ENQUEUE: &str = "work.enqueue";
}

/// Attributes of spans and of the resource.
pub(crate) mod attribute {
    pub(crate) const SERVICE_NAME: &str = "service.name";
    pub(crate) const SERVICE_VERSION: &str = "service.version";
    pub(crate) const SERVICE_INSTANCE: &str = "service.instance.id";
    pub(crate) const ENVIRONMENT: &str = "deployment.environment.name";

    pub(crate) const METHOD: &str = "http.request.method";
    pub(crate) const ROUTE: &str = "http.route";
    pub(crate) const STATUS: &str = "http.response.status_code";
    pub(crate) const PATH: &str = "url.path";
    pub(crate) const SERVER_ADDRESS: &str = "server.address";
    pub(crate) const SERVER_PORT: &str = "server.port";
    pub(crate) const ERROR: &str = "error.type";

    pub(crate) const OPERATION: &str = "gen_ai.operation.name";
    pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
    pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
    pub(crate) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
    pub(crate) const REQUEST_STREAM: &str = "gen_ai.request.stream";
    pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
    pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
    pub(crate) const FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
    pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
    pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";

    /// The provider by its name in the settings: several may speak the same dialect.
    pub(crate) const PROVIDER_KEY: &str = "brownout.provider";
    /// Why the first provider of a request's route is the first: in a word on attempts, in a sentence on the request.
    pub(crate) const ROUTE_REASON: &str = "brownout.route.reason";
    /// What came of telling the outcome of a job.
    pub(crate) const WEBHOOK_OUTCOME: &str = "brownout.webhook.outcome";
    /// Where the answer to a request comes from, as the header says it.
    pub(crate) const CACHE: &str = "brownout.cache";
    /// True on the span of a request whose client left, and of an attempt that nobody wanted any more.
    pub(crate) const CANCELLED: &str = "brownout.cancelled";
}

/// Events within spans.
pub(crate) mod event {
    /// The first token of an answer arrived.
    pub(crate) const FIRST_TOKEN: &str = "brownout.first_token";
}

/// Values that the conventions fix.
pub(crate) mod value {
    /// Of `gen_ai.operation.name`.
    pub(crate) const CHAT: &str = "chat";
    /// The same of calls that turn texts into vectors.
    pub(crate) const EMBEDDINGS: &str = "embeddings";
    /// Of `gen_ai.provider.name`: by the conventions the dialect that is spoken, whoever is behind it.
    pub(crate) const OPENAI: &str = "openai";
    /// Of `service.name`.
    pub(crate) const SERVICE: &str = "brownout-service";
}

/// Headers of answers.
pub(crate) mod header {
    /// Which request it answers.
    pub(crate) const REQUEST_ID: &str = "x-request-id";
    /// Where its time went, by part, up to the head of the answer. Source: W3C Server Timing.
    pub(crate) const SERVER_TIMING: &str = "server-timing";
    /// Of that time, what was not spent in calls to providers: what the service itself added, waits and back-offs
    /// included.
    pub(crate) const OVERHEAD_MS: &str = "x-brownout-overhead-ms";
    /// Who was to be asked, in which order, and why.
    pub(crate) const ROUTE_REASON: &str = "x-route-reason";
    /// How many messages of a long conversation the model was not shown.
    pub(crate) const HISTORY_DROPPED: &str = "x-history-dropped";
    /// What a request is for: a word that providers may be meant for.
    pub(crate) const TASK: &str = "x-task";
    /// Where the answer comes from: `hit`, `semantic`, `coalesced`, `miss`; absent where nothing could be shared.
    pub(crate) const CACHE: &str = "x-cache";
}

/// Metrics, without the prefix `service_`. Units and `_total` are added where they belong.
pub(crate) mod metric {
    pub(crate) const PREFIX: &str = "service";
    pub(crate) const REQUESTS: &str = "requests";
    pub(crate) const REQUESTS_IN_FLIGHT: &str = "requests_in_flight";
    pub(crate) const REQUEST_ERRORS: &str = "request_errors";
    pub(crate) const REQUEST_DURATION: &str = "request_duration_seconds";
    pub(crate) const FIRST_TOKEN: &str = "time_to_first_token_seconds";
    pub(crate) const OUTPUT_TOKEN: &str = "time_per_output_token_seconds";
    pub(crate) const COST: &str = "request_cost_usd";
    pub(crate) const CANCELLED: &str = "cancelled";
    pub(crate) const ABANDONED: &str = "abandoned";
    pub(crate) const DRAINING: &str = "draining";
    pub(crate) const DRAINED: &str = "drained";
    pub(crate) const REFUSED: &str = "access_refused";
    pub(crate) const LIMITED: &str = "limited";
    pub(crate) const LIMIT_STORE_ERRORS: &str = "limit_store_errors";
    pub(crate) const LIMITS_DEGRADED: &str = "limits_degraded";
    pub(crate) const PLACES: &str = "places";
    pub(crate) const PLACES_IN_USE: &str = "places_in_use";
    pub(crate) const PLACES_WAITING: &str = "places_waiting";
    pub(crate) const SHED: &str = "shed";
    pub(crate) const POOL_SIZE: &str = "pool_size";
    pub(crate) const POOL_IN_USE: &str = "pool_in_use";
    pub(crate) const POOL_WAITING: &str = "pool_waiting";
    pub(crate) const POOL_WAIT: &str = "pool_wait_seconds";
    pub(crate) const WORKERS: &str = "workers";
    pub(crate) const WORKERS_BUSY: &str = "workers_busy";
    pub(crate) const JOBS_RUNNING: &str = "jobs_running";
    pub(crate) const JOBS: &str = "jobs";
    pub(crate) const JOB_DURATION: &str = "job_duration_seconds";
    pub(crate) const WEBHOOKS: &str = "webhook_deliveries";
    pub(crate) const QUEUE_DEPTH: &str = "queue_depth";
    pub(crate) const QUEUE_OLDEST: &str = "queue_oldest_seconds";
    pub(crate) const ATTEMPTS: &str = "upstream_attempts";
    pub(crate) const ATTEMPT_DURATION: &str = "upstream_attempt_duration_seconds";
    pub(crate) const RETRIES: &str = "retries";
    pub(crate) const FALLBACKS: &str = "fallbacks";
    pub(crate) const BATCH: &str = "embedding_batch_inputs";
    pub(crate) const ROUTES: &str = "routes";
    pub(crate) const DIET_TOKENS: &str = "diet_dropped_tokens";
    pub(crate) const DIET_CAPPED: &str = "diet_capped_answers";
    pub(crate) const BREAKER_STATE: &str = "breaker_state";
    pub(crate) const BREAKER_TRANSITIONS: &str = "breaker_transitions";
    pub(crate) const BREAKER_REFUSED: &str = "breaker_refused";
    pub(crate) const HEDGES: &str = "hedges";
    pub(crate) const RESCUES: &str = "rescues";
    pub(crate) const STRUCTURED: &str = "structured_answers";
    pub(crate) const CACHE_LOOKUPS: &str = "cache_lookups";
    pub(crate) const CACHE_STORES: &str = "cache_stores";
    pub(crate) const COALESCED: &str = "coalesced";
    pub(crate) const TOKENS: &str = "tokens";
    pub(crate) const WASTED_TOKENS: &str = "wasted_tokens";
    pub(crate) const USAGE_LOST: &str = "usage_lost";
    pub(crate) const SPANS_DROPPED: &str = "spans_dropped";
    pub(crate) const BUILD_INFO: &str = "build_info";
    /// Without the prefix: the name that every Prometheus client gives it.
    pub(crate) const PROCESS_START: &str = "process_start_time_seconds";
}

/// The name of an attempt's span.
pub(crate) fn attempt_name(model: &str) -> String {
    format!("{} {model}", value::CHAT)
}

/// The name of the span of a call that turns texts into vectors.
pub(crate) fn embedding_name(model: &str) -> String {
    format!("{} {model}", value::EMBEDDINGS)
}
