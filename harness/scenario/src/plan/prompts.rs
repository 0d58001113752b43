//! How popular prompts are: which of them a request carries.
//!
//! Popularity follows Zipf's law, as that of pages, products and questions does. Which words a prompt has is not decided
//! here.

use std::sync::Arc;

use serde::Serialize;

use crate::questions;
use crate::units::PromptId;

/// Prompts that are asked for again and again, some of them more often than others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptsPlan {
    /// They are questions as people ask them, in many phrasings: see [`crate::questions`].
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub questions: bool,
    /// How many different ones there are.
    pub distinct: u64,
    /// The most popular one is asked for `n^exponent` times as often as the one in place `n`; 0: all alike.
    pub exponent: f64,
    /// Share of the requests that carry one of the first so many prompts. Follows from the other two.
    #[serde(skip)]
    cumulative: Arc<[f64]>,
}

impl PromptsPlan {
    /// `distinct` prompts, at least one.
    pub fn new(distinct: u64, exponent: f64) -> Self {
        let distinct = distinct.max(1);
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=distinct)
            .map(|place| {
                sum += libm::pow(place as f64, -exponent);
                sum
            })
            .collect();
        Self {
            questions: false,
            distinct,
            exponent,
            cumulative: sums.iter().map(|part| part / sum).collect(),
        }
    }

    /// The first so many questions of the set, at least one, and at most all of them.
    pub fn of_questions(distinct: u64, exponent: f64) -> Self {
        Self {
            questions: true,
            ..Self::new(distinct.min(questions::meanings().len() as u64), exponent)
        }
    }

    /// The prompt in `place`, from 0.
    pub fn prompt(&self, place: u64) -> PromptId {
        let question = usize::try_from(place).ok().filter(|_| self.questions);
        let meaning = question.and_then(|place| questions::meanings().get(place));
        meaning.map_or(PromptId(place + 1), |meaning| meaning.prompt)
    }

    /// The place of the prompt at `unit`, a number within (0, 1): 0 for the most popular one.
    pub fn place(&self, unit: f64) -> u64 {
        let below = self.cumulative.partition_point(|share| *share < unit) as u64;
        below.min(self.distinct - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_is_asked_for_twice_as_often_as_the_second_and_three_times_as_often_as_the_third() {
        let prompts = PromptsPlan::new(3, 1.0);
        let places = (0..1_100).map(|n| prompts.place((f64::from(n) + 0.5) / 1_100.0));
        let mut counts = [0; 3];
        places.for_each(|place| counts[place as usize] += 1);
        assert_eq!(counts, [600, 300, 200]);
    }

    #[test]
    fn with_an_exponent_of_zero_all_are_alike() {
        let prompts = PromptsPlan::new(4, 0.0);
        assert_eq!([0.1, 0.3, 0.6, 0.9].map(|unit| prompts.place(unit)), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn every_draw_has_a_place_and_a_larger_one_no_smaller_place(
            distinct in 1u64..2_000, exponent in 0.0..3.0, a in 0.0..1.0, b in 0.0..1.0,
        ) {
            let prompts = PromptsPlan::new(distinct, exponent);
            let [low, high] = [f64::min(a, b), f64::max(a, b)].map(|unit| prompts.place(unit));
            prop_assert!(low <= high && high < distinct);
        }
    }
}
