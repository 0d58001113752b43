//! Which inputs go out together: those that come while the first of them waits, up to a number.
//!
//! Pure: it is told what comes and when the wait is over. Nothing is lost and nothing goes out twice.

use std::collections::BTreeMap;

/// What inputs must have in common to share a call: the provider, and how long the vectors are to be.
pub(super) type Key = (usize, Option<u32>);

/// Inputs that wait for others.
#[derive(Debug)]
pub(super) struct Gather<T> {
    size: usize,
    /// The inputs that wait, and the number of their batch.
    waiting: BTreeMap<Key, (u64, Vec<T>)>,
    batches: u64,
}

/// What adding an input led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Added<T> {
    /// It is the first of this batch, which goes out when its wait is over.
    First(u64),
    /// It waits with others.
    Joined,
    /// It filled the batch, which goes out now.
    Full(Vec<T>),
}

impl<T> Gather<T> {
    /// Gathers at most `size` inputs, at least one.
    pub(super) fn new(size: u32) -> Self {
        Self {
            size: size.max(1) as usize,
            waiting: BTreeMap::new(),
            batches: 0,
        }
    }

    /// An input came.
    pub(super) fn add(&mut self, key: Key, input: T) -> Added<T> {
        let batches = &mut self.batches;
        let (number, inputs) = self.waiting.entry(key).or_insert_with(|| {
            *batches += 1;
            (*batches, Vec::new())
        });
        let number = *number;
        inputs.push(input);
        match inputs.len() {
            full if full >= self.size => Added::Full(self.take(key, number)),
            1 => Added::First(number),
            _ => Added::Joined,
        }
    }

    /// The wait of batch `number` is over. Nothing, if it was full before.
    pub(super) fn take(&mut self, key: Key, number: u64) -> Vec<T> {
        if self.waiting.get(&key).is_some_and(|(waiting, _)| *waiting == number) {
            self.waiting.remove(&key).map(|(_, inputs)| inputs).unwrap_or_default()
        } else {
            Vec::new()
        }
    }
}

/// Divides `total` among inputs by their weight, to the last one: what a provider reports for a call, for each of its
/// inputs. The provider names only the sum.
pub(super) fn shares(total: u64, weights: &[u64]) -> Vec<u64> {
    let sum: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let (mut before, mut given) = (0_u128, 0_u64);
    weights
        .iter()
        .map(|weight| {
            before += u128::from(*weight);
            // All up to here, rounded down, less what was given before: never negative, and everything in the end.
            let up_to_here = (u128::from(total) * before).checked_div(sum).unwrap_or(0) as u64;
            let share = up_to_here - given;
            given = up_to_here;
            share
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: Key = (0, None);

    #[test]
    fn a_batch_goes_out_when_it_is_full_or_its_wait_is_over() {
        let mut gather = Gather::new(3);
        assert_eq!(gather.add(KEY, 'a'), Added::First(1));
        assert_eq!(gather.add(KEY, 'b'), Added::Joined);
        assert_eq!(gather.add(KEY, 'c'), Added::Full(vec!['a', 'b', 'c']));
        assert_eq!(gather.add(KEY, 'd'), Added::First(2));
        assert!(gather.take(KEY, 1).is_empty(), "that one went out when it was full");
        assert_eq!(gather.take(KEY, 2), ['d']);
    }

    #[test]
    fn what_has_not_all_in_common_goes_out_apart() {
        let mut gather = Gather::new(2);
        assert_eq!(gather.add((0, None), 'a'), Added::First(1));
        assert_eq!(gather.add((1, None), 'b'), Added::First(2));
        assert_eq!(gather.add((0, Some(8)), 'c'), Added::First(3));
        assert_eq!(gather.add((1, None), 'd'), Added::Full(vec!['b', 'd']));
    }

    #[test]
    fn with_a_size_of_one_each_input_is_a_call() {
        let mut gather = Gather::new(1);
        assert_eq!(gather.add(KEY, 'a'), Added::Full(vec!['a']));
        assert_eq!(gather.add(KEY, 'b'), Added::Full(vec!['b']));
    }

    proptest! {
        #[test]
        fn every_input_goes_out_once_in_order_and_no_batch_is_too_large(
            size in 1_u32..9,
            steps in proptest::collection::vec((0_usize..3, any::<bool>()), 1..200),
        ) {
            let mut gather = Gather::new(size);
            let mut out: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            let mut due = Vec::new();
            let mut sent = |place: usize, batch: Vec<usize>| {
                assert!(batch.len() <= size as usize);
                out.entry(place).or_default().extend(batch);
            };
            for (n, (place, is_over)) in steps.iter().enumerate() {
                match gather.add((*place, None), n) {
                    Added::First(number) => due.push((*place, number)),
                    Added::Joined => {}
                    Added::Full(batch) => sent(*place, batch),
                }
                if *is_over && let Some((place, number)) = due.pop() {
                    sent(place, gather.take((place, None), number));
                }
            }
            for (place, number) in due {
                sent(place, gather.take((place, None), number));
            }
            for place in 0..3 {
                let came: Vec<usize> = (0..steps.len()).filter(|n| steps[*n].0 == place).collect();
                prop_assert_eq!(out.remove(&place).unwrap_or_default(), came);
            }
        }

        #[test]
        fn shares_add_up_to_the_last_token(total in any::<u64>(), weights in proptest::collection::vec(1_u64..100_000, 1..50)) {
            let shares = shares(total, &weights);
            prop_assert_eq!(shares.iter().map(|share| u128::from(*share)).sum::<u128>(), u128::from(total));
            let sum: u64 = weights.iter().sum();
            for (share, weight) in shares.iter().zip(&weights) {
                let exact = u128::from(total) * u128::from(*weight) / u128::from(sum);
                prop_assert!(u128::from(*share).abs_diff(exact) <= 1);
            }
        }
    }
}
