//! So many questions of each tenant with their answers, and the nearest one to a new question.
//!
//! Every question is looked at: with the bound that there is, that takes less than a millisecond. Pure: it is told the time.

use std::collections::{BTreeMap, VecDeque};

use super::{Meaning, Vector};
use crate::cache::{Kept, Key};

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

/// Questions by the tenant who asked them.
#[derive(Debug)]
pub(super) struct Index {
    most: usize,
    tenants: BTreeMap<Option<String>, VecDeque<Entry>>,
}

impl Index {
    /// Room for `most` questions of each tenant.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            tenants: BTreeMap::new(),
        }
    }

    /// Remembers a question of `tenant`, in the place of the same one. The oldest goes when there is no room.
    pub(super) fn put(&mut self, tenant: Option<&str>, entry: Entry, now_us: u64) {
        let entries = self.tenants.entry(tenant.map(str::to_owned)).or_default();
        entries.retain(|known| known.key != entry.key && known.until_us > now_us);
        if entries.len() >= self.most {
            entries.pop_front();
        }
        entries.push_back(entry);
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
        let entries = self.tenants.get(&tenant.map(str::to_owned))?;
        let there = entries
            .iter()
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
        let mut index = Index::new(10);
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
        let mut index = Index::new(2);
        for name in ["one", "two", "one", "three"] {
            index.put(Some("a"), entry(name, [1.0, 0.0], 100), 0);
        }
        let names: Vec<&str> = index.tenants[&Some("a".to_owned())]
            .iter()
            .map(|entry| entry.kept.content.as_str())
            .collect();
        assert_eq!(names, ["one", "three"]);
    }
}
