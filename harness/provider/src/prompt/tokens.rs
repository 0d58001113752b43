//! Counts the tokens of any text.
//!
//! Tracer text is counted by what it is, without a tokenizer. All other text is counted with o200k_base, which also
//! stands in for the vocabularies of Anthropic, Gemini and the models behind Ollama: those are not public or differ from
//! model to model. The tokenizer takes 50 MB and some hundred milliseconds to load, so it is loaded when the first such
//! text comes. Names of special tokens are ordinary text.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use brownout_scenario::tracer;

/// Bytes that are tokenized at a time.
///
/// A text is cut before a space that follows a word, where o200k_base has a boundary anyway, so text with such a space
/// in every 8 KiB is counted exactly. Where there is none, as in a megabyte of one letter, it is cut anywhere and may
/// count a token or two more per cut. Uncut, such text takes longer by the byte the longer it is, and a run of spaces
/// overruns a bound of the tokenizer, which then panics.
const PIECE: usize = 8 * 1024;

/// Of longer texts this much is counted, and the rest taken to be like it: a worker must not be busy for seconds with one
/// request, and nobody's prompt is that long.
const COUNTED: usize = 4 << 20;

/// Lengths that are remembered.
const REMEMBERED: usize = 4_096;

/// Texts of more bytes are counted anew each time.
const WORTH_REMEMBERING: usize = 64 * 1024;

/// A counter, which remembers the lengths of what it counted lately.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    memory: Mutex<Memory>,
}

impl Counter {
    /// Tokens of a text.
    pub(crate) fn count(&self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let traced = tracer::prompt_length(text).or_else(|| tracer::answer_length(text));
        traced.unwrap_or_else(|| self.count_other(text))
    }

    fn count_other(&self, text: &str) -> u64 {
        if text.len() > WORTH_REMEMBERING {
            return tokenize(text);
        }
        let name = name(text);
        let known = self.with_memory(|memory| memory.lengths.get(&name).copied());
        known.unwrap_or_else(|| {
            let tokens = tokenize(text);
            self.with_memory(|memory| memory.keep(name, tokens));
            tokens
        })
    }

    fn with_memory<T>(&self, ask: impl FnOnce(&mut Memory) -> T) -> T {
        ask(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What stands for a text: its hash and its length.
type Name = (u64, usize);

fn name(text: &str) -> Name {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    (hasher.finish(), text.len())
}

/// Lengths of texts, the latest of them.
#[derive(Debug, Default)]
struct Memory {
    lengths: BTreeMap<Name, u64>,
    order: VecDeque<Name>,
}

impl Memory {
    fn keep(&mut self, name: Name, tokens: u64) {
        if self.lengths.insert(name, tokens).is_some() {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.lengths.remove(&oldest);
        }
    }
}

fn tokenize(text: &str) -> u64 {
    if text.len() > COUNTED {
        let counted = text.floor_char_boundary(COUNTED);
        let tokens = u128::from(tokenize(&text[..counted]));
        return (tokens * text.len() as u128 / counted as u128) as u64;
    }
    let tokenizer = tiktoken_rs::o200k_base_singleton();
    let mut last = ("", 0);
    let tokens = Pieces(text).map(|piece| {
        // What has no words is often one thing over and over.
        if piece != last.0 {
            last = (piece, tokenizer.count_ordinary(piece) as u64);
        }
        last.1
    });
    tokens.sum()
}

/// A text in pieces of at most [`PIECE`] bytes.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (piece, rest) = self.0.split_at(cut(self.0));
        self.0 = rest;
        Some(piece)
    }
}

/// Where the first piece of a text ends.
fn cut(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let end = text.floor_char_boundary(PIECE);
    let follows_word = |at: usize| text[..at].ends_with(|c: char| !c.is_whitespace());
    let spaces = text[..end].rmatch_indices(' ').map(|(at, _)| at);
    spaces.into_iter().find(|at| follows_word(*at)).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::questions;
    use brownout_scenario::units::PromptId;
    use proptest::prelude::*;

    fn exactly(text: &str) -> u64 {
        tiktoken_rs::o200k_base_singleton().count_ordinary(text) as u64
    }

    fn count(text: &str) -> u64 {
        Counter::default().count(text)
    }

    #[test]
    fn text_is_counted_as_its_model_would() {
        assert_eq!(count(""), 0);
        assert_eq!(count("Hello, world!"), 4);
        assert_eq!(count("What is the capital of France?"), 7);
    }

    #[test]
    fn special_tokens_in_a_callers_text_are_ordinary_text() {
        assert!(count("<|endoftext|>") > 1);
    }

    #[test]
    fn every_filler_word_and_every_marker_is_as_long_as_tracer_text_says() {
        let digits = (0..20).map(|n| 10_u64.pow(n));
        for id in digits.flat_map(|first| [first - 1, first, first + 7]).chain([u64::MAX]) {
            let text = tracer::prompt_text(PromptId(id), 300);
            assert_eq!(tracer::prompt_length(&text), Some(300));
            assert_eq!(exactly(&text), 300, "{id}");
            let marker = tracer::prompt_text(PromptId(id), 0);
            assert_eq!(Some(exactly(&marker)), tracer::prompt_length(&marker), "{marker}");
        }
    }

    #[test]
    fn every_question_is_as_long_as_its_set_says() {
        let all = questions::meanings().iter().flat_map(|meaning| &meaning.phrasings);
        for phrasing in all {
            assert_eq!(exactly(phrasing.text), phrasing.tokens, "{}", phrasing.text);
        }
    }

    #[test]
    fn an_answer_that_comes_back_counts_a_token_to_the_word() {
        assert_eq!(count(&tracer::answer_text(PromptId(3), 50)), 50);
    }

    #[test]
    fn a_remembered_length_is_the_same_and_the_oldest_is_forgotten() {
        let counter = Counter::default();
        let text = "A system prompt.";
        assert_eq!(counter.count(text), counter.count(text));
        assert_eq!(counter.memory.lock().unwrap().order.len(), 1);
        for n in 0..REMEMBERED {
            counter.count(&format!("x{n}"));
        }
        let memory = counter.memory.lock().unwrap();
        assert_eq!((memory.lengths.len(), memory.order.len()), (REMEMBERED, REMEMBERED));
        assert!(!memory.lengths.contains_key(&name(text)));
    }

    #[test]
    fn long_text_with_spaces_is_counted_exactly_although_it_is_cut() {
        let text = "It was late,  and 1234 of\n\n them slept.\t Nobody's \u{e9}t\u{e9} !! ".repeat(3_000);
        assert!(Pieces(&text).count() > 9);
        assert_eq!(count(&text), exactly(&text));
    }

    #[test]
    fn text_without_a_place_to_cut_is_counted_all_the_same() {
        for (letter, tokens) in [("a", 1 << 19), (" ", 1 << 15), ("\u{4e2d}", 1 << 20)] {
            let text = letter.repeat(4 * 1024 * 1024 / letter.len());
            let counted = count(&format!("{text}x"));
            assert!(counted.abs_diff(tokens) < tokens / 2, "{letter:?}: {counted}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_text(words in prop::collection::vec("[ a\u{e9}]{1,9000}", 1..12)) {
            let text = words.concat();
            let pieces: Vec<_> = Pieces(&text).collect();
            prop_assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
            prop_assert_eq!(pieces.concat(), text);
        }
    }
}
