//! The token diet: what of a long conversation the model gets to read, and how long its answer may be.
//!
//! The oldest turns go first. What was set up (system messages) and the question stay, and an answer never stays without
//! what it answers. Whose turns were dropped is told so.

use crate::app::App;
use crate::features::Context;
use crate::telemetry::conventions::header;
use crate::upstream::{Message, Prompt, Role, estimate};

/// Parameters. Absent means no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DietSettings {
    /// Tokens that the turns before the question may come to, as far as their bytes tell.
    pub history_tokens: Option<u32>,
    /// Longest answer that is asked for, in tokens, whatever the client asks for.
    pub max_tokens: Option<u32>,
}

/// What was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Trimmed {
    /// Messages.
    turns: usize,
    /// Tokens of theirs, about.
    tokens: u64,
    /// Whether a shorter answer is asked for than the client asked for.
    capped: bool,
}

/// The step: trims `prompt` to what the settings allow, and says so.
pub(super) fn apply(app: &App, context: &Context, prompt: &mut Prompt) {
    let trimmed = trim(app.settings.diet, prompt);
    app.metrics.diet_tokens.inc_by(trimmed.tokens);
    app.metrics.diet_capped.inc_by(trimmed.capped.into());
    if trimmed.turns > 0 {
        context.trace.say(header::HISTORY_DROPPED, trimmed.turns.to_string());
    }
}

/// Trims `prompt` to what `settings` allow.
fn trim(settings: DietSettings, prompt: &mut Prompt) -> Trimmed {
    let mut trimmed = settings
        .history_tokens
        .map(|bound| shorten(bound.into(), &mut prompt.messages))
        .unwrap_or_default();
    if let Some(most) = settings.max_tokens {
        trimmed.capped = prompt.max_tokens.is_none_or(|asked| asked > most);
        prompt.max_tokens = Some(prompt.max_tokens.unwrap_or(most).min(most));
    }
    trimmed
}

/// Drops the oldest exchanges until what is left of the history comes to at most `bound` tokens.
fn shorten(bound: u64, messages: &mut Vec<Message>) -> Trimmed {
    let begins = exchanges(messages);
    let Some(question) = begins.last().copied() else {
        return Trimmed::default();
    };
    let tokens = |from: usize, to: usize| {
        let turns = messages[from..to].iter().filter(|turn| turn.role != Role::System);
        turns.map(|turn| estimate::likely(turn.content.len())).sum::<u64>()
    };
    // The first exchange from which on the history fits; the question itself, if nothing before it does.
    let kept = begins.iter().copied().find(|begin| tokens(*begin, question) <= bound);
    let kept = kept.unwrap_or(question);
    let dropped = tokens(0, kept);
    let (mut at, before) = (0, messages.len());
    messages.retain(|turn| {
        at += 1;
        turn.role == Role::System || at > kept
    });
    Trimmed {
        turns: before - messages.len(),
        tokens: dropped,
        capped: false,
    }
}

/// Where each exchange begins: at the start, and wherever the user speaks after somebody else did.
fn exchanges(messages: &[Message]) -> Vec<usize> {
    let spoken: Vec<(usize, Role)> = messages
        .iter()
        .enumerate()
        .map(|(at, turn)| (at, turn.role))
        .filter(|(_, role)| *role != Role::System)
        .collect();
    let begins = spoken.iter().enumerate().filter(|(n, (_, role))| {
        let before = n.checked_sub(1).map(|before| spoken[before].1);
        *role == Role::User && before == Some(Role::Assistant) || before.is_none()
    });
    begins.map(|(_, (at, _))| *at).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `s`, `u` and `a` are who speaks; each says `bytes` bytes.
    fn dialogue(roles: &str, bytes: usize) -> Vec<Message> {
        let role = |c| match c {
            's' => Role::System,
            'u' => Role::User,
            _ => Role::Assistant,
        };
        let said = |(n, c): (usize, char)| Message {
            role: role(c),
            content: format!("{n:0bytes$}"),
        };
        roles.chars().enumerate().map(said).collect()
    }

    /// What is left of a dialogue of 40 bytes a turn, ten tokens each.
    fn left(roles: &str, bound: u32) -> String {
        let mut prompt = Prompt {
            messages: dialogue(roles, 40),
            ..Prompt::default()
        };
        let settings = DietSettings {
            history_tokens: Some(bound),
            max_tokens: None,
        };
        let trimmed = trim(settings, &mut prompt);
        assert_eq!(trimmed.turns, roles.len() - prompt.messages.len());
        assert_eq!(trimmed.tokens, trimmed.turns as u64 * 10);
        let kept = prompt.messages.iter();
        let numbers: Vec<String> = kept
            .map(|turn| turn.content.trim_start_matches('0').to_owned())
            .collect();
        numbers.join(" ")
    }

    #[test]
    fn the_oldest_exchanges_go_first_and_pairs_stay_together() {
        assert_eq!(left("suauau", 40), " 1 2 3 4 5", "it fits");
        assert_eq!(left("suauau", 39), " 3 4 5");
        assert_eq!(left("suauau", 20), " 3 4 5");
        assert_eq!(left("suauau", 19), " 5");
        assert_eq!(left("suauau", 1), " 5", "the question stays, whatever it comes to");
    }

    #[test]
    fn what_was_set_up_stays_wherever_it_stands() {
        assert_eq!(left("uasu", 1), "2 3");
        assert_eq!(left("suausau", 1), " 4 6");
    }

    #[test]
    fn turns_of_one_side_that_follow_each_other_are_one() {
        assert_eq!(left("uuaauu", 1), "4 5", "a question in two messages");
        assert_eq!(left("auau", 20), "1 2 3", "an answer to nobody's question goes first");
        assert_eq!(
            left("uaua", 1),
            "2 3",
            "an answer that is to be continued stays with its question"
        );
    }

    #[test]
    fn an_answer_is_capped_and_what_asks_for_less_is_left_alone() {
        let settings = DietSettings {
            history_tokens: None,
            max_tokens: Some(100),
        };
        for (asked, expected, capped) in [(None, 100, true), (Some(50), 50, false), (Some(101), 100, true)] {
            let mut prompt = Prompt {
                max_tokens: asked,
                ..Prompt::default()
            };
            let trimmed = trim(settings, &mut prompt);
            assert_eq!((prompt.max_tokens, trimmed.capped), (Some(expected), capped));
        }
    }

    proptest! {
        #[test]
        fn what_is_left_is_the_end_of_the_dialogue_and_what_was_set_up(roles in "[sua]{1,12}", bound in 1_u32..150) {
            let whole = dialogue(&roles, 40);
            let mut messages = whole.clone();
            shorten(bound.into(), &mut messages);
            let is_set_up = |turn: &&Message| turn.role == Role::System;
            prop_assert_eq!(
                messages.iter().filter(is_set_up).count(),
                whole.iter().filter(is_set_up).count()
            );
            let spoken = |of: &[Message]| -> Vec<String> {
                of.iter().filter(|turn| turn.role != Role::System).map(|turn| turn.content.clone()).collect()
            };
            let (all, kept) = (spoken(&whole), spoken(&messages));
            prop_assert!(all.ends_with(&kept));
            prop_assert!(all.is_empty() || !kept.is_empty());
        }
    }
}
