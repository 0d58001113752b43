//! Tracer text: words that say which prompt and which token of its answer they are.
//!
//! A prompt names itself with a marker, `[prompt 17]`; word `n` of its synthetic answer is `t17.n`, one word to the
//! token. Whatever a service does in between, in any language and without instrumentation, its input and its output
//! are joined by this text. It depends on the prompt alone, so a second attempt can continue a first.

use std::fmt::Write;

use crate::observe::Delivered;
use crate::units::PromptId;

const MARKER: &str = "[prompt ";

/// A prompt of `tokens` words (at least the two of its marker) that names itself.
pub fn prompt_text(prompt: PromptId, tokens: u64) -> String {
    let mut text = format!("{MARKER}{prompt}]");
    for n in 2..tokens {
        let _ = write!(text, " w{n}");
    }
    text
}

/// The prompt a text names. A text without a marker is named by its own bytes, the same for equal texts.
pub fn prompt_of(text: &str) -> PromptId {
    let marked = text.rfind(MARKER).and_then(|at| {
        let rest = &text[at + MARKER.len()..];
        rest.split(']').next()?.parse().ok()
    });
    PromptId(marked.unwrap_or_else(|| fnv1a(text.as_bytes())))
}

/// Tokens of a prompt, counted the way [`prompt_text`] makes them: a word is a token.
pub fn prompt_length(text: &str) -> u64 {
    text.split_ascii_whitespace().count() as u64
}

/// Word `index` of the answer to `prompt`, with the space that separates it from the word before.
pub fn push_word(text: &mut String, prompt: PromptId, index: u64) {
    if index > 0 {
        text.push(' ');
    }
    let _ = write!(text, "t{prompt}.{index}");
}

/// The first `tokens` words of the answer to `prompt`.
pub fn answer_text(prompt: PromptId, tokens: u64) -> String {
    let mut text = String::with_capacity(tokens as usize * 8);
    for index in 0..tokens {
        push_word(&mut text, prompt, index);
    }
    text
}

/// Reads an answer as it arrives, in pieces cut anywhere, and counts its words.
#[derive(Debug, Clone)]
pub struct Reader {
    prompt: PromptId,
    word: String,
    seen: Vec<u64>,
    delivered: Delivered,
}

impl Reader {
    /// A reader of the answer to `prompt`.
    pub fn new(prompt: PromptId) -> Self {
        Self {
            prompt,
            word: String::new(),
            seen: Vec::new(),
            delivered: Delivered::default(),
        }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, text: &str) {
        for part in text.split_inclusive(|c: char| c.is_ascii_whitespace()) {
            self.word.push_str(part.trim_ascii_end());
            if part.ends_with(|c: char| c.is_ascii_whitespace()) {
                self.end_word();
            }
        }
    }

    /// Complete words so far, plus the one that is being read: how many tokens the client holds.
    pub fn words(&self) -> u64 {
        let open = u64::from(!self.word.is_empty());
        let Delivered {
            tokens,
            duplicates,
            misdelivered,
            foreign,
        } = self.delivered;
        tokens + duplicates + misdelivered + foreign + open
    }

    /// The count, the last word included.
    pub fn finish(mut self) -> Delivered {
        self.end_word();
        self.delivered
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let word = self.word.strip_prefix('t').and_then(|w| w.split_once('.'));
        let word = word.and_then(|(prompt, index)| Some((prompt.parse::<u64>().ok()?, index.parse::<u64>().ok()?)));
        match word {
            Some((prompt, _)) if prompt != self.prompt.0 => self.delivered.misdelivered += 1,
            Some((_, index)) if self.mark(index) => self.delivered.tokens += 1,
            Some(_) => self.delivered.duplicates += 1,
            None => self.delivered.foreign += 1,
        }
        self.word.clear();
    }

    /// Notes that `index` arrived; false if it had before. Indices above a million are nobody's.
    fn mark(&mut self, index: u64) -> bool {
        let (block, bit) = ((index / 64) as usize, 1 << (index % 64));
        if index > 1_000_000 {
            return false;
        }
        if self.seen.len() <= block {
            self.seen.resize(block + 1, 0);
        }
        let fresh = self.seen[block] & bit == 0;
        self.seen[block] |= bit;
        fresh
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prompt_names_itself_and_has_the_length_asked_for() {
        let text = prompt_text(PromptId(17), 40);
        assert_eq!(prompt_of(&text), PromptId(17));
        assert_eq!(prompt_length(&text), 40);
    }

    #[test]
    fn words_are_told_apart_by_whose_they_are_and_repeats_are_duplicates() {
        let mut reader = Reader::new(PromptId(3));
        reader.push("t3.0 t3.1 t4.2 t3.1 hello");
        assert_eq!(
            reader.finish(),
            Delivered {
                tokens: 2,
                duplicates: 1,
                misdelivered: 1,
                foreign: 1
            }
        );
    }

    proptest! {
        #[test]
        fn an_answer_is_counted_the_same_however_it_is_cut(tokens in 0u64..200, cuts in prop::collection::vec(1usize..9, 1..400)) {
            let text = answer_text(PromptId(12), tokens);
            let (mut reader, mut rest) = (Reader::new(PromptId(12)), text.as_str());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (piece, tail) = rest.split_at((*cut).min(rest.len()));
                reader.push(piece);
                rest = tail;
            }
            prop_assert_eq!(reader.finish(), Delivered { tokens, ..Delivered::default() });
        }
    }
}
