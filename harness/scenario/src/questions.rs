//! Questions as people ask them: labelled by what they mean, in groups of near misses.
//!
//! Phrasings of one meaning have the same answer. Meanings of one group differ by a word or a number and have different
//! answers, which is what a cache that goes by similarity gets wrong. A question has no marker: its prompt id stands for
//! its meaning, in a range of its own. The texts were written for this set; nothing here knows an embedding.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::units::PromptId;

/// Texts with their tokens, one to the line: meanings apart by an empty line, groups by a line of dashes.
const SET: &str = include_str!("questions/set.txt");

/// The prompt of the first meaning; the others follow. Far above the prompts of the longest schedule.
const FIRST: u64 = 1_000_000_000;

/// What somebody wants to know, and how they put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// The prompt that all its phrasings are.
    pub prompt: PromptId,
    /// Its group: the others of it are near misses.
    pub group: usize,
    /// Texts that ask for the same, at least four.
    pub phrasings: Vec<Phrasing>,
}

/// A way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phrasing {
    /// The text.
    pub text: &'static str,
    /// Its length, as o200k_base counts it.
    pub tokens: u64,
}

static MEANINGS: LazyLock<Vec<Meaning>> = LazyLock::new(|| read(SET));

static BY_TEXT: LazyLock<BTreeMap<&'static str, (PromptId, u64)>> = LazyLock::new(|| {
    let texts = MEANINGS.iter().flat_map(|meaning| {
        let texts = meaning.phrasings.iter();
        texts.map(|phrasing| (phrasing.text, (meaning.prompt, phrasing.tokens)))
    });
    texts.collect()
});

/// The whole set, in the order of its prompts.
pub fn meanings() -> &'static [Meaning] {
    &MEANINGS
}

/// The meaning that a prompt stands for, if it is one of a question.
pub fn meaning(prompt: PromptId) -> Option<&'static Meaning> {
    meanings().get(usize::try_from(prompt.0.checked_sub(FIRST)?).ok()?)
}

/// The prompt that a text is, if it is a question of the set.
pub fn prompt_of(text: &str) -> Option<PromptId> {
    known(text).map(|(prompt, _)| prompt)
}

/// The tokens of a text, if it is a question of the set.
pub(crate) fn length(text: &str) -> Option<u64> {
    known(text).map(|(_, tokens)| tokens)
}

fn known(text: &str) -> Option<(PromptId, u64)> {
    BY_TEXT.get(text.trim()).copied()
}

fn read(set: &'static str) -> Vec<Meaning> {
    let groups = set.split("\n---\n").enumerate();
    let blocks = groups.flat_map(|(group, text)| text.split("\n\n").map(move |block| (group, block)));
    let meaning = |(prompt, (group, block)): (u64, (usize, &'static str))| Meaning {
        prompt: PromptId(prompt),
        group,
        phrasings: block.lines().filter_map(phrasing).collect(),
    };
    (FIRST..).zip(blocks).map(meaning).collect()
}

fn phrasing(line: &'static str) -> Option<Phrasing> {
    let (tokens, text) = line.split_once(' ')?;
    Some(Phrasing {
        text,
        tokens: tokens.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_meaning_has_at_least_four_phrasings_and_at_least_one_near_miss() {
        let all = meanings();
        assert!(all.len() >= 40, "{}", all.len());
        let mut texts = BTreeSet::new();
        for meaning in all {
            assert!(meaning.phrasings.len() >= 4, "{meaning:?}");
            let group = all.iter().filter(|other| other.group == meaning.group).count();
            assert!((2..=3).contains(&group), "{meaning:?} is one of {group}");
            for Phrasing { text, tokens } in &meaning.phrasings {
                assert!(texts.insert(*text), "twice: {text}");
                let words = text.split_whitespace().count();
                assert!((8..=40).contains(&words), "{words} words: {text}");
                assert!(
                    (words as u64..words as u64 * 3).contains(tokens),
                    "{tokens} tokens: {text}"
                );
                assert_eq!(prompt_of(text), Some(meaning.prompt));
            }
        }
        let lines = SET.lines().filter(|line| !line.is_empty() && *line != "---").count();
        assert_eq!(lines, texts.len(), "a line has no number of tokens in front");
    }

    #[test]
    fn a_prompt_leads_to_its_meaning_and_any_other_text_to_none() {
        let first = &meanings()[0];
        assert_eq!(meaning(first.prompt), Some(first));
        assert_eq!(meaning(PromptId(FIRST + meanings().len() as u64)), None);
        assert_eq!(meaning(PromptId(17)), None);
        let text = first.phrasings[0].text;
        assert_eq!(prompt_of(&format!(" {text}\n")), Some(first.prompt));
        assert_eq!(prompt_of(&text.to_lowercase()), None);
        assert_eq!(prompt_of(""), None);
    }
}
