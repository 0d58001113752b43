//! What an instance is told: typed, complete and valid, or refused with every problem at once.
//!
//! - `presets`: the two sets of defaults, `naive` and `resilient`. A preset sets every switch; keys override it.
//! - `fields`: the one list of keys, used for reading and for writing. `entries`: what its lists hold.
//! - `read`, `write`: from and to maps, files and the environment. `rules`: values that do not fit together. `unit`:
//!   durations as text. `cures`: which keys make a cure.

mod cures;
mod entries;
mod fields;
mod presets;
mod read;
mod rules;
mod unit;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::answering::DietSettings;
use crate::cache::CacheSettings;
use crate::features::embeddings::BatchSettings;
use crate::limits::LimitSettings;
use crate::queue::LeasePolicy;
use crate::resilience::breaker::BreakerSettings;
use crate::resilience::broken::BrokenStream;
use crate::resilience::deadline::Deadlines;
use crate::resilience::disconnect::{DisconnectPolicy, DrainSettings};
use crate::resilience::filtered::ContentFilter;
use crate::resilience::hedge::HedgeSettings;
use crate::resilience::rescue::Rescue;
use crate::resilience::retry::RetrySettings;
use crate::resilience::shed::ShedSettings;
use crate::routing::RouteSettings;
use crate::storage::DatabaseSettings;
use crate::structured::Structured;
use crate::webhooks::WebhookSettings;

pub use self::cures::{Change, cure_of, differing_cures};
pub use self::entries::{Digest, KeySettings, NoTask, Price, ProviderSettings, Task, Usd};
pub(crate) use self::entries::{Prices, cost};
pub use self::write::Secrets;

/// All settings of an instance.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the defaults come from.
    pub preset: Preset,
    /// How a request meets the model.
    pub design: Design,
    /// Workers of the blocking design.
    pub blocking_workers: u32,
    /// Requests that may wait for one of them.
    pub blocking_backlog: u32,
    /// The database and its pool.
    pub database: DatabaseSettings,
    /// Retries.
    pub retry: RetrySettings,
    /// Deadlines.
    pub deadline: Deadlines,
    /// The circuit breaker that each provider has.
    pub breaker: BreakerSettings,
    /// What becomes of work whose client has left.
    pub disconnect: DisconnectPolicy,
    /// The bounds of `disconnect = "drain"`.
    pub drain: DrainSettings,
    /// Whether other providers are asked when one fails.
    pub fallback: bool,
    /// Who is asked first.
    pub route: RouteSettings,
    /// How much of a prompt the model reads, and how much it may answer.
    pub diet: DietSettings,
    /// How an answer that a content filter cut off ends for its client.
    pub content_filter: ContentFilter,
    /// Requests and tokens in a minute, and where all limits are kept.
    pub limits: LimitSettings,
    /// Calls at work at a time, and how many more may wait.
    pub shed: ShedSettings,
    /// Second attempts beside late ones.
    pub hedge: HedgeSettings,
    /// What is done for a stream that breaks off.
    pub rescue: Rescue,
    /// What is done with an answer for which a form was asked.
    pub structured: Structured,
    /// Which inputs of embeddings share a call.
    pub batch: BatchSettings,
    /// Background and queued jobs.
    pub jobs: JobSettings,
    /// Telling the outcomes of jobs.
    pub webhooks: WebhookSettings,
    /// Answers that are given again, and questions that share one.
    pub cache: CacheSettings,
    /// How a stream that breaks off ends for its client.
    pub broken_stream: BrokenStream,
    /// Longest silence on a stream to a client before a comment keeps it alive. Absent: silence stays silence.
    pub heartbeat: Option<Duration>,
    /// How long a client may take nothing of what is there for it before its connection is cut.
    pub client_stall: Option<Duration>,
    /// What the probes of health ask.
    pub health: HealthSettings,
    /// How long connections are still accepted after readiness has turned: the time a load balancer takes to notice.
    pub drain_delay: Duration,
    /// How long an orderly end may take.
    pub shutdown_grace: Duration,
    /// Longest request body, in bytes.
    pub max_body_bytes: u32,
    /// Client connections at a time; more wait to be accepted.
    pub max_connections: u32,
    /// Where it is deployed, such as `production`; in spans.
    pub environment: Option<String>,
    /// Tells it from its replicas in spans; absent: the name of its role.
    pub instance: Option<String>,
    /// Whether callers have to show a key.
    pub auth: Auth,
    /// Where spans go, such as `http://localhost:4318`; absent: nowhere.
    pub otlp_endpoint: Option<String>,
    /// Where the database is, `sqlite:PATH` or `postgres://...`, for hosts that use one. May hold a password: never printed.
    pub database_url: Option<SecretString>,
    /// The SQLite file: the older way to say `database_url = "sqlite:PATH"`.
    pub database_path: Option<PathBuf>,
    /// Where Redis is, `redis://...` or `rediss://...`. May hold a password: never printed.
    pub redis_url: Option<SecretString>,
    /// What keeps the durable queue.
    pub queue: QueueStore,
    /// The PostgreSQL schema, and what Redis keys begin with, where several services share a server.
    pub namespace: Option<String>,
    /// The providers, in order of preference.
    pub providers: Vec<ProviderSettings>,
    /// The keys that callers may show.
    pub keys: Vec<KeySettings>,
}

/// Whether callers have to show a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Anybody may call.
    Off,
    /// A key of the list, as a bearer token.
    Required,
}

/// What the probes of health ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthSettings {
    /// What `/livez` depends on.
    pub liveness: ProbeScope,
    /// What `/readyz` depends on.
    pub readiness: ProbeScope,
    /// How long one dependency may take to answer.
    pub timeout: Duration,
    /// How long the answer about dependencies is good for; absent: each probe asks for itself.
    pub cache: Option<Duration>,
}

/// What a probe depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeScope {
    /// Nothing but the process that answers it.
    Process,
    /// What the service needs to do its work.
    Dependencies,
}

/// Where the defaults come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// What gets written on the first day.
    Naive,
    /// What is left after the first year.
    Resilient,
}

/// How a request meets the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Design {
    /// A bounded pool of workers, each taken for the whole of a request.
    Blocking,
    /// Async, but the request waits for the model.
    Coupled,
    /// Jobs run in tasks of the process that took them on, and end with it.
    Background,
    /// Jobs run in workers, from a durable queue.
    Queued,
}

/// What keeps the durable queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueStore {
    /// The database.
    Database,
    /// Redis.
    Redis,
}

/// Parameters of background and queued jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobSettings {
    /// Jobs that one process runs at a time.
    pub concurrency: u32,
    /// How long a job stays lent without a heartbeat.
    pub lease: Duration,
    /// Pause between heartbeats.
    pub heartbeat: Duration,
    /// How often a job is begun before it is dead.
    pub max_attempts: u32,
    /// Pause of a worker that found nothing to do.
    pub poll: Duration,
    /// How long a job may wait, and how long its outcome is kept.
    pub expiry: Duration,
    /// Longest wait before a failed job's second attempt.
    pub retry_base: Duration,
    /// Longest wait before any attempt.
    pub retry_cap: Duration,
    /// Jobs that may wait before one more is refused; absent: only the queue's own capacity.
    pub backlog: Option<u32>,
    /// How many of them may be one tenant's, where callers show keys; absent: all.
    pub backlog_per_tenant: Option<u32>,
    /// Whether equal unfinished requests of a tenant are one job.
    pub coalesce: bool,
}

impl Settings {
    /// The defaults of a preset.
    pub fn preset(preset: Preset) -> Self {
        presets::of(preset)
    }

    /// Settings from a map: a scenario's `service` table, or a parsed file. No key is required: `preset` is `resilient`
    /// and `design` is `coupled` unless it says otherwise.
    pub fn from_map(map: Map<String, Value>) -> Result<Self, SettingsError> {
        read::from_map(map)
    }

    /// Settings from a TOML file, where there is one, and from those of `env` that begin with `BROWNOUT_SERVICE__`, which
    /// win. `BROWNOUT_SERVICE__RETRY__MAX_ATTEMPTS=5` is `retry.max_attempts = 5`.
    pub fn load(path: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Result<Self, SettingsError> {
        read::load(path, env)
    }

    /// What the queue needs to know.
    pub const fn lease_policy(&self) -> LeasePolicy {
        LeasePolicy {
            lease: self.jobs.lease,
            max_attempts: self.jobs.max_attempts,
            max_deliveries: self.webhooks.attempts,
            expiry: self.jobs.expiry,
        }
    }

    /// The settings as a map that [`Settings::from_map`] reads back.
    pub fn to_map(&self, secrets: Secrets) -> Map<String, Value> {
        write::to_map(self, secrets)
    }

    /// The settings as a TOML file that [`Settings::load`] reads back.
    pub fn to_toml(&self, secrets: Secrets) -> String {
        write::to_toml(self, secrets)
    }
}

/// What is wrong with the settings: everything, not just the first thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SettingsError {
    /// Each problem, in the order of the keys.
    pub problems: Vec<SettingsProblem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The key, dotted, such as `retry.max_attempts`; or the file.
    pub key: String,
    /// What is wrong with it, and what to write.
    pub problem: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, SettingsProblem { key, problem }) in self.problems.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{key}: {problem}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
