//! The exact cache: an answer for who asks exactly the same again.
//!
//! Its store may be slow, silent or gone: that is a miss, counted, and for a moment nobody asks it again, so that a store
//! which hangs costs an instance one wait and not one for each request. Does not know what a question is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{CacheError, CacheSettings, CacheStore, Kept, Key};
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// How long a store that failed is left alone.
const REST: Duration = Duration::from_secs(1);
/// What it is called in metrics.
const NAME: &str = "exact";

/// The exact cache of an instance.
pub(crate) struct Exact {
    store: Arc<dyn CacheStore>,
    ttl: Duration,
    timeout: Duration,
    /// When the store may be asked again; 0: it is well.
    rests_until_us: AtomicU64,
    metrics: Metrics,
    clock: Clock,
}

impl Exact {
    pub(crate) fn new(store: Arc<dyn CacheStore>, settings: &CacheSettings, metrics: Metrics, clock: Clock) -> Self {
        Self {
            store,
            ttl: settings.ttl,
            timeout: settings.timeout,
            rests_until_us: AtomicU64::new(0),
            metrics,
            clock,
        }
    }

    /// The answer under `key`, if there is one and the store can be reached.
    pub(crate) async fn find(&self, key: &Key) -> Option<Kept> {
        let found = self.asked(self.store.get(key, self.clock.now_unix_us())).await;
        let outcome = match &found {
            Some(Some(_)) => "hit",
            Some(None) => "miss",
            None => "error",
        };
        self.metrics.cache_lookup(NAME, outcome);
        found.flatten()
    }

    /// Keeps an answer for as long as the settings say.
    pub(crate) async fn keep(&self, key: &Key, kept: &Kept) {
        let now_us = self.clock.now_unix_us();
        let until_us = now_us.saturating_add(self.ttl.as_micros() as u64);
        let put = self.asked(self.store.put(key, kept, now_us, until_us)).await;
        let outcome = if put.is_some() { "stored" } else { "error" };
        self.metrics.cache_store(NAME, outcome);
    }

    /// What the store says, unless it fails, takes too long or is left alone.
    async fn asked<T>(&self, step: impl Future<Output = Result<T, CacheError>>) -> Option<T> {
        if !self.may_ask() {
            return None;
        }
        match self.clock.timeout(self.timeout, step).await {
            Ok(Ok(said)) => {
                if self.rests_until_us.swap(0, Ordering::Relaxed) > 0 {
                    tracing::info!("the cache's store answers again");
                }
                return Some(said);
            }
            Ok(Err(error)) => self.rest(&error.to_string()),
            Err(_late) => self.rest("it did not answer within cache.timeout"),
        }
        None
    }

    /// Whether the store is to be asked: after a rest by one caller, for all who come while that one waits.
    fn may_ask(&self) -> bool {
        let (now_us, until_us) = (self.clock.now_unix_us(), self.rests_until_us.load(Ordering::Relaxed));
        if until_us == 0 {
            return true;
        }
        let next_us = now_us + (self.timeout + REST).as_micros() as u64;
        let claim = || {
            let claimed = &self.rests_until_us;
            claimed.compare_exchange(until_us, next_us, Ordering::Relaxed, Ordering::Relaxed)
        };
        until_us <= now_us && claim().is_ok()
    }

    fn rest(&self, why: &str) {
        let until_us = self.clock.now_unix_us() + REST.as_micros() as u64;
        if self.rests_until_us.swap(until_us, Ordering::Relaxed) == 0 {
            tracing::warn!(why, "the cache's store cannot be used: requests go on without it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::cache::MemoryCache;
    use crate::cache::key::named;
    use crate::settings::{Preset, Settings};
    use crate::sync::lock;

    /// How a store behaves.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Mood {
        Well,
        Down,
        Silent,
    }

    struct Moody {
        inner: MemoryCache,
        mood: Arc<Mutex<(Mood, u32)>>,
    }

    impl Moody {
        async fn pass(&self) -> Result<(), CacheError> {
            let mood = {
                let mut mood = lock(&self.mood);
                mood.1 += 1;
                mood.0
            };
            match mood {
                Mood::Well => Ok(()),
                Mood::Down => Err(CacheError("down".into())),
                Mood::Silent => std::future::pending().await,
            }
        }
    }

    #[async_trait]
    impl CacheStore for Moody {
        async fn get(&self, key: &Key, now_us: u64) -> Result<Option<Kept>, CacheError> {
            self.pass().await?;
            self.inner.get(key, now_us).await
        }

        async fn put(&self, key: &Key, kept: &Kept, now_us: u64, until_us: u64) -> Result<(), CacheError> {
            self.pass().await?;
            self.inner.put(key, kept, now_us, until_us).await
        }

        async fn clear(&self) -> Result<(), CacheError> {
            self.inner.clear().await
        }
    }

    fn cache() -> (Exact, Arc<Mutex<(Mood, u32)>>) {
        let settings = Settings::preset(Preset::Resilient).cache;
        let mood = Arc::new(Mutex::new((Mood::Well, 0)));
        let store = Moody {
            inner: MemoryCache::new(&settings),
            mood: Arc::clone(&mood),
        };
        let settings = CacheSettings {
            timeout: Duration::from_millis(50),
            ttl: Duration::from_mins(5),
            ..settings
        };
        let clock = Clock::starting_at(1_000_000);
        (Exact::new(Arc::new(store), &settings, Metrics::default(), clock), mood)
    }

    fn answer() -> Kept {
        Kept {
            content: "Hi.".to_owned(),
            finish_reason: "stop".to_owned(),
            model: "m".to_owned(),
            provider: "p".to_owned(),
            usage: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_found_until_it_lapses() {
        let (cache, _) = cache();
        let key = named("m");
        assert_eq!(cache.find(&key).await, None);
        cache.keep(&key, &answer()).await;
        assert_eq!(cache.find(&key).await, Some(answer()));
        cache.clock.sleep(Duration::from_secs(299)).await;
        assert!(cache.find(&key).await.is_some());
        cache.clock.sleep(Duration::from_secs(1)).await;
        assert!(cache.find(&key).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_or_hangs_is_a_miss_and_left_alone_for_a_second() {
        let (cache, mood) = cache();
        let key = named("m");
        cache.keep(&key, &answer()).await;
        for (sick, waits_ms) in [(Mood::Down, 0), (Mood::Silent, 50)] {
            *lock(&mood) = (sick, 0);
            let began = cache.clock.now();
            for _ in 0..10 {
                assert_eq!(cache.find(&key).await, None);
            }
            assert_eq!((cache.clock.now() - began).as_millis(), waits_ms, "{sick:?}");
            assert_eq!(lock(&mood).1, 1, "{sick:?}: asked once");
            lock(&mood).0 = Mood::Well;
            cache.clock.sleep(REST).await;
            assert!(cache.find(&key).await.is_some(), "{sick:?} has passed");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_still_hangs_after_a_rest_holds_up_one_of_those_who_come_together() {
        let (cache, mood) = cache();
        let key = named("m");
        *lock(&mood) = (Mood::Silent, 0);
        assert_eq!(cache.find(&key).await, None);
        for round in 1..=3 {
            cache.clock.sleep(REST).await;
            let began = cache.clock.now();
            let waits = futures::future::join_all((0..20).map(async |_| {
                cache.find(&key).await;
                (cache.clock.now() - began).as_millis()
            }));
            let held_up = waits.await.into_iter().filter(|waited| *waited > 0).count();
            assert_eq!((held_up, lock(&mood).1), (1, 1 + round));
        }
        lock(&mood).0 = Mood::Well;
        cache.clock.sleep(REST).await;
        cache.find(&key).await;
        cache.keep(&key, &answer()).await;
        assert!(cache.find(&key).await.is_some(), "all of them ask again");
    }
}
