//! The book in this process's memory: one instance's own, or in a virtual deployment the one that replicas share.

use std::sync::Mutex;

use async_trait::async_trait;

use super::book::Book;
use super::{Allowance, Demand, LimitStore, LimitStoreError, Verdict};
use crate::sync::lock;

/// Accounts that are gone with the process.
#[derive(Debug, Default)]
pub struct MemoryLimits(Mutex<Book>);

impl MemoryLimits {
    /// See [`LimitStore::reserve`]. Takes no time.
    pub(super) fn reserve_now(&self, demand: &Demand, now_us: u64) -> Verdict {
        lock(&self.0).reserve(demand, now_us)
    }

    /// See [`LimitStore::settle`]. Takes no time.
    pub(super) fn settle_now(&self, id: u64, demand: &Demand, used: &[u64], now_us: u64) {
        lock(&self.0).settle(id, demand, used, now_us);
    }

    /// See [`LimitStore::left`]. Takes no time.
    pub(super) fn left_now(&self, account: &str, rule: Allowance, now_us: u64) -> u64 {
        lock(&self.0).left(account, rule, now_us)
    }
}

#[async_trait]
impl LimitStore for MemoryLimits {
    async fn reserve(&self, demand: &Demand, now_us: u64) -> Result<Verdict, LimitStoreError> {
        Ok(self.reserve_now(demand, now_us))
    }

    async fn settle(&self, id: u64, demand: &Demand, used: &[u64], now_us: u64) -> Result<(), LimitStoreError> {
        self.settle_now(id, demand, used, now_us);
        Ok(())
    }

    async fn left(&self, account: &str, rule: Allowance, now_us: u64) -> Result<u64, LimitStoreError> {
        Ok(self.left_now(account, rule, now_us))
    }

    async fn ping(&self) -> Result<(), LimitStoreError> {
        Ok(())
    }
}
