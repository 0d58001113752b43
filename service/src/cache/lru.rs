//! So many answers and so many bytes, and no more: what was not asked for longest goes first.
//!
//! Pure: it is told the time.

use std::collections::BTreeMap;

use super::{Kept, Key};

/// Answers by key, and in the order in which they were last of use.
#[derive(Debug)]
pub(super) struct Lru {
    most: usize,
    most_bytes: usize,
    entries: BTreeMap<Key, Entry>,
    order: BTreeMap<u64, Key>,
    bytes: usize,
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    until_us: u64,
    turn: u64,
}

impl Entry {
    const fn bytes(&self) -> usize {
        size_of::<Key>() + size_of::<Self>() + self.kept.bytes()
    }
}

impl Lru {
    /// Room for `most` answers in `most_bytes`.
    pub(super) const fn new(most: usize, most_bytes: usize) -> Self {
        Self {
            most,
            most_bytes,
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            turn: 0,
        }
    }

    pub(super) fn get(&mut self, key: &Key, now_us: u64) -> Option<Kept> {
        let entry = self.entries.get_mut(key)?;
        if entry.until_us <= now_us {
            self.remove(key);
            return None;
        }
        self.order.remove(&entry.turn);
        self.turn += 1;
        entry.turn = self.turn;
        self.order.insert(self.turn, *key);
        Some(entry.kept.clone())
    }

    /// Keeps an answer; one that is larger than all the room there is, is not kept.
    pub(super) fn put(&mut self, key: Key, kept: Kept, until_us: u64) {
        self.remove(&key);
        self.turn += 1;
        let turn = self.turn;
        let entry = Entry { kept, until_us, turn };
        if entry.bytes() > self.most_bytes {
            return;
        }
        self.bytes += entry.bytes();
        self.entries.insert(key, entry);
        self.order.insert(turn, key);
        while self.entries.len() > self.most || self.bytes > self.most_bytes {
            let Some((_, oldest)) = self.order.first_key_value() else {
                return;
            };
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most, self.most_bytes);
    }

    fn remove(&mut self, key: &Key) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.turn);
            self.bytes -= entry.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::key::named;

    fn key(n: usize) -> Key {
        named(&n.to_string())
    }

    fn kept(bytes: usize) -> Kept {
        Kept {
            content: "x".repeat(bytes),
            finish_reason: String::new(),
            model: String::new(),
            provider: String::new(),
            usage: None,
        }
    }

    #[test]
    fn what_was_of_use_last_stays_and_what_has_lapsed_is_not_found() {
        let mut lru = Lru::new(2, 1 << 20);
        lru.put(key(1), kept(1), 100);
        lru.put(key(2), kept(2), 100);
        assert!(lru.get(&key(1), 99).is_some());
        lru.put(key(3), kept(3), 50);
        assert!(lru.get(&key(2), 0).is_none(), "it was not asked for longest");
        assert!(lru.get(&key(3), 49).is_some());
        assert!(lru.get(&key(3), 50).is_none());
        assert!(lru.get(&key(1), 50).is_some());
    }

    #[test]
    fn an_answer_that_is_larger_than_the_room_throws_nobody_out() {
        let mut lru = Lru::new(10, 1_000);
        lru.put(key(1), kept(100), 100);
        lru.put(key(2), kept(1_000), 100);
        assert!(lru.get(&key(1), 0).is_some() && lru.get(&key(2), 0).is_none());
    }

    proptest! {
        #[test]
        fn the_bounds_hold_and_the_sums_are_right(
            most in 1_usize..8,
            steps in proptest::collection::vec((any::<bool>(), 0_usize..12, 0_usize..600), 1..200),
        ) {
            let most_bytes = 1_500;
            let mut lru = Lru::new(most, most_bytes);
            for (now, (put, n, bytes)) in steps.into_iter().enumerate() {
                if put {
                    lru.put(key(n), kept(bytes), now as u64 + 20);
                } else {
                    let found = lru.get(&key(n), now as u64);
                    prop_assert!(found.is_none() || lru.entries.contains_key(&key(n)));
                }
                prop_assert!(lru.entries.len() <= most && lru.bytes <= most_bytes);
                prop_assert_eq!(lru.bytes, lru.entries.values().map(Entry::bytes).sum::<usize>());
                let order: Vec<(u64, Key)> = lru.order.iter().map(|(turn, key)| (*turn, *key)).collect();
                let mut turns: Vec<(u64, Key)> = lru.entries.iter().map(|(key, entry)| (entry.turn, *key)).collect();
                turns.sort_unstable();
                prop_assert_eq!(order, turns);
            }
        }
    }
}
