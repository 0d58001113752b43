//! So many questions of each tenant with their answers, and the nearest one to a new question.
//!
//! Every question is looked at: with the bound that there is, that takes less than a millisecond. All tenants together have
//! so many bytes; the oldest question of them all goes when there is no room. Pure: it is told the time.

use std::collections::{BTreeMap, VecDeque};

use super::{Meaning, Vector};
use crate::cache::{Kept, Key};

/// What the marks of a question take in memory, about, in bytes: the words of a text that is short.
const MARKS: usize = 2 << 10;

/// A question that was answered.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Key,
    /// What has to be equal.
    pub(super) partition: Key,
    pub(super) meaning: Meaning,
    pub(super) kept: Kept,
    pub(super) until_us: u64,
}

impl Entry {
    const fn bytes(&self) -> usize {
        size_of::<Self>() + MARKS + self.meaning.vector.bytes() + self.kept.bytes()
    }
}

/// Whose a question is: a tenant's, or the service's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Owner(Option<String>);

impl Owner {
    fn of(tenant: Option<&str>) -> Self {
        Self(tenant.map(str::to_owned))
    }
}

/// Questions by the tenant who asked them.
#[derive(Debug)]
pub(super) struct Index {
    most: usize,
    most_bytes: usize,
    tenants: BTreeMap<Owner, VecDeque<(u64, Entry)>>,
    /// All questions of tenants in the order in which they were asked. The service's own are none of these: they stay.
    order: BTreeMap<u64, Owner>,
    bytes: usize,
    turn: u64,
}

impl Index {
    /// Room for `most` questions of each tenant, and for `most_bytes` of all tenants.
    pub(super) const fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            most,
            most_bytes,
            tenants: BTreeMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            turn: 0,
        }
    }

    /// Remembers a question of `tenant`, in the place of the same one. The oldest goes when there is no room; one that is
    /// larger than all the room there is, is not remembered.
    pub(super) fn put(&mut self, tenant: Option<&str>, entry: Entry, now_us: u64) {
        self.forget_lapsed(now_us);
        let owner = Owner::of(tenant);
        if let Some(entries) = self.tenants.get(&owner) {
            let same = entries.iter().find(|(_, known)| known.key == entry.key);
            let oldest = entries.front().filter(|_| entries.len() >= self.most);
            if let Some(turn) = same.or(oldest).map(|(turn, _)| *turn) {
                self.remove(&owner, turn);
            }
        }
        if tenant.is_some() && entry.bytes() > self.most_bytes {
            return;
        }
        self.turn += 1;
        if tenant.is_some() {
            self.bytes += entry.bytes();
            self.order.insert(self.turn, owner.clone());
        }
        self.tenants.entry(owner).or_default().push_back((self.turn, entry));
        while self.bytes > self.most_bytes && self.forget_oldest(|_| true) {}
    }

    /// Forgets what has lapsed. All last equally long, so that is at the front.
    pub(super) fn forget_lapsed(&mut self, now_us: u64) {
        while self.forget_oldest(|entry| entry.until_us <= now_us) {}
    }

    /// Forgets the oldest question of all tenants, if there is one and it `may` go.
    fn forget_oldest(&mut self, may: impl FnOnce(&Entry) -> bool) -> bool {
        let Some((turn, owner)) = self.order.first_key_value() else {
            return false;
        };
        let (turn, owner) = (*turn, owner.clone());
        let oldest = self.tenants.get(&owner).and_then(VecDeque::front);
        let goes = oldest.is_none_or(|(_, entry)| may(entry));
        if goes {
            self.remove(&owner, turn);
        }
        goes
    }

    fn remove(&mut self, owner: &Owner, turn: u64) {
        let is_counted = self.order.remove(&turn).is_some();
        let Some(entries) = self.tenants.get_mut(owner) else {
            return;
        };
        if let Ok(at) = entries.binary_search_by_key(&turn, |(turn, _)| *turn)
            && let Some((_, entry)) = entries.remove(at)
            && is_counted
        {
            self.bytes -= entry.bytes();
        }
        if entries.is_empty() {
            self.tenants.remove(owner);
        }
    }

    /// The nearest question of `tenant` in `partition` that `fits`, by how near it is.
    pub(super) fn nearest(
        &self,
        tenant: Option<&str>,
        partition: &Key,
        to: &Vector,
        now_us: u64,
        fits: impl Fn(&Entry, f64) -> bool,
    ) -> Option<(f64, &Entry)> {
        let entries = self.tenants.get(&Owner::of(tenant))?;
        let there = entries
            .iter()
            .map(|(_, entry)| entry)
            .filter(|entry| entry.partition == *partition && entry.until_us > now_us);
        let near = there.map(|entry| (entry.meaning.vector.cosine(to), entry));
        let fitting = near.filter(|(nearness, entry)| fits(entry, *nearness));
        // Of those that are equally near the latest.
        fitting.max_by(|(one, _), (other, _)| one.total_cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::named;
    use crate::cache::semantic::marks::Marks;

    fn entry(name: &str, direction: [f32; 2], until_us: u64) -> Entry {
        Entry {
            key: named(name),
            partition: named("partition"),
            meaning: Meaning {
                vector: Vector::new(direction.to_vec()),
                marks: Marks::default(),
            },
            kept: Kept {
                content: name.to_owned(),
                finish_reason: "stop".to_owned(),
                model: String::new(),
                provider: String::new(),
                usage: None,
            },
            until_us,
        }
    }

    fn nearest(index: &Index, tenant: &str, direction: [f32; 2], now_us: u64) -> Option<String> {
        let to = Vector::new(direction.to_vec());
        let found = index.nearest(Some(tenant), &named("partition"), &to, now_us, |_, nearness| {
            nearness > 0.9
        });
        found.map(|(_, entry)| entry.kept.content.clone())
    }

    #[test]
    fn the_nearest_of_the_tenants_own_that_has_not_lapsed_is_found() {
        let mut index = Index::new(10, usize::MAX);
        index.put(Some("a"), entry("near", [1.0, 0.2], 100), 0);
        index.put(Some("a"), entry("nearer", [1.0, 0.1], 50), 0);
        index.put(Some("a"), entry("far", [0.0, 1.0], 100), 0);
        index.put(Some("b"), entry("of another", [1.0, 0.0], 100), 0);
        assert_eq!(nearest(&index, "a", [1.0, 0.0], 49).as_deref(), Some("nearer"));
        assert_eq!(nearest(&index, "a", [1.0, 0.0], 50).as_deref(), Some("near"));
        assert_eq!(nearest(&index, "b", [1.0, 0.0], 50).as_deref(), Some("of another"));
        assert_eq!(nearest(&index, "c", [1.0, 0.0], 50), None);
        let elsewhere = index.nearest(Some("a"), &named("other"), &Vector::new(vec![1.0, 0.0]), 0, |_, _| true);
        assert!(elsewhere.is_none(), "other options, other turns");
    }

    #[test]
    fn the_oldest_goes_first_and_the_same_question_is_there_once() {
        let mut index = Index::new(2, usize::MAX);
        for name in ["one", "two", "one", "three"] {
            index.put(Some("a"), entry(name, [1.0, 0.0], 100), 0);
        }
        let names: Vec<&str> = index.tenants[&Owner::of(Some("a"))]
            .iter()
            .map(|(_, entry)| entry.kept.content.as_str())
            .collect();
        assert_eq!(names, ["one", "three"]);
    }

    #[test]
    fn all_tenants_together_have_so_many_bytes_and_the_oldest_goes_whoever_asked_it() {
        let one = entry("1", [1.0, 0.0], 100).bytes();
        let mut index = Index::new(10, 3 * one);
        index.put(None, entry("0", [1.0, 0.0], u64::MAX), 0);
        for (n, tenant) in ["a", "b", "c", "a", "b"].into_iter().enumerate() {
            index.put(Some(tenant), entry(&(n + 1).to_string(), [1.0, 0.0], 100), 0);
            assert!(index.bytes <= 3 * one);
        }
        let kept: Vec<&str> = index
            .tenants
            .values()
            .flatten()
            .map(|(_, of)| of.kept.content.as_str())
            .collect();
        assert_eq!(kept, ["0", "4", "5", "3"], "the service's own stays");
        let mut large = entry("6", [1.0, 0.0], 100);
        large.kept.content = "x".repeat(3 * one);
        index.put(Some("d"), large, 0);
        assert_eq!(
            (index.order.len(), index.bytes),
            (3, 3 * one),
            "one that is too large costs nobody's"
        );
    }

    #[test]
    fn what_has_lapsed_is_forgotten_whoever_looks() {
        let mut index = Index::new(10, usize::MAX);
        for (n, tenant) in ["a", "b", "a"].into_iter().enumerate() {
            index.put(Some(tenant), entry(&n.to_string(), [1.0, 0.0], 100 + n as u64), 0);
        }
        index.forget_lapsed(101);
        assert_eq!(
            (index.order.len(), index.tenants.len()),
            (1, 1),
            "no trace of the other tenant"
        );
        index.forget_lapsed(102);
        assert_eq!((index.bytes, index.tenants.len()), (0, 0));
    }
}
