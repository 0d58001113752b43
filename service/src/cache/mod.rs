//! Answers that are given a second time: what stands for what, where answers are kept, and which may be.
//!
//! - `key`: what makes two questions the same one. Pure.
//! - `kept`: an answer as it is kept, and whether it may be. Pure.
//! - `lru`: so many answers and bytes, and no more. Pure.
//! - `memory`, `redis`: where answers are kept; a [`CacheStore`] each.
//! - `exact`: the exact cache: a store that may fail without anybody noticing more than a miss.
//! - `semantic`: the semantic cache: the same in other words.
//! - `caches`: all caches of an instance, in their order.
//! - `settings`: what all of it is told.
//!
//! Nothing of one tenant is found by another. Who looks when is the business of `answering`.

mod caches;
mod exact;
mod kept;
mod key;
mod lru;
mod memory;
mod redis;
mod semantic;
mod settings;

use async_trait::async_trait;

pub(crate) use self::caches::Caches;
pub(crate) use self::exact::Exact;
pub use self::kept::Kept;
pub use self::key::Key;
pub(crate) use self::key::{Asked, Freshness, Question};
pub use self::memory::MemoryCache;
pub use self::redis::RedisCache;
pub(crate) use self::semantic::{Meaning, Semantic, Wording};
pub use self::settings::{CacheSettings, CacheStoreKind};

/// Where answers are kept. Whoever asks lives with every failure as with a miss, and bounds every wait.
#[async_trait]
pub trait CacheStore: Send + Sync {
    /// The answer under `key`, unless it has lapsed by `now_us`, microseconds since the Unix epoch.
    async fn get(&self, key: &Key, now_us: u64) -> Result<Option<Kept>, CacheError>;

    /// Keeps an answer under `key` until `until_us`, in the place of any other.
    async fn put(&self, key: &Key, kept: &Kept, now_us: u64, until_us: u64) -> Result<(), CacheError>;

    /// Forgets everything.
    async fn clear(&self) -> Result<(), CacheError>;
}

/// The store did not do it.
#[derive(Debug, thiserror::Error)]
#[error("the cache's store failed: {0}")]
pub struct CacheError(#[source] pub Box<dyn std::error::Error + Send + Sync>);
