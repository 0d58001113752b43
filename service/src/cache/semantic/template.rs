//! Two questions that are worded alike but for a word: two questions.
//!
//! Whoever puts the same question in other words hardly keeps to the order of the words; whoever asks about the motor after
//! the battery does. Pure.

use super::words::{English, Word};

/// Two texts that share this part of the shorter one's words, in order, have the same form.
const ALIKE: f64 = 0.6;

/// A text as it is compared with others of its form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    /// The word that stands for it.
    word: String,
    /// Whether it says what is asked, not how.
    says: bool,
}

impl Template {
    pub(super) fn of(words: &[Word], english: &English) -> Self {
        let part = |word: &Word| Part {
            word: english.canonical(&word.text),
            says: !english.is_small(&word.text),
        };
        Self(words.iter().map(part).collect())
    }

    /// Whether the two have the same form and say different things in it.
    pub(super) fn differs(&self, other: &Self) -> bool {
        let shorter = self.0.len().min(other.0.len());
        let (shared, left_over) = self.aligned(other);
        shared > 0 && shared as f64 >= ALIKE * shorter as f64 && left_over
    }

    /// How many words the two share, in order, at most; and whether a word that says something is none of them.
    fn aligned(&self, other: &Self) -> (usize, bool) {
        let (one, two) = (&self.0, &other.0);
        let width = two.len() + 1;
        // From the ends: most[i][j] is what the rests from i and j on share.
        let mut most = vec![0_usize; (one.len() + 1) * width];
        for i in (0..one.len()).rev() {
            for j in (0..two.len()).rev() {
                most[i * width + j] = if one[i].word == two[j].word {
                    most[(i + 1) * width + j + 1] + 1
                } else {
                    most[(i + 1) * width + j].max(most[i * width + j + 1])
                };
            }
        }
        let (mut i, mut j, mut left_over) = (0, 0, false);
        while i < one.len() && j < two.len() {
            if one[i].word == two[j].word {
                (i, j) = (i + 1, j + 1);
            } else if most[(i + 1) * width + j] >= most[i * width + j + 1] {
                left_over |= one[i].says;
                i += 1;
            } else {
                left_over |= two[j].says;
                j += 1;
            }
        }
        left_over |= one[i..].iter().chain(&two[j..]).any(|part| part.says);
        (most[0], left_over)
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::words;
    use super::*;

    fn differ(one: &str, other: &str) -> bool {
        let english = English::new();
        let template = |text| Template::of(&words(text), &english);
        let (one, other) = (template(one), template(other));
        assert_eq!(one.differs(&other), other.differs(&one));
        one.differs(&other)
    }

    #[test]
    fn the_same_form_with_another_word_in_it_is_another_question() {
        for (one, other) in [
            (
                "How long is the battery of my bike under warranty?",
                "How long is the motor of my bike under warranty?",
            ),
            (
                "How much is 5 euros in dollars today?",
                "How much is 5 dollars in euros today?",
            ),
            (
                "Who may edit pages in my workspace?",
                "Who may view and edit pages in my workspace?",
            ),
        ] {
            assert!(differ(one, other), "{one} | {other}");
        }
    }

    #[test]
    fn another_form_or_another_small_word_is_not() {
        for (one, other) in [
            (
                "How do I buy a ticket to Rome?",
                "How can I purchase the tickets to Rome?",
            ),
            (
                "How long is the battery of my bike under warranty?",
                "For what time is there a guarantee on an e-bike's battery",
            ),
            ("", "How do I buy a ticket?"),
        ] {
            assert!(!differ(one, other), "{one} | {other}");
        }
    }
}
