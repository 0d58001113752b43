//! How many requests each key has under way here. In the memory of this instance: a place is taken where the request is.
//!
//! One entry for each key of the settings and none for any other, so what strangers send costs no memory. Not here: what
//! is counted over time, which is [`crate::limits`]'s.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use super::Caller;
use crate::error::Error;
use crate::settings::{KeySettings, Settings};
use crate::sync::lock;

/// Where all keys stand.
pub(super) struct Standings(BTreeMap<String, Arc<Standing>>);

/// Where one key stands.
struct Standing {
    concurrent: Option<u32>,
    under_way: Mutex<u32>,
}

impl Standings {
    /// Nothing under way.
    pub(super) fn new(settings: &Settings) -> Self {
        let standing = |key: &KeySettings| {
            let standing = Standing {
                concurrent: key.concurrent,
                under_way: Mutex::new(0),
            };
            (key.name.clone(), Arc::new(standing))
        };
        Self(settings.keys.iter().map(standing).collect())
    }

    /// Counts a request in, unless the key has as many under way as it may.
    pub(super) fn admit(&self, caller: &Caller) -> Result<Permit, Error> {
        let Some(standing) = self.0.get(&caller.name) else {
            return Err(Error::Unauthenticated);
        };
        let mut under_way = lock(&standing.under_way);
        if standing.concurrent.is_some_and(|most| *under_way >= most) {
            return Err(Error::TooManyAtOnce);
        }
        *under_way += 1;
        Ok(Permit(Arc::clone(standing)))
    }
}

/// A request that was let in. Counted out when it is dropped.
pub(super) struct Permit(Arc<Standing>);

impl Drop for Permit {
    fn drop(&mut self) {
        *lock(&self.0.under_way) -= 1;
    }
}
