//! How often each prompt was seen.
//!
//! Keeps every prompt of a run; a provider that stands alone for days keeps the last ones.

use std::collections::{BTreeMap, VecDeque};

use brownout_scenario::units::PromptId;

use crate::ledger::Retention;

/// Counts by prompt.
#[derive(Debug)]
pub(super) struct Seen {
    retention: Retention,
    counts: BTreeMap<PromptId, u32>,
    /// Prompts by age, where they are forgotten.
    order: VecDeque<PromptId>,
}

impl Seen {
    /// Nothing seen yet.
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            counts: BTreeMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Notes that `prompt` came, and says how often it had before.
    pub(super) fn count(&mut self, prompt: PromptId) -> u32 {
        let times = self.counts.entry(prompt).or_default();
        let before = *times;
        *times += 1;
        if let (Retention::Last(most), 0) = (self.retention, before) {
            self.order.push_back(prompt);
            if self.order.len() > most
                && let Some(oldest) = self.order.pop_front()
            {
                self.counts.remove(&oldest);
            }
        }
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_counted_until_it_is_forgotten() {
        let mut seen = Seen::new(Retention::Last(2));
        let counts = [1, 1, 2, 1, 3, 2, 1, 1].map(|prompt| seen.count(PromptId(prompt)));
        assert_eq!(counts, [0, 1, 0, 2, 0, 1, 0, 1]);
        assert!(seen.counts.len() <= 2);
        let mut all = Seen::new(Retention::All);
        let counts = [1, 2, 3, 1].map(|prompt| all.count(PromptId(prompt)));
        assert_eq!(counts, [0, 0, 0, 1]);
    }
}
