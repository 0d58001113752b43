//! The two sets of defaults. Side by side, so that the difference can be read.

use std::time::Duration;

use super::{Auth, Design, HealthSettings, JobSettings, Preset, ProbeScope, QueueStore, Settings};
use crate::answering::DietSettings;
use crate::cache::{CacheSettings, CacheStoreKind};
use crate::features::embeddings::BatchSettings;
use crate::limits::{LimitSettings, LimitStorage, WhenDown};
use crate::resilience::breaker::BreakerSettings;
use crate::resilience::broken::BrokenStream;
use crate::resilience::deadline::Deadlines;
use crate::resilience::disconnect::{DisconnectPolicy, DrainSettings};
use crate::resilience::filtered::ContentFilter;
use crate::resilience::hedge::HedgeSettings;
use crate::resilience::rescue::Rescue;
use crate::resilience::retry::{Backoff, RetryOn, RetrySettings};
use crate::resilience::shed::ShedSettings;
use crate::routing::{Policy, RouteSettings};
use crate::storage::DatabaseSettings;
use crate::structured::Structured;
use crate::webhooks::WebhookSettings;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The defaults of `preset`.
pub(super) fn of(preset: Preset) -> Settings {
    let common = common(preset);
    match preset {
        Preset::Naive => naive(common),
        Preset::Resilient => resilient(common),
    }
}

/// Holds its database connection while it waits for the model, hammers a provider that is down, ignores what it says
/// about when to come back, never leaves it alone, finishes answers that nobody waits for, lets half an answer pass for a whole one, says that it
/// is dead when somebody else is, says that it is ready whatever happens, and cuts off what it is doing when it is told to
/// end.
fn naive(common: Settings) -> Settings {
    Settings {
        database: DatabaseSettings {
            hold_connection: true,
            ..common.database
        },
        retry: RetrySettings {
            max_attempts: 3,
            backoff: Backoff::None,
            honour_retry_after: false,
            budget_ratio: None,
            ..common.retry
        },
        deadline: Deadlines {
            total: Some(seconds(60)),
            ..Deadlines::default()
        },
        breaker: BreakerSettings {
            failures: None,
            error_ratio: None,
            ..common.breaker
        },
        disconnect: DisconnectPolicy::RunOn,
        broken_stream: BrokenStream::Ignore,
        content_filter: ContentFilter::Ignore,
        heartbeat: None,
        client_stall: None,
        fallback: false,
        limits: LimitSettings {
            when_down: WhenDown::Closed,
            ..common.limits
        },
        health: HealthSettings {
            liveness: ProbeScope::Dependencies,
            readiness: ProbeScope::Process,
            timeout: seconds(5),
            cache: None,
        },
        shutdown_grace: Duration::ZERO,
        jobs: JobSettings {
            backlog: None,
            backlog_per_tenant: None,
            coalesce: false,
            ..common.jobs
        },
        ..common
    }
}

/// Gives its connection back, backs off, listens, bounds every wait, leaves alone who fails, asks somebody else, says once
/// what many ask, stops when nobody waits, tells its own health from that of others, and finishes what it is doing.
fn resilient(common: Settings) -> Settings {
    Settings {
        database: DatabaseSettings {
            hold_connection: false,
            ..common.database
        },
        retry: RetrySettings {
            max_attempts: 5,
            backoff: Backoff::FullJitter,
            honour_retry_after: true,
            budget_ratio: Some(0.2),
            ..common.retry
        },
        deadline: Deadlines {
            connect: Some(seconds(2)),
            first_token: Some(seconds(5)),
            idle: Some(seconds(10)),
            attempt: Some(seconds(30)),
            total: Some(seconds(60)),
        },
        breaker: BreakerSettings {
            failures: Some(5),
            error_ratio: Some(0.5),
            ..common.breaker
        },
        disconnect: DisconnectPolicy::Cancel,
        broken_stream: BrokenStream::Report,
        content_filter: ContentFilter::Report,
        heartbeat: Some(seconds(15)),
        client_stall: Some(seconds(30)),
        fallback: true,
        route: RouteSettings {
            check_window: true,
            ..common.route
        },
        shed: ShedSettings {
            concurrent: Some(1_000),
            ..common.shed
        },
        rescue: Rescue::Splice,
        structured: Structured::Repair,
        batch: BatchSettings {
            size: 64,
            wait: millis(5),
        },
        jobs: JobSettings {
            backlog: Some(256),
            backlog_per_tenant: Some(128),
            coalesce: true,
            ..common.jobs
        },
        cache: CacheSettings {
            exact: true,
            coalesce: true,
            ..common.cache
        },
        ..common
    }
}

/// What has no naive and no resilient form.
#[expect(clippy::too_many_lines, reason = "a table: one line for each key")]
fn common(preset: Preset) -> Settings {
    Settings {
        preset,
        design: Design::Coupled,
        blocking_workers: 40,
        blocking_backlog: 2048,
        database: DatabaseSettings {
            pool: 20,
            hold_connection: false,
            acquire_timeout: seconds(30),
            query_time: millis(1),
            connect_time: Duration::ZERO,
            idle_timeout: seconds(600),
            server_connections: 10_000,
        },
        retry: RetrySettings {
            on: RetryOn::Transient,
            max_attempts: 1,
            backoff: Backoff::None,
            base: millis(500),
            cap: seconds(8),
            honour_retry_after: false,
            retry_after_cap: seconds(60),
            budget_ratio: None,
        },
        deadline: Deadlines::default(),
        breaker: BreakerSettings {
            failures: None,
            error_ratio: None,
            window: seconds(30),
            min_attempts: 10,
            cooldown: seconds(10),
            cooldown_cap: seconds(120),
        },
        disconnect: DisconnectPolicy::Cancel,
        drain: DrainSettings {
            concurrent: 32,
            time: seconds(30),
        },
        fallback: false,
        route: RouteSettings {
            policy: Policy::Order,
            check_window: false,
            half_life: seconds(5),
        },
        diet: DietSettings::default(),
        batch: BatchSettings {
            size: 1,
            wait: Duration::ZERO,
        },
        content_filter: ContentFilter::Report,
        limits: LimitSettings {
            store: LimitStorage::Memory,
            requests_per_minute: None,
            tokens_per_minute: None,
            burst: seconds(10),
            wait: Duration::ZERO,
            when_down: WhenDown::Local,
            timeout: millis(250),
            ask_again: seconds(1),
            lapse: seconds(600),
        },
        shed: ShedSettings {
            concurrent: None,
            queue: 200,
            wait: seconds(5),
        },
        // Off in both: how late is late is a matter of the provider, and a hedge at the wrong time is money for nothing.
        hedge: HedgeSettings {
            after: None,
            budget_ratio: Some(0.05),
        },
        rescue: Rescue::Off,
        structured: Structured::Pass,
        jobs: JobSettings {
            concurrency: 64,
            lease: seconds(30),
            heartbeat: seconds(10),
            max_attempts: 3,
            poll: millis(100),
            expiry: seconds(3600),
            retry_base: seconds(1),
            retry_cap: seconds(30),
            backlog: None,
            backlog_per_tenant: None,
            coalesce: false,
        },
        webhooks: WebhookSettings {
            hosts: Vec::new(),
            secret: None,
            attempts: 6,
            timeout: seconds(10),
            retry_base: seconds(2),
            retry_cap: seconds(300),
        },
        cache: CacheSettings {
            exact: false,
            ttl: seconds(300),
            entries: 10_000,
            bytes: 64 << 20,
            max_temperature: Some(1.0),
            store: CacheStoreKind::Memory,
            timeout: millis(50),
            semantic: false,
            threshold: 0.55,
            guards: true,
            questions: 1_000,
            warm: Vec::new(),
            coalesce: false,
        },
        broken_stream: BrokenStream::Report,
        heartbeat: Some(seconds(15)),
        client_stall: None,
        health: HealthSettings {
            liveness: ProbeScope::Process,
            readiness: ProbeScope::Dependencies,
            timeout: millis(800),
            cache: Some(millis(500)),
        },
        drain_delay: Duration::ZERO,
        shutdown_grace: seconds(30),
        max_body_bytes: 1 << 20,
        max_connections: 10_000,
        auth: Auth::Off,
        environment: None,
        instance: None,
        otlp_endpoint: None,
        database_url: None,
        database_path: None,
        redis_url: None,
        queue: QueueStore::Database,
        namespace: None,
        providers: Vec::new(),
        keys: Vec::new(),
    }
}
