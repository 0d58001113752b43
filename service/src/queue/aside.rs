//! Records that cannot be read: damaged, or written by a newer version of the service. The queue goes on without them. Pure.
//!
//! A newer worker may read what this one cannot, so such a record is offered again after each lease. When nobody could read
//! it for as long as a job may wait, it is dead, and its text is kept for as long as an outcome. Nothing here looks into it.

use super::lease::{LeasePolicy, micros};

/// What became of a record that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was put aside for the first time.
    PutAside,
    /// It is still aside.
    StillAside,
    /// It was aside for too long: nobody will be offered it again.
    Buried,
}

/// Where such a record is filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Aside {
    pub(super) fate: Fate,
    /// Since when it is known that it cannot be read.
    pub(super) since_us: u64,
    /// When it is offered again.
    pub(super) claimable_us: Option<u64>,
    /// When it was buried.
    pub(super) finished_us: Option<u64>,
}

impl Aside {
    /// A record that could not be read at `now_us`, and not since `since_us`.
    pub(super) fn new(since_us: Option<u64>, now_us: u64, policy: &LeasePolicy) -> Self {
        let began_us = since_us.unwrap_or(now_us);
        let is_over = now_us.saturating_sub(began_us) > micros(policy.expiry);
        Self {
            fate: match since_us {
                None => Fate::PutAside,
                Some(_) if is_over => Fate::Buried,
                Some(_) => Fate::StillAside,
            },
            since_us: began_us,
            claimable_us: (!is_over).then(|| now_us + micros(policy.lease)),
            finished_us: is_over.then_some(now_us),
        }
    }
}
