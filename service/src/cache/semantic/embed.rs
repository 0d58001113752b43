//! A question as a point: near to those that mean the same.
//!
//! The built-in embedding needs no download and no call: hashed words, pairs of words and parts of words. It knows
//! wordings, not meanings. Whoever has a model for that puts it behind [`Embedder`].

use async_trait::async_trait;

use super::words::{English, words};

/// Numbers of a point.
const DIMENSIONS: usize = 512;
/// What a word, a pair of neighbours and a part of a word weigh.
const WORD: f32 = 1.0;
const PAIR: f32 = 0.3;
const PART: f32 = 0.35;
/// Products that are summed side by side.
const LANES: usize = 16;
/// Letters of a part of a word.
const LETTERS: usize = 3;

/// A point on the unit sphere.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vector(Vec<f32>);

impl Vector {
    /// From any numbers. All zero is nowhere, and near to nothing.
    pub(crate) fn new(mut numbers: Vec<f32>) -> Self {
        let length = numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
        if length > 0.0 {
            for x in &mut numbers {
                *x /= length;
            }
        }
        Self(numbers)
    }

    /// What it takes in memory, in bytes.
    pub(crate) const fn bytes(&self) -> usize {
        self.0.len() * size_of::<f32>()
    }

    /// The cosine of the angle between two points: 1 is the same direction.
    pub(crate) fn cosine(&self, other: &Self) -> f64 {
        // In lanes, which processors do at once: one running sum would wait for itself at every step.
        let mut sums = [0.0_f32; LANES];
        for (one, other) in self.0.chunks(LANES).zip(other.0.chunks(LANES)) {
            for ((sum, a), b) in sums.iter_mut().zip(one).zip(other) {
                *sum += a * b;
            }
        }
        f64::from(sums.iter().sum::<f32>())
    }
}

/// Makes points of texts. Points of different embedders are never compared: a cache has one.
#[async_trait]
pub(crate) trait Embedder: Send + Sync {
    /// The point of `text`; `None` if there is none to be had, now or at all.
    async fn embed(&self, text: &str) -> Option<Vector>;
}

/// The built-in embedding.
pub(crate) struct Wording {
    english: English,
}

impl Wording {
    pub(crate) fn new() -> Self {
        Self {
            english: English::new(),
        }
    }

    /// The point of `text`. It depends on nothing else, so all instances agree on it.
    pub(super) fn point(&self, text: &str) -> Vector {
        let content = self.english.content(&words(text));
        let mut numbers = vec![0.0; DIMENSIONS];
        for word in &content {
            add(&mut numbers, &["word", word], WORD);
            let letters: Vec<char> = format!("<{word}>").chars().collect();
            let parts = letters.windows(LETTERS);
            // However long a word is, its parts weigh together what they weigh.
            let each = PART / (parts.len().max(1) as f32).sqrt();
            for part in parts {
                add(&mut numbers, &["part", &part.iter().collect::<String>()], each);
            }
        }
        for pair in content.windows(2) {
            add(&mut numbers, &["pair", &pair[0], &pair[1]], PAIR);
        }
        Vector::new(numbers)
    }
}

#[async_trait]
impl Embedder for Wording {
    async fn embed(&self, text: &str) -> Option<Vector> {
        Some(self.point(text))
    }
}

/// Adds a feature at the place that its name hashes to, with a sign, so that those that meet there cancel out on average.
fn add(numbers: &mut [f32], name: &[&str], weight: f32) {
    let hash = name
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    // The low bits of this hash are its worst.
    let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let place = (hash >> 33) as usize % numbers.len();
    numbers[place] += if hash & (1 << 32) == 0 { weight } else { -weight };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: &str, other: &str) -> f64 {
        let wording = Wording::new();
        wording.point(one).cosine(&wording.point(other))
    }

    #[test]
    fn the_same_question_in_other_words_is_near_and_another_is_not() {
        let asked = "How do I cancel my subscription?";
        assert!(near(asked, asked) > 0.999);
        assert!(near(asked, "Please tell me how to cancel a subscription") > 0.99);
        assert!(near(asked, "Which cities have a night train from here?") < 0.3);
        assert!(near(asked, "How do I renew my subscription?") < 0.8);
    }

    #[test]
    fn a_text_that_says_nothing_is_near_to_nothing() {
        assert!(near("", "").abs() < 1e-9);
        assert!(near("could you please", "How do I cancel?").abs() < 1e-9);
    }
}
