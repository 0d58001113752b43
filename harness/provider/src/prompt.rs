//! What a request's text comes to: whose prompt it is, how many tokens it has, and which beginnings a cache may know.
//!
//! The text alone counts, not what a provider wraps around messages. Nothing in here knows a dialect.

mod cache;
mod tokens;

use std::hash::{DefaultHasher, Hash, Hasher};

use brownout_scenario::tracer;
use brownout_scenario::units::PromptId;

use crate::dialect::{Passage, Role};

pub(crate) use cache::{CacheUse, PromptCache};
pub(crate) use tokens::Counter;

/// A prompt, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// Which prompt it is: what its user named last, or else said last, or else its last passage.
    pub(crate) id: PromptId,
    /// Tokens of all passages.
    pub(crate) tokens: u64,
    /// Its beginnings, one to the end of each passage, from the shortest to the whole.
    pub(crate) prefixes: Vec<Prefix>,
}

/// The beginning of a prompt, up to the end of a passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Equal for equal roles and texts of all passages up to here, within one build of the program.
    pub(crate) hash: u64,
    /// Tokens up to here.
    pub(crate) tokens: u64,
    /// Whether the caller asks to cache the prompt up to here.
    pub(crate) marked: bool,
}

impl Prompt {
    /// What `passages` come to.
    pub(crate) fn of(passages: &[Passage], counter: &Counter) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut tokens = 0;
        let prefixes = passages.iter().map(|passage| {
            tokens += counter.count(&passage.text);
            (passage.role as u8).hash(&mut hasher);
            passage.text.hash(&mut hasher);
            Prefix {
                hash: hasher.finish(),
                tokens,
                marked: passage.cache_here,
            }
        });
        let prefixes = prefixes.collect();
        Self {
            id: asked(passages),
            tokens,
            prefixes,
        }
    }
}

/// The prompt that is asked: what the user named last, be it that a remark was added since (such as that the answer was no
/// JSON); else what the user said last, else the last passage.
fn asked(passages: &[Passage]) -> PromptId {
    let is_user = |passage: &Passage| passage.role == Role::User;
    let turns = passages.chunk_by(|a, b| is_user(a) == is_user(b));
    let mut said: Vec<String> = turns
        .filter(|turn| turn.first().is_some_and(is_user))
        .map(|turn| {
            let texts: Vec<&str> = turn.iter().map(|passage| passage.text.as_str()).collect();
            texts.join(" ")
        })
        .collect();
    let named = said.iter().rev().find_map(|text| tracer::named(text));
    named.unwrap_or_else(|| {
        let last = said
            .pop()
            .or_else(|| passages.last().map(|passage| passage.text.clone()));
        tracer::prompt_of(&last.unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(role: Role, text: &str) -> Passage {
        Passage {
            role,
            text: text.to_owned(),
            cache_here: false,
        }
    }

    fn prompt(passages: &[Passage]) -> Prompt {
        Prompt::of(passages, &Counter::default())
    }

    fn traced(id: u64) -> String {
        tracer::prompt_text(PromptId(id), 40)
    }

    #[test]
    fn the_last_user_passage_names_the_prompt() {
        let passages = [
            passage(Role::System, "[prompt 1]"),
            passage(Role::User, &traced(2)),
            passage(Role::Assistant, "t2.0 t2.1"),
            passage(Role::User, &traced(3)),
            passage(Role::Tool, "[prompt 4]"),
        ];
        assert_eq!(prompt(&passages).id, PromptId(3));
        assert_eq!(prompt(&passages[..1]).id, PromptId(1), "nobody asked: the last passage");
        let document = [
            passage(Role::Assistant, "[prompt 5]"),
            passage(Role::User, "[prompt 6] a document"),
            passage(Role::User, "what does it say?"),
        ];
        assert_eq!(prompt(&document).id, PromptId(6), "one question in two passages");
        let corrected = [
            passage(Role::User, "[prompt 7]"),
            passage(Role::Assistant, "t7.0"),
            passage(Role::User, "That was no JSON. Again, please."),
        ];
        assert_eq!(
            prompt(&corrected).id,
            PromptId(7),
            "a remark about the answer is no new question"
        );
        assert_eq!(prompt(&[]).tokens, 0);
    }

    #[test]
    fn lengths_add_up_to_the_end_of_each_passage() {
        let mut passages = [
            passage(Role::User, &traced(2)),
            passage(Role::Assistant, "t2.0 t2.1 t2.2"),
            passage(Role::User, &traced(3)),
        ];
        passages[1].cache_here = true;
        let prompt = prompt(&passages);
        let ends = prompt.prefixes.iter().map(|prefix| (prefix.tokens, prefix.marked));
        assert_eq!(ends.collect::<Vec<_>>(), [(40, false), (43, true), (83, false)]);
        assert_eq!(prompt.tokens, 83);
    }

    #[test]
    fn beginnings_are_told_apart_by_roles_texts_and_where_passages_end() {
        let hash = |passages: &[(Role, &str)]| {
            let passages: Vec<_> = passages.iter().map(|(role, text)| passage(*role, text)).collect();
            prompt(&passages).prefixes.last().unwrap().hash
        };
        let base = hash(&[(Role::System, "[prompt 1]"), (Role::User, "[prompt 2]")]);
        assert_eq!(base, hash(&[(Role::System, "[prompt 1]"), (Role::User, "[prompt 2]")]));
        assert_ne!(base, hash(&[(Role::User, "[prompt 1]"), (Role::User, "[prompt 2]")]));
        assert_ne!(base, hash(&[(Role::System, "[prompt 3]"), (Role::User, "[prompt 2]")]));
        assert_ne!(base, hash(&[(Role::System, "[prompt 1][prompt 2]")]));
    }

    #[test]
    fn what_comes_later_leaves_the_beginnings_as_they_were() {
        let passages = [passage(Role::System, "[prompt 1]"), passage(Role::User, &traced(2))];
        assert_eq!(prompt(&passages).prefixes[..1], prompt(&passages[..1]).prefixes);
    }
}
