//! A provider as the router knows it: its name, its prices, its room, and what it is good for.

use crate::settings::{Prices, ProviderSettings, Task, Usd, cost};
use crate::upstream::estimate;

/// Tokens of an answer, when costs are weighed against each other. Answers are rarely as long as they may be.
const EXPECTED_ANSWER: u64 = 300;

/// A provider that may be asked.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) name: String,
    prices: Option<Prices>,
    window: Option<u64>,
    tasks: Vec<Task>,
}

/// What a prompt comes to, as far as anybody can tell from its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Tokens of the prompt, at least.
    pub(super) least: u64,
    /// Tokens of the prompt, most likely.
    pub(super) likely: u64,
    /// Tokens of the prompt, at most.
    pub(super) most: u64,
    /// Tokens of the answer that were asked for, where they were.
    pub(super) answer: Option<u64>,
}

/// Whether a prompt and its answer have room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// They have, or nobody knows better.
    Enough,
    /// Probably not.
    Doubtful,
    /// They have not, however short their tokens are.
    None,
}

impl Candidate {
    pub(super) fn new(settings: &ProviderSettings) -> Self {
        Self {
            name: settings.name.clone(),
            prices: settings.prompt_price.zip(settings.completion_price),
            window: settings.context_window.map(u64::from),
            tasks: settings.tasks.clone(),
        }
    }

    /// Tokens that a prompt and its answer may come to.
    pub(super) const fn window(&self) -> Option<u64> {
        self.window
    }

    /// Whether there is room for `load`. Of the answer only what was asked for counts, as providers have it.
    pub(super) fn room(&self, load: Load) -> Room {
        let Some(window) = self.window else {
            return Room::Enough;
        };
        let answer = load.answer.unwrap_or(0);
        if load.least.saturating_add(answer) > window {
            Room::None
        } else if load.likely.saturating_add(answer) > window {
            Room::Doubtful
        } else {
            Room::Enough
        }
    }

    /// What `load` is expected to cost, in billionths of a dollar; unknown where a price is.
    pub(super) fn expected_nanos(&self, load: Load) -> Option<u64> {
        let answer = load.answer.unwrap_or(EXPECTED_ANSWER).min(EXPECTED_ANSWER);
        let (per_prompt, per_answer) = self.prices?;
        Some(
            per_prompt
                .nanos_for(load.likely)
                .saturating_add(per_answer.nanos_for(answer)),
        )
    }

    /// Tokens that the window leaves for the answer to a prompt of so many bytes: what is left if its tokens are short, but
    /// as many as an answer usually has if they probably are.
    pub(super) fn answer_room(&self, prompt_bytes: usize) -> u64 {
        let Some(window) = self.window else { return u64::MAX };
        let sure = window.saturating_sub(estimate::ample(prompt_bytes));
        let likely = window.saturating_sub(estimate::likely(prompt_bytes));
        sure.max(likely.min(EXPECTED_ANSWER)).max(1)
    }

    /// What `load` can cost at most; unknown where a price is.
    pub(super) fn worst(&self, load: Load) -> Option<Usd> {
        let answer = load.answer.unwrap_or(estimate::LONGEST_ANSWER.into());
        Some(cost(self.prices?, load.most, answer))
    }

    /// How far it is from what `task` asks for: 0 if it lists the task, 1 if it lists none, 2 if it lists only others.
    pub(super) fn distance(&self, task: Option<&str>) -> u8 {
        let lists = |task: &str| self.tasks.iter().any(|listed| *listed == *task);
        match task {
            Some(task) if lists(task) => 0,
            _ if self.tasks.is_empty() => 1,
            _ => 2,
        }
    }
}
