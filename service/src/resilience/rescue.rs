//! Rescue: what becomes of an answer that breaks off after its client has read a part of it.
//!
//! What was sent cannot be taken back, so another attempt is of use only where its text goes on exactly where the first
//! one stopped. Two ways lead there: the second attempt says everything again, and is passed on from where it has
//! repeated to the byte what was sent; or it is given what was sent and goes on from there (a prefill), and pays for the
//! rest only. Does not make attempts; whether there may be one more is [`super::course`]'s.

/// Parameter: what is done for a stream that breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rescue {
    /// Nothing: the client is told.
    Off,
    /// Nothing is sent before the answer is complete, so any attempt can still replace it.
    HoldBack,
    /// A second attempt continues it, where its beginning equals what was sent.
    Splice,
}

/// An attempt that repeats this many bytes of the beginning, when it was to go on, has begun again.
const ECHO: usize = 16;

/// Policy: what of the text of several attempts goes out, so that all of it is one answer.
#[derive(Debug, Default)]
pub(crate) struct Splice {
    /// What has gone out.
    sent: String,
    seam: Seam,
}

/// Where an attempt stands with regard to what has gone out.
#[derive(Debug, Default)]
enum Seam {
    /// It is passed on as it comes.
    #[default]
    Closed,
    /// It begins at the beginning and has repeated so many bytes.
    Repeats(usize),
    /// It was given what has gone out. This much of it may yet turn out to be the beginning again.
    GoesOn(String),
}

/// The second attempt says something else than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Diverged;

impl Splice {
    /// What has gone out, if there is enough of it to be given to a model that goes on from there. Saying a few words again
    /// costs next to nothing, and can be told from going on only by its length.
    pub(crate) fn given(&self) -> Option<&str> {
        (self.sent.len() >= ECHO).then_some(&self.sent)
    }

    /// A new attempt takes over, which begins at the beginning, or goes on if it was given what has gone out.
    pub(crate) fn taken_over(&mut self, goes_on: bool) {
        self.seam = if self.sent.is_empty() {
            Seam::Closed
        } else if goes_on {
            Seam::GoesOn(String::new())
        } else {
            Seam::Repeats(0)
        };
    }

    /// The attempt said `text`. What of it goes out now; often nothing.
    pub(crate) fn take(&mut self, text: String) -> Result<String, Diverged> {
        let out = match &mut self.seam {
            Seam::Closed => text,
            Seam::Repeats(said) => {
                let expected = &self.sent.as_bytes()[*said..];
                let common = expected.len().min(text.len());
                if expected[..common] != text.as_bytes()[..common] {
                    return Err(Diverged);
                }
                *said += common;
                if *said < self.sent.len() {
                    return Ok(String::new());
                }
                self.seam = Seam::Closed;
                text[common..].to_owned()
            }
            Seam::GoesOn(held) => {
                held.push_str(&text);
                let repeated = common_prefix(&self.sent, held);
                if repeated == held.len() && repeated < self.sent.len() {
                    return Ok(String::new());
                }
                let held = std::mem::take(held);
                let out = went_on(&self.sent, held, repeated)?;
                self.seam = Seam::Closed;
                out
            }
        };
        self.sent.push_str(&out);
        Ok(out)
    }

    /// The attempt is complete. What of it was held and goes out after all.
    pub(crate) fn end(&mut self) -> Result<String, Diverged> {
        match std::mem::take(&mut self.seam) {
            Seam::Closed => Ok(String::new()),
            Seam::GoesOn(held) if held.len() < ECHO => {
                self.sent.push_str(&held);
                Ok(held)
            }
            // It stopped before it had said again what was sent.
            Seam::Repeats(_) | Seam::GoesOn(_) => Err(Diverged),
        }
    }
}

/// What goes out of `held`, the text of an attempt that was to go on after `sent`, of which it repeats so many bytes.
fn went_on(sent: &str, held: String, repeated: usize) -> Result<String, Diverged> {
    if repeated == sent.len() && repeated >= ECHO {
        return Ok(held[repeated..].to_owned());
    }
    if repeated >= ECHO {
        return Err(Diverged);
    }
    Ok(held)
}

fn common_prefix(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a client gets of a first attempt that broke off after `cut` bytes, and then of `second`.
    fn spliced(first: &str, second: &[&str], goes_on: bool) -> (String, Result<(), Diverged>) {
        let mut splice = Splice::default();
        let mut client = splice.take(first.to_owned()).unwrap();
        splice.taken_over(goes_on);
        let mut told = || {
            for piece in second {
                client += &splice.take((*piece).to_owned())?;
            }
            client += &splice.end()?;
            Ok(())
        };
        let result = told();
        assert_eq!(client, splice.sent);
        (client, result)
    }

    fn pieces_of(text: &str, size: usize) -> Vec<&str> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let mut at = size.min(rest.len());
            while !rest.is_char_boundary(at) {
                at += 1;
            }
            let (piece, more) = rest.split_at(at);
            pieces.push(piece);
            rest = more;
        }
        pieces
    }

    #[test]
    fn a_repetition_is_passed_on_from_where_it_brings_something_new() {
        let (client, result) = spliced("one two", &["one", " two", " three"], false);
        assert_eq!((client.as_str(), result), ("one two three", Ok(())));
        let (client, result) = spliced("one two", &["one two thr", "ee"], false);
        assert_eq!((client.as_str(), result), ("one two three", Ok(())));
    }

    #[test]
    fn another_answer_is_no_continuation_and_nothing_of_it_goes_out() {
        let (client, result) = spliced("one two", &["one", " too", " many"], false);
        assert_eq!((client.as_str(), result), ("one two", Err(Diverged)));
        let (client, result) = spliced("one two", &["one"], false);
        assert_eq!((client.as_str(), result), ("one two", Err(Diverged)), "a shorter one");
    }

    #[test]
    fn a_continuation_goes_out_as_it_comes() {
        let (client, result) = spliced("one two", &[" three", " four"], true);
        assert_eq!((client.as_str(), result), ("one two three four", Ok(())));
        let (client, result) = spliced("ha ha", &[" ha", " ha"], true);
        assert_eq!((client.as_str(), result), ("ha ha ha ha", Ok(())));
    }

    #[test]
    fn who_was_to_go_on_and_begins_again_is_noticed() {
        let sent = "the quick brown fox jumps over";
        let (client, result) = spliced(sent, &["the quick brown", " fox jumps over", " the dog"], true);
        assert_eq!((client, result), (format!("{sent} the dog"), Ok(())));
        let (client, result) = spliced(sent, &["the quick brown fox leaps", " over"], true);
        assert_eq!((client.as_str(), result), (sent, Err(Diverged)));
        let (client, result) = spliced(sent, &["the quick brown fox jumps"], true);
        assert_eq!((client.as_str(), result), (sent, Err(Diverged)));
    }

    #[test]
    fn an_attempt_that_broke_off_before_anything_went_out_leaves_no_seam() {
        let mut splice = Splice::default();
        splice.taken_over(false);
        assert_eq!(splice.take("anything".to_owned()), Ok("anything".to_owned()));
    }

    proptest! {
        #[test]
        fn equal_texts_are_spliced_wherever_they_are_cut(text in "\\PC{1,80}", cut in 0.0..1.0_f64, size in 1_usize..9) {
            let chars: Vec<char> = text.chars().collect();
            let first: String = chars[..(chars.len() as f64 * cut) as usize].iter().collect();
            let (client, result) = spliced(&first, &pieces_of(&text, size), false);
            prop_assert_eq!((client, result), (text, Ok(())));
        }

        #[test]
        fn whatever_a_second_attempt_says_the_client_keeps_a_beginning_of_one_answer(
            first in "[ab]{1,40}", second in "[ab]{0,60}", size in 1_usize..9,
        ) {
            let (client, result) = spliced(&first, &pieces_of(&second, size), false);
            prop_assert!(client.starts_with(&first));
            match result {
                Ok(()) => prop_assert_eq!(client, second),
                Err(Diverged) => prop_assert!(!second.starts_with(&first) && client == first),
            }
        }

        #[test]
        fn a_continuation_that_does_not_begin_again_is_taken_whole(
            first in "[ab]{1,40}", second in "[xy][abxy]{0,40}", size in 1_usize..9,
        ) {
            let (client, result) = spliced(&first, &pieces_of(&second, size), true);
            prop_assert_eq!((client, result), (first + &second, Ok(())));
        }
    }
}
