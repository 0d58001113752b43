//! Earlier turns of a conversation: what is in front of a question and makes its prompt long.
//!
//! They alternate between user and assistant and are text of known length, the same for the same prompt. A user's turn
//! carries a marker of its own, so that a service which loses the question is found out: the answer is another prompt's.

use crate::tracer;
use crate::units::PromptId;

/// The most earlier turns that a conversation has.
pub const MOST_TURNS: u32 = 100;

/// The prompts that earlier turns carry begin here, above those of schedules and questions.
const FIRST: u64 = 10_000_000_000;

/// Who says an earlier turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The user.
    User,
    /// The model.
    Assistant,
}

impl Speaker {
    /// The role in a chat request.
    pub const fn role(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// Turn `place`, from 0, of the conversation in front of `prompt`: who says it, and its text of `tokens` tokens.
pub fn turn(prompt: PromptId, place: u32, tokens: u64) -> (Speaker, String) {
    let said = |place: u32| {
        let block = prompt.0.wrapping_mul(u64::from(MOST_TURNS));
        PromptId(FIRST.wrapping_add(block).wrapping_add(u64::from(place)))
    };
    if place.is_multiple_of(2) {
        (Speaker::User, tracer::prompt_text(said(place), tokens))
    } else {
        // What the model once said to the turn before.
        (Speaker::Assistant, tracer::answer_text(said(place - 1), tokens))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn turns_alternate_have_their_length_and_are_no_two_alike() {
        let mut texts = BTreeSet::new();
        for prompt in [1, 2, 1_000_000_050] {
            for place in 0..MOST_TURNS {
                let (speaker, text) = turn(PromptId(prompt), place, 60);
                assert_eq!(speaker == Speaker::User, place % 2 == 0);
                let length = tracer::prompt_length(&text).or_else(|| tracer::answer_length(&text));
                assert_eq!(length, Some(60));
                assert_ne!(tracer::named(&text), Some(PromptId(prompt)));
                assert!(texts.insert(text), "turn {place} of {prompt} is there already");
            }
        }
    }
}
