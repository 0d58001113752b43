//! How many tokens a text may come to, from its length alone.
//!
//! The one place for it. Counting needs the model's own vocabulary, which most providers keep to themselves; what they
//! bill is what they report. Each use has its own bound: money is set aside for the most, and a prompt is refused as too
//! long only by the least.
//!
//! A piece of a stream is one token, as most providers send them, unless it is longer than any word: some pack many tokens
//! into a piece.

/// Bytes of a token where tokens are short: code, for example.
const SHORT: u64 = 3;
/// Bytes of a token in ordinary prose.
const LIKELY: u64 = 4;
/// Bytes of a token where tokens are long: common words and nothing else.
const LONG: u64 = 6;
/// Bytes of the longest word that is one token in most vocabularies.
const WORD: usize = 16;
/// Tokens that a dialogue's form adds to its text, at most; and each of its messages.
const FORM: u64 = 64;
const FORM_OF_MESSAGE: u64 = 16;

/// Tokens of an answer for which nobody named a bound. What is set aside for it has to have one, and the model has to be
/// told of it.
pub(crate) const LONGEST_ANSWER: u32 = 4096;

/// A text of so many bytes in so many messages has no more tokens than this, its form included: no vocabulary makes two
/// tokens of one byte, and in some scripts it comes close to one.
pub(crate) const fn at_most(bytes: usize, messages: usize) -> u64 {
    bytes as u64 + FORM + FORM_OF_MESSAGE * messages as u64
}

/// A text of so many bytes rarely has more tokens than this, its form included. For what is made good afterwards.
pub(crate) const fn ample(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(SHORT) + FORM
}

/// A text of so many bytes has about so many tokens.
pub(crate) const fn likely(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(LIKELY)
}

/// A text of so many bytes has no fewer tokens than this.
pub(crate) const fn at_least(bytes: usize) -> u64 {
    bytes as u64 / LONG
}

/// A piece of a stream of so many bytes has about so many tokens.
pub(crate) const fn in_piece(bytes: usize) -> u64 {
    if bytes <= WORD { 1 } else { likely(bytes) }
}

/// A piece of a stream that is longer than a word has no more tokens than this.
pub(crate) const fn most_in_piece(bytes: usize) -> u64 {
    if bytes <= WORD { 1 } else { bytes as u64 }
}

/// A piece of a stream of so many bytes has no fewer tokens than this.
pub(crate) const fn least_in_piece(bytes: usize) -> u64 {
    if bytes <= WORD { 1 } else { at_least(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_a_token_unless_it_is_longer_than_a_word() {
        for bytes in [1, 8, 16] {
            assert_eq!(
                (least_in_piece(bytes), in_piece(bytes), most_in_piece(bytes)),
                (1, 1, 1)
            );
        }
        assert_eq!(
            (least_in_piece(600), in_piece(600), most_in_piece(600)),
            (100, 150, 600)
        );
    }
}
