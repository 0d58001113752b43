//! What the caches are told.

use std::time::Duration;

/// Parameters of the caches and of coalescing.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "four cures, each with its switch")]
pub struct CacheSettings {
    /// Whether an answer is given again to who asks exactly the same.
    pub exact: bool,
    /// How long an answer is given again.
    pub ttl: Duration,
    /// Answers that are kept in memory.
    pub entries: u32,
    /// Bytes of answers that are kept in memory, by each of the caches.
    pub bytes: u32,
    /// Who asks for more variety than this temperature wants another answer each time; absent: nobody does.
    pub max_temperature: Option<f64>,
    /// Where answers are kept.
    pub store: CacheStoreKind,
    /// How long a shared store may take before the request goes on without it.
    pub timeout: Duration,
    /// Whether an answer is given again to who asks the same in other words.
    pub semantic: bool,
    /// How near two questions have to be, as a cosine: 1 is the same direction.
    pub threshold: f64,
    /// Whether two questions have to agree in numbers, denials, names and opposites besides.
    pub guards: bool,
    /// Questions of each tenant that are compared.
    pub questions: u32,
    /// What the service asks when it starts, so that everybody has the answers.
    pub warm: Vec<String>,
    /// Whether equal questions at the same time share one call to a provider.
    pub coalesce: bool,
}

/// Where answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStoreKind {
    /// In the memory of each instance.
    Memory,
    /// In one place for all instances: Redis.
    Shared,
}

impl CacheSettings {
    /// Whether a question is compared with any other at all.
    pub(crate) const fn compares(&self) -> bool {
        self.exact || self.semantic || self.coalesce || !self.warm.is_empty()
    }
}
