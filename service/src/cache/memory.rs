//! Answers in memory: of one instance, or, on virtual time, of all that share it.

use std::sync::Mutex;

use async_trait::async_trait;

use super::lru::Lru;
use super::{CacheError, CacheSettings, CacheStore, Kept, Key};
use crate::sync::lock;

/// A bounded store in memory.
#[derive(Debug)]
pub struct MemoryCache(Mutex<Lru>);

impl MemoryCache {
    /// With room for what the settings say.
    pub const fn new(settings: &CacheSettings) -> Self {
        Self(Mutex::new(Lru::new(settings.entries as usize, settings.bytes as usize)))
    }
}

#[async_trait]
impl CacheStore for MemoryCache {
    async fn get(&self, key: &Key, now_us: u64) -> Result<Option<Kept>, CacheError> {
        Ok(lock(&self.0).get(key, now_us))
    }

    async fn put(&self, key: &Key, kept: &Kept, _now_us: u64, until_us: u64) -> Result<(), CacheError> {
        lock(&self.0).put(*key, kept.clone(), until_us);
        Ok(())
    }

    async fn clear(&self) -> Result<(), CacheError> {
        lock(&self.0).clear();
        Ok(())
    }
}
