//! Tracer text: words that say which prompt and which token of its answer they are.
//!
//! A prompt names itself with a marker, `[prompt 17]`; word `n` of its synthetic answer is `t17.n`, one word to the
//! token. Whatever a service does in between, in any language and without instrumentation, its input and its output
//! are joined by this text. It depends on the prompt alone, so a second attempt can continue a first.
//!
//! In an answer, text or JSON, the words match `\bt(\d+)\.(\d+)\b`; that is all another harness needs. The page
//! `docs/tracer-text.md` tells the rest. Lengths are known by construction: no tokenizer is in here.

use std::fmt::Write;

use crate::observe::Delivered;
use crate::units::PromptId;
use crate::{questions, structured};

const MARKER: &str = "[prompt ";

/// What a prompt is filled up with. Each word, with the space before it, is one token of o200k_base.
const FILLER: [&str; 64] = [
    "a", "I", "as", "by", "in", "of", "on", "to", "and", "are", "but", "can", "for", "had", "has", "its", "may", "new",
    "not", "one", "our", "the", "two", "use", "way", "who", "you", "also", "back", "city", "days", "each", "even",
    "from", "good", "here", "home", "just", "last", "life", "made", "many", "name", "next", "black", "early", "light",
    "money", "night", "small", "under", "water", "always", "before", "people", "school", "another", "morning",
    "company", "question", "children", "together", "remember", "building",
];

/// A prompt of `tokens` tokens that names itself: its marker, then common words.
///
/// The count is exact under o200k_base by construction. A length below the marker's own gives the marker alone. Which
/// word comes where is drawn from the prompt and the place, so equal prompts have equal texts and others do not.
pub fn prompt_text(prompt: PromptId, tokens: u64) -> String {
    let mut text = format!("{MARKER}{prompt}]");
    let fillers = tokens.saturating_sub(marker_length(prompt));
    text.reserve(fillers.min(1 << 20) as usize * 6);
    for place in 0..fillers {
        text.push(' ');
        text.push_str(filler(prompt, place));
    }
    text
}

/// The prompt a text names, by its marker (of several the last) or by being one of our questions.
pub fn named(text: &str) -> Option<PromptId> {
    let marked = text.rfind(MARKER).and_then(|at| {
        let rest = &text[at + MARKER.len()..];
        rest.split(']').next()?.parse().ok()
    });
    marked.map(PromptId).or_else(|| questions::prompt_of(text))
}

/// The prompt a text is: the one it names, or else one that stands for its bytes, the same for equal texts.
pub fn prompt_of(text: &str) -> PromptId {
    named(text).unwrap_or_else(|| PromptId(fnv1a(text.as_bytes())))
}

/// Tokens of a text that [`prompt_text`] made or that is one of our questions; `None` for any other text, however similar.
pub fn prompt_length(text: &str) -> Option<u64> {
    marked_length(text).or_else(|| questions::length(text))
}

fn marked_length(text: &str) -> Option<u64> {
    let (number, mut rest) = text.strip_prefix(MARKER)?.split_once(']')?;
    let prompt = PromptId(number_of(number)?);
    let mut fillers = 0;
    while !rest.is_empty() {
        rest = rest.strip_prefix(' ')?.strip_prefix(filler(prompt, fillers))?;
        fillers += 1;
    }
    Some(marker_length(prompt) + fillers)
}

/// Tokens of a text that is a stretch of one prompt's answer, words in order and none left out; else `None`.
///
/// A word is a token here too: an answer that comes back in a prompt is as long as it was when it was billed.
pub fn answer_length(text: &str) -> Option<u64> {
    let mut words = text.split(' ').map(traced);
    let (prompt, first) = words.next()??;
    let mut next = first.checked_add(1)?;
    for word in words {
        if word? != (prompt, next) {
            return None;
        }
        next = next.checked_add(1)?;
    }
    Some(next - first)
}

/// Tokens of a marker: `[p`, `rompt`, a space, the number in groups of up to three digits, `]`.
fn marker_length(prompt: PromptId) -> u64 {
    let digits = prompt.0.checked_ilog10().map_or(1, |log| u64::from(log) + 1);
    4 + digits.div_ceil(3)
}

/// The word at `place` of a prompt: the top bits of a mix (splitmix64's) of both.
fn filler(prompt: PromptId, place: u64) -> &'static str {
    let mut mixed = prompt
        .0
        .wrapping_add(place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    FILLER[(mixed >> 58) as usize]
}

/// The prompt and the index of a word, if it is one that [`push_word`] writes.
fn traced(word: &str) -> Option<(u64, u64)> {
    let (prompt, index) = word.strip_prefix('t')?.split_once('.')?;
    Some((number_of(prompt)?, number_of(index)?))
}

/// A number in the only way that we write it: no sign, no zero in front.
fn number_of(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
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
///
/// Words end at white space and at the punctuation of JSON, so the words of an answer that is JSON are found where they
/// stand. Its names and its other values are words too, and foreign ones unless that JSON was asked for.
#[derive(Debug, Clone)]
pub struct Reader {
    prompt: PromptId,
    wants_json: bool,
    word: String,
    own: Indices,
    others: Indices,
    delivered: Delivered,
    /// Words of the answers of more than one other prompt.
    is_mixed: bool,
}

impl Reader {
    /// A reader of the answer to `prompt`.
    pub fn new(prompt: PromptId) -> Self {
        Self {
            prompt,
            wants_json: false,
            word: String::new(),
            own: Indices::default(),
            others: Indices::default(),
            delivered: Delivered::default(),
            is_mixed: false,
        }
    }

    /// The same, where the JSON of [`structured`] was asked for.
    #[must_use]
    pub fn of_json(prompt: PromptId) -> Self {
        Self {
            wants_json: true,
            ..Self::new(prompt)
        }
    }

    /// Takes the next piece of text.
    pub fn push(&mut self, text: &str) {
        for part in text.split_inclusive(ends_word) {
            let word = part.trim_end_matches(ends_word);
            self.word.push_str(word);
            if word.len() < part.len() {
                self.end_word();
            }
        }
    }

    /// Complete words so far, plus the one that is being read: how many tokens the client holds. What a schema brings is
    /// nobody's token.
    pub fn words(&self) -> u64 {
        let is_nothing = self.word.is_empty() || (self.wants_json && may_be_brought(&self.word));
        let Delivered {
            tokens,
            duplicates,
            misdelivered,
            foreign,
            ..
        } = self.delivered;
        tokens + duplicates + misdelivered + foreign + u64::from(!is_nothing)
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
        let delivered = &mut self.delivered;
        match traced(&self.word) {
            Some((prompt, index)) if prompt != self.prompt.0 => self.misdelivered(PromptId(prompt), index),
            Some((_, index)) if self.own.mark(index) => delivered.tokens += 1,
            Some(_) => delivered.duplicates += 1,
            None if self.wants_json && structured::brings(&self.word) => delivered.schema += 1,
            None => delivered.foreign += 1,
        }
        self.word.clear();
    }

    fn misdelivered(&mut self, prompt: PromptId, index: u64) {
        let delivered = &mut self.delivered;
        if delivered.misdelivered == 0 {
            delivered.whose = Some(prompt);
        }
        if delivered.whose != Some(prompt) {
            self.is_mixed = true;
            delivered.whose = None;
        }
        if self.is_mixed || self.others.mark(index) {
            delivered.misdelivered += 1;
        } else {
            delivered.duplicates += 1;
        }
    }
}

/// Whether a word that is still being read may become one that a schema brings: it is none of ours yet.
fn may_be_brought(word: &str) -> bool {
    !word
        .strip_prefix('t')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Indices that have arrived.
#[derive(Debug, Clone, Default)]
struct Indices(Vec<u64>);

impl Indices {
    /// Notes that `index` arrived; false if it had before. Indices above a million are nobody's.
    fn mark(&mut self, index: u64) -> bool {
        let (block, bit) = ((index / 64) as usize, 1 << (index % 64));
        if index > 1_000_000 {
            return false;
        }
        if self.0.len() <= block {
            self.0.resize(block + 1, 0);
        }
        let fresh = self.0[block] & bit == 0;
        self.0[block] |= bit;
        fresh
    }
}

fn ends_word(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, '"' | '{' | '}' | '[' | ']' | ':' | ',')
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
        assert_eq!(prompt_length(&text), Some(40));
    }

    #[test]
    fn a_length_below_the_markers_gives_the_marker() {
        assert_eq!(prompt_text(PromptId(17), 3), "[prompt 17]");
        assert_eq!(prompt_length("[prompt 17]"), Some(5));
        assert_eq!(prompt_length("[prompt 0]"), Some(5));
        assert_eq!(prompt_length("[prompt 1000]"), Some(6));
        assert_eq!(prompt_length("[prompt 18446744073709551615]"), Some(11));
    }

    #[test]
    fn two_prompts_have_no_more_than_the_marker_and_chance_in_common() {
        let (one, two) = (prompt_text(PromptId(1), 1_006), prompt_text(PromptId(2), 1_006));
        let equal = one.split(' ').zip(two.split(' ')).filter(|(a, b)| a == b).count();
        assert!(equal < 60, "{equal} of 1,001 words");
    }

    #[test]
    fn no_other_text_is_taken_for_a_prompt_of_ours() {
        let text = prompt_text(PromptId(17), 9);
        let others = [
            text.replacen("17", "18", 1),
            text.replacen("17", "017", 1),
            text.replacen("17", "+17", 1),
            text.replacen(' ', "  ", 2),
            format!("{text} "),
            format!(" {text}"),
            format!("{text} and"),
            text[..text.len() - 1].to_owned(),
            text.to_uppercase(),
            format!("Say hello. {text}"),
            "[prompt ]".to_owned(),
            "[prompt 18446744073709551616]".to_owned(),
            String::new(),
        ];
        for other in others {
            assert_eq!(prompt_length(&other), None, "{other:?}");
        }
    }

    #[test]
    fn an_answer_that_comes_back_is_as_long_as_it_was() {
        assert_eq!(answer_length(&answer_text(PromptId(7), 30)), Some(30));
        assert_eq!(
            answer_length("t7.4 t7.5"),
            Some(2),
            "what a second attempt was to continue"
        );
        for other in [
            "",
            "t7.0 ",
            "t7.0  t7.1",
            "t7.0 t7.2",
            "t7.0 t8.1",
            "t7.0 t7.01",
            "t7.0\nt7.1",
            "T7.0",
        ] {
            assert_eq!(answer_length(other), None, "{other:?}");
        }
    }

    #[test]
    fn words_inside_json_are_found() {
        let mut reader = Reader::new(PromptId(9));
        reader.push(r#"{"city":"t9.0 t9.1","days":[3,"t9.2"]}"#);
        assert_eq!(
            reader.finish(),
            Delivered {
                tokens: 3,
                foreign: 3,
                ..Delivered::default()
            }
        );
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
                whose: Some(PromptId(4)),
                schema: 0,
                foreign: 1
            }
        );
    }

    #[test]
    fn another_prompts_answer_is_counted_like_ones_own_and_a_mixture_is_nobodys() {
        let read = |text: &str| {
            let mut reader = Reader::new(PromptId(3));
            reader.push(text);
            let Delivered {
                misdelivered,
                whose,
                duplicates,
                ..
            } = reader.finish();
            (misdelivered, whose, duplicates)
        };
        assert_eq!(read("t4.0 t4.1 t4.1 t4.2"), (3, Some(PromptId(4)), 1));
        assert_eq!(read("t4.0 t5.1 t4.1"), (3, None, 0));
        assert_eq!(read("t3.0 t3.1"), (0, None, 0));
    }

    #[test]
    fn what_the_schema_brings_is_told_from_words_and_from_what_nobody_asked_for() {
        let answer = r#"{"answer":"t9.0 t9.1","confidence":0,"topic":"billing"}"#;
        let mut reader = Reader::of_json(PromptId(9));
        let mut words = 0;
        for letter in answer.chars() {
            reader.push(&letter.to_string());
            assert!(reader.words() >= words, "words do not go away");
            words = reader.words();
        }
        assert_eq!(words, 2);
        let expected = Delivered {
            tokens: 2,
            schema: 5,
            ..Delivered::default()
        };
        assert_eq!(reader.finish(), expected);
        let mut reader = Reader::of_json(PromptId(9));
        reader.push(r#"{"answer":"t9.0 hello"}"#);
        let delivered = reader.finish();
        assert_eq!((delivered.tokens, delivered.schema, delivered.foreign), (1, 1, 1));
    }

    #[test]
    fn a_question_is_named_by_its_meaning_and_has_a_known_length() {
        for meaning in questions::meanings() {
            for phrasing in &meaning.phrasings {
                assert_eq!(prompt_of(phrasing.text), meaning.prompt);
                assert_eq!(prompt_length(phrasing.text), Some(phrasing.tokens));
            }
        }
        assert_eq!(named("How are you?"), None);
    }

    proptest! {
        #[test]
        fn a_prompt_has_the_length_asked_for(prompt: u64, tokens in 11u64..500) {
            prop_assert_eq!(prompt_length(&prompt_text(PromptId(prompt), tokens)), Some(tokens));
        }

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
