//! The one list of keys. Reading and writing both walk it, so they cannot disagree.

use std::ops::RangeInclusive;
use std::time::Duration;

use secrecy::SecretString;

use super::{Design, Preset, QueueStore, Settings};
use crate::resilience::disconnect::DisconnectPolicy;
use crate::resilience::retry::Backoff;

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
    /// Yes or no.
    fn flag(&mut self, key: &'static str, value: &mut bool);
    /// One of a few words.
    fn choice<T: Choice>(&mut self, key: &'static str, value: &mut T);
    /// A text that may be absent.
    fn text(&mut self, key: &'static str, value: &mut Option<String>);
    /// An address that may be absent, and may hold a password.
    fn address(&mut self, key: &'static str, value: &mut Option<SecretString>);
    /// A table.
    fn table(&mut self, key: &'static str, visit: impl FnOnce(&mut Self));
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

impl Choice for Backoff {
    const WORDS: &'static [(&'static str, Self)] = &[("none", Self::None), ("full_jitter", Self::FullJitter)];
}

impl Choice for DisconnectPolicy {
    const WORDS: &'static [(&'static str, Self)] = &[("cancel", Self::Cancel), ("run_on", Self::RunOn)];
}

/// Walks over all keys but `providers`, which is a list.
pub(super) fn visit<V: Visitor>(settings: &mut Settings, visitor: &mut V) {
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
    visitor.table("retry", |table| {
        let retry = &mut settings.retry;
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
    visitor.choice("disconnect", &mut settings.disconnect);
    visitor.flag("fallback", &mut settings.fallback);
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
    });
    visitor.duration("heartbeat", &mut settings.heartbeat);
    visitor.pause("shutdown_grace", &mut settings.shutdown_grace);
    visitor.count("max_body_bytes", 1..=1 << 30, &mut settings.max_body_bytes);
    visitor.count("max_connections", 1..=1_000_000, &mut settings.max_connections);
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
}
