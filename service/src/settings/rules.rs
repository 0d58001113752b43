//! Values that are valid each but not together, and texts that have to be more than texts.

use std::collections::BTreeMap;

use http::Uri;
use secrecy::ExposeSecret;

use super::{Auth, Digest, KeySettings, ProviderSettings, QueueStore, Settings, SettingsProblem};
use crate::cache::{CacheSettings, CacheStoreKind};
use crate::limits::{LimitStorage, Rate};
use crate::storage::Place;

/// Longest question that the service asks at its start, in bytes.
const LONGEST_QUESTION: usize = 1_000;
/// Longest name of a key or a tenant, in bytes.
const LONGEST_NAME: usize = 64;

/// Adds what is wrong to `problems`.
pub(super) fn check(settings: &Settings, problems: &mut Vec<SettingsProblem>) {
    let mut rules = Rules(problems);
    rules.durations(settings);
    rules.limits(settings);
    for (n, provider) in settings.providers.iter().enumerate() {
        rules.address(&format!("providers[{n}].base_url"), &provider.base_url);
    }
    if let Some(endpoint) = &settings.otlp_endpoint {
        rules.address("otlp_endpoint", endpoint);
    }
    rules.stores(settings);
    rules.caches(&settings.cache);
    rules.keys(settings);
    let webhooks = settings
        .webhooks
        .contradictions(settings.jobs.lease, settings.jobs.expiry);
    for (key, problem) in webhooks {
        rules.check(false, &format!("webhooks.{key}"), &problem);
    }
}

/// Adds which stores are wanted and not named. For what opens them itself: on the virtual clock the host brings them.
pub(super) fn check_stores(settings: &Settings, problems: &mut Vec<SettingsProblem>) {
    let mut rules = Rules(problems);
    let shared = [
        ("limits.store", settings.limits.store == LimitStorage::Shared),
        ("cache.store", settings.cache.store == CacheStoreKind::Shared),
    ];
    for (key, is_shared) in shared {
        rules.check(
            !is_shared || settings.redis_url.is_some(),
            key,
            "is to be shared, in Redis, and redis_url is missing; name the server, or write \"memory\"",
        );
    }
}

struct Rules<'a>(&'a mut Vec<SettingsProblem>);

impl Rules<'_> {
    fn check(&mut self, holds: bool, key: &str, problem: &str) {
        if !holds {
            self.0.push(SettingsProblem {
                key: key.to_owned(),
                problem: problem.to_owned(),
            });
        }
    }

    fn durations(&mut self, settings: &Settings) {
        let (jobs, retry) = (&settings.jobs, &settings.retry);
        self.check(
            jobs.heartbeat < jobs.lease,
            "jobs.heartbeat",
            "is not shorter than jobs.lease, so every job would be taken from its worker; use a third of the lease",
        );
        self.check(
            jobs.retry_base <= jobs.retry_cap,
            "jobs.retry_base",
            "is longer than jobs.retry_cap; raise the cap or lower the base",
        );
        let breaker = &settings.breaker;
        self.check(
            breaker.cooldown <= breaker.cooldown_cap,
            "breaker.cooldown",
            "is longer than breaker.cooldown_cap; raise the cap or lower the cooldown",
        );
        self.check(
            breaker.error_ratio.is_none_or(|ratio| ratio > 0.0),
            "breaker.error_ratio",
            "is 0, so that every breaker would open without a failure; write a share above 0, or \"off\"",
        );
        self.check(
            retry.base <= retry.cap,
            "retry.base",
            "is longer than retry.cap; raise the cap or lower the base",
        );
    }

    fn limits(&mut self, settings: &Settings) {
        let limits = &settings.limits;
        self.check(
            limits.burst <= Rate::LONGEST_BURST,
            "limits.burst",
            "is longer than a minute, so that a bucket could let through more than a minute's worth at once; write 60s or less",
        );
        self.check(
            limits.wait <= Rate::LONGEST_BURST,
            "limits.wait",
            "is longer than a minute, in which any bucket fills; write 60s or less",
        );
        let total = settings.deadline.total;
        self.check(
            total.is_none_or(|total| total < limits.lapse),
            "limits.lapse",
            "is not longer than deadline.total, so what a request has set aside could lapse while it is at work; raise it",
        );
    }

    fn caches(&mut self, cache: &CacheSettings) {
        self.check(
            !cache.semantic || cache.threshold > 0.0,
            "cache.threshold",
            "is 0, so that any two questions would be the same one to cache.semantic; write a number above 0, such as 0.55",
        );
        for (n, text) in cache.warm.iter().enumerate() {
            self.check(
                (1..=LONGEST_QUESTION).contains(&text.len()),
                &format!("cache.warm[{n}]"),
                "does not fit: write a question of 1 to 1000 bytes",
            );
        }
    }

    /// Addresses are never quoted back: they may hold passwords.
    fn stores(&mut self, settings: &Settings) {
        let database = settings.database_url.as_ref().map(ExposeSecret::expose_secret);
        self.check(
            database.is_none_or(|url| Place::of(url).is_some()),
            "database_url",
            "is no such address; write sqlite:PATH or postgres://USER:PASSWORD@HOST:5432/NAME",
        );
        self.check(
            database.is_none() || settings.database_path.is_none(),
            "database_path",
            "says the same as database_url; keep one of them",
        );
        let redis = settings.redis_url.as_ref().map(ExposeSecret::expose_secret);
        self.check(
            redis.is_none_or(|url| ["redis://", "rediss://"].iter().any(|scheme| url.starts_with(scheme))),
            "redis_url",
            "is no such address; write redis://:PASSWORD@HOST:6379/0, or rediss:// for TLS",
        );
        self.check(
            settings.queue == QueueStore::Database || redis.is_some(),
            "queue",
            "is to be kept in Redis, and redis_url is missing; name the server, or write queue = \"database\"",
        );
        self.check(
            settings.namespace.as_deref().is_none_or(is_namespace),
            "namespace",
            "does not fit: write a letter, then letters, digits or _, all small, 48 at most",
        );
    }

    /// An empty address is missing, and was refused as such.
    fn address(&mut self, key: &str, address: &str) {
        let parsed = address.parse::<Uri>();
        let complete = parsed.is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some());
        self.check(
            complete || address.is_empty(),
            key,
            "is no address: write scheme and host, for example http://localhost:4318 or https://api.openai.com/v1",
        );
    }

    fn keys(&mut self, settings: &Settings) {
        self.check(
            settings.auth == Auth::Off || settings.keys.iter().any(|key| !key.disabled),
            "auth",
            "is required, but no key is enabled, so nobody could call: add [[keys]] with name and sha256",
        );
        let mut names = BTreeMap::new();
        let mut sums = BTreeMap::new();
        for (n, key) in settings.keys.iter().enumerate() {
            let at = |field: &str| format!("keys[{n}].{field}");
            for (field, name) in [("name", key.name.as_str()), ("tenant", key.tenant())] {
                self.check(
                    is_name(name) || name.is_empty() || (field == "tenant" && key.tenant.is_none()),
                    &at(field),
                    "does not fit: write 1 to 64 letters, digits, dots, hyphens or underscores",
                );
            }
            self.check(
                settings.auth == Auth::Required || key.budget.is_none(),
                &at("budget_usd"),
                "is never kept: auth is \"off\", so nobody shows a key; write auth = \"required\", or take the budget out",
            );
            let same_name = names.insert(&key.name, n).filter(|_| !key.name.is_empty());
            self.check(
                same_name.is_none(),
                &at("name"),
                "is the name of another key too: write another name",
            );
            let same_sum = sums
                .insert(key.sha256.bytes(), n)
                .filter(|_| key.sha256 != Digest::default());
            self.check(
                same_sum.is_none(),
                &at("sha256"),
                "is the sum of another key too: who shows it could be either; make a key of its own",
            );
        }
        self.prices(&settings.keys, &settings.providers);
    }

    fn prices(&mut self, keys: &[KeySettings], providers: &[ProviderSettings]) {
        if keys.iter().all(|key| key.budget.is_none()) {
            return;
        }
        for (n, provider) in providers.iter().enumerate() {
            let prices = [
                ("prompt_usd_per_million", provider.prompt_price),
                ("completion_usd_per_million", provider.completion_price),
            ];
            for (field, price) in prices {
                self.check(
                    price.is_some(),
                    &format!("providers[{n}].{field}"),
                    "is missing: a key has a budget_usd, which cannot be kept without prices",
                );
            }
        }
    }
}

fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(fits)
}

/// A name that PostgreSQL takes without quotes.
fn is_namespace(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.len() <= 48 && name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(fits)
}
