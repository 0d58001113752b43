//! The one list of keys. Reading and writing both walk it, so they cannot disagree.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;

use super::entries::Amount;
use super::{Auth, Design, Digest, KeySettings, Preset, ProbeScope, ProviderSettings, QueueStore, Settings};
use crate::cache::CacheStoreKind;
use crate::limits::{LimitStorage, Rate, WhenDown};
use crate::resilience::broken::BrokenStream;
use crate::resilience::disconnect::DisconnectPolicy;
use crate::resilience::filtered::ContentFilter;
use crate::resilience::rescue::Rescue;
use crate::resilience::retry::{Backoff, RetryOn};
use crate::routing::Policy;
use crate::structured::Structured;

/// Walks over the keys of a table; reads or writes each value in place.
pub(super) trait Visitor {
    /// A duration above zero.
    fn duration(&mut self, key: &'static str, value: &mut Duration);
    /// A duration that may be absent: `"off"`.
    fn limit(&mut self, key: &'static str, value: &mut Option<Duration>);
    /// A duration that may be zero.
    fn pause(&mut self, key: &'static str, value: &mut Duration);
    /// A whole number.
    fn count(&mut self, key: &'static str, range: RangeInclusive<u32>, value: &mut u32);
    /// A ratio from 0 to 1 that may be absent: `"off"`.
    fn ratio(&mut self, key: &'static str, value: &mut Option<f64>);
    /// A ratio from 0 to 1.
    fn share(&mut self, key: &'static str, value: &mut f64);
    /// Yes or no.
    fn flag(&mut self, key: &'static str, value: &mut bool);
    /// One of a few words.
    fn choice<T: Choice>(&mut self, key: &'static str, value: &mut T);
    /// A text that may be absent.
    fn text(&mut self, key: &'static str, value: &mut Option<String>);
    /// An address that may be absent, and may hold a password.
    fn address(&mut self, key: &'static str, value: &mut Option<SecretString>);
    /// A text that must be there. Empty: it is not.
    fn needed(&mut self, key: &'static str, value: &mut String);
    /// A text that is never shown to anybody.
    fn secret(&mut self, key: &'static str, value: &mut Option<SecretString>);
    /// The sum of a secret; must be there.
    fn digest(&mut self, key: &'static str, value: &mut Digest);
    /// A whole number that may be absent: `"off"`.
    fn bound(&mut self, key: &'static str, range: RangeInclusive<u32>, value: &mut Option<u32>);
    /// A quantity that may be absent.
    fn amount<T: Amount>(&mut self, key: &'static str, value: &mut Option<T>);
    /// A list of texts that each have a meaning, at most `most` of them.
    fn texts<T: FromStr<Err: Display> + Display>(&mut self, key: &'static str, most: usize, texts: &mut Vec<T>);
    /// A list of tables, at most `most` of them.
    fn list<T: Entry>(&mut self, key: &'static str, most: usize, entries: &mut Vec<T>);
    /// A table.
    fn table(&mut self, key: &'static str, visit: impl FnOnce(&mut Self));
}

/// What a list holds.
pub(super) trait Entry {
    /// An entry about which nothing is said.
    fn blank() -> Self;
    /// Walks over its keys.
    fn visit<V: Visitor>(&mut self, visitor: &mut V);
}

/// Providers in a chain: one that is longer outlasts every deadline.
const PROVIDERS: usize = 8;
/// Tasks that a provider may be meant for.
const TASKS: usize = 16;
/// Questions that the service asks at its start: each is paid for by every process.
const QUESTIONS: usize = 256;
/// Keys: each is compared with what a caller shows.
const KEYS: usize = 1000;

impl Entry for ProviderSettings {
    fn blank() -> Self {
        Self {
            name: String::new(),
            base_url: String::new(),
            model: String::new(),
            api_key: None,
            prompt_price: None,
            completion_price: None,
            context_window: None,
            tasks: Vec::new(),
            prefill: false,
        }
    }

    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.needed("name", &mut self.name);
        visitor.needed("base_url", &mut self.base_url);
        visitor.needed("model", &mut self.model);
        visitor.secret("api_key", &mut self.api_key);
        visitor.amount("prompt_usd_per_million", &mut self.prompt_price);
        visitor.amount("completion_usd_per_million", &mut self.completion_price);
        visitor.bound("context_window", 1..=100_000_000, &mut self.context_window);
        visitor.texts("tasks", TASKS, &mut self.tasks);
        visitor.flag("prefill", &mut self.prefill);
    }
}

impl Entry for KeySettings {
    fn blank() -> Self {
        Self {
            name: String::new(),
            sha256: Digest::default(),
            tenant: None,
            requests_per_minute: None,
            tokens_per_minute: None,
            concurrent: None,
            budget: None,
            budget_window: Duration::from_hours(24),
            disabled: false,
        }
    }

    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.needed("name", &mut self.name);
        visitor.digest("sha256", &mut self.sha256);
        visitor.text("tenant", &mut self.tenant);
        visitor.bound("requests_per_minute", 1..=1_000_000, &mut self.requests_per_minute);
        visitor.bound(
            "tokens_per_minute",
            1..=Rate::MOST_PER_MINUTE,
            &mut self.tokens_per_minute,
        );
        visitor.bound("concurrent", 1..=1_000_000, &mut self.concurrent);
        visitor.amount("budget_usd", &mut self.budget);
        visitor.duration("budget_window", &mut self.budget_window);
        visitor.flag("disabled", &mut self.disabled);
    }
}

/// A value that is one of a few words.
pub(super) trait Choice: Copy + PartialEq + 'static {
    /// The words.
    const WORDS: &'static [(&'static str, Self)];
}

impl Choice for Preset {
    const WORDS: &'static [(&'static str, Self)] = &[("naive", Self::Naive), ("resilient", Self::Resilient)];
}

impl Choice for Design {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("blocking", Self::Blocking),
        ("coupled", Self::Coupled),
        ("background", Self::Background),
        ("queued", Self::Queued),
    ];
}

impl Choice for QueueStore {
    const WORDS: &'static [(&'static str, Self)] = &[("database", Self::Database), ("redis", Self::Redis)];
}

impl Choice for RetryOn {
    const WORDS: &'static [(&'static str, Self)] = &[("transient", Self::Transient), ("everything", Self::Everything)];
}

impl Choice for ContentFilter {
    const WORDS: &'static [(&'static str, Self)] = &[("report", Self::Report), ("ignore", Self::Ignore)];
}

impl Choice for Backoff {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("full_jitter", Self::FullJitter)];
}

impl Choice for DisconnectPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("cancel", Self::Cancel),
        ("drain", Self::Drain),
        ("run_on", Self::RunOn),
    ];
}

impl Choice for CacheStoreKind {
    const WORDS: &'static [(&'static str, Self)] = &[("memory", Self::Memory), ("shared", Self::Shared)];
}

impl Choice for BrokenStream {
    const WORDS: &'static [(&'static str, Self)] = &[("report", Self::Report), ("ignore", Self::Ignore)];
}

impl Choice for Policy {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("order", Self::Order),
        ("cost", Self::Cost),
        ("latency", Self::Latency),
        ("task", Self::Task),
    ];
}

impl Choice for Rescue {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("hold_back", Self::HoldBack),
        ("splice", Self::Splice),
    ];
}

impl Choice for Structured {
    const WORDS: &'static [(&'static str, Self)] =
        &[("pass", Self::Pass), ("check", Self::Check), ("repair", Self::Repair)];
}

impl Choice for Auth {
    const WORDS: &'static [(&'static str, Self)] = &[("off", Self::Off), ("required", Self::Required)];
}

impl Choice for LimitStorage {
    const WORDS: &'static [(&'static str, Self)] = &[("memory", Self::Memory), ("shared", Self::Shared)];
}

impl Choice for WhenDown {
    const WORDS: &'static [(&'static str, Self)] =
        &[("local", Self::Local), ("open", Self::Open), ("closed", Self::Closed)];
}

impl Choice for ProbeScope {
    const WORDS: &'static [(&'static str, Self)] = &[("process", Self::Process), ("dependencies", Self::Dependencies)];
}

/// Walks over all keys.
pub(super) fn visit<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    design(settings, visitor);
    attempts(settings, visitor);
    admission(settings, visitor);
    repairs(settings, visitor);
    work(settings, visitor);
    serving(settings, visitor);
}

/// How the service is built: its threads and its database.
fn design<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    visitor.choice("preset", &mut settings.preset);
    visitor.choice("design", &mut settings.design);
    // Above 500 the blocking threads of the runtime (512) would be the hidden limit.
    visitor.count("blocking_workers", 1..=500, &mut settings.blocking_workers);
    visitor.count("blocking_backlog", 0..=1_000_000, &mut settings.blocking_backlog);
    visitor.table("database", |table| {
        let database = &mut settings.database;
        table.count("pool", 1..=10_000, &mut database.pool);
        table.flag("hold_connection", &mut database.hold_connection);
        table.duration("acquire_timeout", &mut database.acquire_timeout);
        table.pause("query_time", &mut database.query_time);
        table.pause("connect_time", &mut database.connect_time);
        table.duration("idle_timeout", &mut database.idle_timeout);
        table.count("server_connections", 1..=1_000_000, &mut database.server_connections);
    });
}

/// How providers are asked, and for how long.
fn attempts<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    visitor.table("retry", |table| {
        let retry = &mut settings.retry;
        table.choice("on", &mut retry.on);
        table.count("max_attempts", 1..=100, &mut retry.max_attempts);
        table.choice("backoff", &mut retry.backoff);
        table.duration("base", &mut retry.base);
        table.duration("cap", &mut retry.cap);
        table.flag("honour_retry_after", &mut retry.honour_retry_after);
        table.duration("retry_after_cap", &mut retry.retry_after_cap);
        table.ratio("budget_ratio", &mut retry.budget_ratio);
    });
    visitor.table("deadline", |table| {
        let deadline = &mut settings.deadline;
        table.limit("connect", &mut deadline.connect);
        table.limit("first_token", &mut deadline.first_token);
        table.limit("idle", &mut deadline.idle);
        table.limit("attempt", &mut deadline.attempt);
        table.limit("total", &mut deadline.total);
    });
    visitor.table("breaker", |table| {
        let breaker = &mut settings.breaker;
        table.bound("failures", 1..=10_000, &mut breaker.failures);
        table.ratio("error_ratio", &mut breaker.error_ratio);
        table.duration("window", &mut breaker.window);
        table.count("min_attempts", 1..=10_000, &mut breaker.min_attempts);
        table.duration("cooldown", &mut breaker.cooldown);
        table.duration("cooldown_cap", &mut breaker.cooldown_cap);
    });
    visitor.choice("disconnect", &mut settings.disconnect);
    visitor.table("drain", |table| {
        table.count("concurrent", 1..=10_000, &mut settings.drain.concurrent);
        table.duration("time", &mut settings.drain.time);
    });
    visitor.flag("fallback", &mut settings.fallback);
    visitor.table("route", |table| {
        let route = &mut settings.route;
        table.choice("policy", &mut route.policy);
        table.flag("check_window", &mut route.check_window);
        table.duration("half_life", &mut route.half_life);
    });
    visitor.table("batch", |table| {
        let batch = &mut settings.batch;
        table.count("size", 1..=2048, &mut batch.size);
        table.pause("wait", &mut batch.wait);
    });
    visitor.table("diet", |table| {
        let diet = &mut settings.diet;
        table.bound("history_tokens", 1..=100_000_000, &mut diet.history_tokens);
        table.bound("max_tokens", 1..=128_000, &mut diet.max_tokens);
    });
    visitor.choice("content_filter", &mut settings.content_filter);
}

/// How much is let in.
fn admission<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    visitor.table("limits", |table| {
        let limits = &mut settings.limits;
        table.choice("store", &mut limits.store);
        table.bound("requests_per_minute", 1..=1_000_000, &mut limits.requests_per_minute);
        table.bound(
            "tokens_per_minute",
            1..=Rate::MOST_PER_MINUTE,
            &mut limits.tokens_per_minute,
        );
        table.duration("burst", &mut limits.burst);
        table.pause("wait", &mut limits.wait);
        table.choice("when_down", &mut limits.when_down);
        table.duration("timeout", &mut limits.timeout);
        table.duration("ask_again", &mut limits.ask_again);
        table.duration("lapse", &mut limits.lapse);
    });
    visitor.table("shed", |table| {
        let shed = &mut settings.shed;
        table.bound("concurrent", 1..=1_000_000, &mut shed.concurrent);
        table.count("queue", 0..=1_000_000, &mut shed.queue);
        table.pause("wait", &mut shed.wait);
    });
}

/// What is done about answers that are late, broken or not what was asked for.
fn repairs<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    visitor.table("hedge", |table| {
        table.limit("after", &mut settings.hedge.after);
        table.ratio("budget_ratio", &mut settings.hedge.budget_ratio);
    });
    visitor.choice("rescue", &mut settings.rescue);
    visitor.choice("structured", &mut settings.structured);
}

/// What is worked off later, and what is not worked off again.
fn work<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    visitor.table("jobs", |table| {
        let jobs = &mut settings.jobs;
        table.count("concurrency", 1..=10_000, &mut jobs.concurrency);
        table.duration("lease", &mut jobs.lease);
        table.duration("heartbeat", &mut jobs.heartbeat);
        table.count("max_attempts", 1..=100, &mut jobs.max_attempts);
        table.duration("poll", &mut jobs.poll);
        table.duration("expiry", &mut jobs.expiry);
        table.pause("retry_base", &mut jobs.retry_base);
        table.pause("retry_cap", &mut jobs.retry_cap);
        table.bound("backlog", 1..=100_000, &mut jobs.backlog);
        table.bound("backlog_per_tenant", 1..=100_000, &mut jobs.backlog_per_tenant);
        table.flag("coalesce", &mut jobs.coalesce);
    });
    visitor.table("webhooks", |table| {
        let webhooks = &mut settings.webhooks;
        table.texts("hosts", 256, &mut webhooks.hosts);
        table.secret("secret", &mut webhooks.secret);
        table.count("attempts", 1..=100, &mut webhooks.attempts);
        table.duration("timeout", &mut webhooks.timeout);
        table.pause("retry_base", &mut webhooks.retry_base);
        table.pause("retry_cap", &mut webhooks.retry_cap);
    });
    visitor.table("cache", |table| {
        let cache = &mut settings.cache;
        table.flag("exact", &mut cache.exact);
        table.duration("ttl", &mut cache.ttl);
        table.count("entries", 1..=1_000_000, &mut cache.entries);
        table.count("bytes", 1..=1 << 30, &mut cache.bytes);
        table.ratio("max_temperature", &mut cache.max_temperature);
        table.choice("store", &mut cache.store);
        table.duration("timeout", &mut cache.timeout);
        table.flag("semantic", &mut cache.semantic);
        table.share("threshold", &mut cache.threshold);
        table.flag("guards", &mut cache.guards);
        table.count("questions", 1..=10_000, &mut cache.questions);
        table.texts("warm", QUESTIONS, &mut cache.warm);
        table.flag("coalesce", &mut cache.coalesce);
    });
}

/// How clients, probes and whoever operates the service are met.
fn serving<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
    visitor.choice("broken_stream", &mut settings.broken_stream);
    visitor.limit("heartbeat", &mut settings.heartbeat);
    visitor.limit("client_stall", &mut settings.client_stall);
    visitor.table("health", |table| {
        let health = &mut settings.health;
        table.choice("liveness", &mut health.liveness);
        table.choice("readiness", &mut health.readiness);
        table.duration("timeout", &mut health.timeout);
        table.limit("cache", &mut health.cache);
    });
    visitor.pause("drain_delay", &mut settings.drain_delay);
    visitor.pause("shutdown_grace", &mut settings.shutdown_grace);
    visitor.count("max_body_bytes", 1..=1 << 30, &mut settings.max_body_bytes);
    visitor.count("max_connections", 1..=1_000_000, &mut settings.max_connections);
    visitor.choice("auth", &mut settings.auth);
    visitor.text("environment", &mut settings.environment);
    visitor.text("instance", &mut settings.instance);
    visitor.text("otlp_endpoint", &mut settings.otlp_endpoint);
    visitor.address("database_url", &mut settings.database_url);
    let mut path = settings
        .database_path
        .take()
        .map(|path| path.to_string_lossy().into_owned());
    visitor.text("database_path", &mut path);
    settings.database_path = path.map(Into::into);
    visitor.address("redis_url", &mut settings.redis_url);
    visitor.choice("queue", &mut settings.queue);
    visitor.text("namespace", &mut settings.namespace);
    visitor.list("providers", PROVIDERS, &mut settings.providers);
    visitor.list("keys", KEYS, &mut settings.keys);
}
