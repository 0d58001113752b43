//! A provider's prompt cache: beginnings of prompts that were seen lately, per API key and model.
//!
//! A beginning ends where a passage ends, so two passages that begin alike share nothing. Where caching is the
//! caller's choice, beginnings are kept where it marks them, which is reported, and read up to its last mark. Elsewhere
//! all are kept and read, silently.
//! Pure: the caller brings the time. It knows hashes and lengths, no text.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use brownout_scenario::plan;
use brownout_scenario::units::Micros;

use super::{Prefix, Prompt};

/// Beginnings that are kept; for one more, the one that would be forgotten first has to go.
const MAX_KEPT: usize = 65_536;

/// What a prompt has of the cache, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CacheUse {
    /// Read from it. Never the whole prompt.
    pub(crate) cached: u64,
    /// Written to it because the caller asked for it; none of these is `cached`.
    pub(crate) written: u64,
}

/// The cache of one provider.
#[derive(Debug)]
pub(crate) struct PromptCache {
    plan: plan::PromptCache,
    /// The caller marks what is to be kept.
    on_request: bool,
    /// When each beginning is forgotten.
    kept: BTreeMap<u64, Micros>,
    /// The same, by time.
    ends: BTreeSet<(Micros, u64)>,
}

impl PromptCache {
    /// A cache that knows nothing yet, and that callers mark their prompts for if it works `on_request`.
    pub(crate) fn new(plan: plan::PromptCache, on_request: bool) -> Self {
        Self {
            plan,
            on_request,
            kept: BTreeMap::new(),
            ends: BTreeSet::new(),
        }
    }

    /// What of a prompt is known at `now`, and what [`PromptCache::remember`] would write. `owner` is a key and a model.
    pub(crate) fn look_up(&self, owner: (&str, &str), prompt: &Prompt, now: Micros) -> CacheUse {
        let knows = |prefix: &&Prefix| self.kept.get(&name(owner, prefix)).is_some_and(|end| now < *end);
        let last_mark = self.kept_of(prompt).last().map_or(0, |prefix| prefix.tokens);
        let in_reach = |prefix: &&Prefix| prefix.tokens <= last_mark;
        let cached = prompt.prefixes.iter().filter(in_reach).rfind(knows);
        let cached = cached.map_or(0, |prefix| self.usable(prefix, prompt));
        let reach = self
            .kept_of(prompt)
            .last()
            .map_or(0, |prefix| self.usable(prefix, prompt));
        CacheUse {
            cached,
            written: if self.on_request {
                reach.saturating_sub(cached)
            } else {
                0
            },
        }
    }

    /// Keeps the beginnings of a prompt from `now` on, known ones for longer.
    pub(crate) fn remember(&mut self, owner: (&str, &str), prompt: &Prompt, now: Micros) {
        let names: Vec<_> = self.kept_of(prompt).map(|prefix| name(owner, prefix)).collect();
        let end = now.plus(self.plan.ttl);
        for name in names {
            self.keep(name, end);
        }
    }

    /// The beginnings that are to be kept, from the shortest on.
    fn kept_of<'a>(&self, prompt: &'a Prompt) -> impl Iterator<Item = &'a Prefix> + use<'a> {
        let (least, on_request) = (self.plan.min_tokens, self.on_request);
        let prefixes = prompt.prefixes.iter();
        prefixes.filter(move |prefix| prefix.tokens >= least && (prefix.marked || !on_request))
    }

    /// How much of a beginning can be used: some of the prompt is always read afresh, and lengths go in steps.
    fn usable(&self, prefix: &Prefix, prompt: &Prompt) -> u64 {
        let most = prefix.tokens.min(prompt.tokens.saturating_sub(1));
        let rounded = most - most % self.plan.granularity.max(1);
        if rounded < self.plan.min_tokens { 0 } else { rounded }
    }

    fn keep(&mut self, name: u64, end: Micros) {
        if let Some(before) = self.kept.insert(name, end) {
            self.ends.remove(&(before, name));
        }
        self.ends.insert((end, name));
        if self.kept.len() > MAX_KEPT
            && let Some((_, first)) = self.ends.pop_first()
        {
            self.kept.remove(&first);
        }
    }
}

/// What stands for an owner's beginning.
fn name(owner: (&str, &str), prefix: &Prefix) -> u64 {
    let mut hasher = DefaultHasher::new();
    (owner, prefix.hash).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use brownout_scenario::units::PromptId;

    const T0: Micros = Micros::ZERO;
    const US: (&str, &str) = ("key", "model");

    fn cache(min_tokens: u64, granularity: u64) -> PromptCache {
        working(min_tokens, granularity, false)
    }

    fn working(min_tokens: u64, granularity: u64, on_request: bool) -> PromptCache {
        let plan = plan::PromptCache {
            min_tokens,
            granularity,
            ttl: Micros(1_000),
        };
        PromptCache::new(plan, on_request)
    }

    /// A prompt of passages, each a hash that stands for all up to it, the tokens up to its end, and a mark.
    fn prompt(ends: &[(u64, u64, bool)]) -> Prompt {
        let prefix = |&(hash, tokens, marked)| Prefix { hash, tokens, marked };
        Prompt {
            id: PromptId(0),
            tokens: ends.last().unwrap().1,
            prefixes: ends.iter().map(prefix).collect(),
        }
    }

    fn used(cached: u64, written: u64) -> CacheUse {
        CacheUse { cached, written }
    }

    #[test]
    fn the_longest_known_beginning_is_read_in_whole_steps() {
        let mut cache = cache(100, 64);
        let first = prompt(&[(1, 99, false), (2, 150, false), (3, 300, false)]);
        assert_eq!(cache.look_up(US, &first, T0), used(0, 0));
        cache.remember(US, &first, T0);
        let longer = prompt(&[(1, 99, false), (2, 150, false), (3, 300, false), (4, 400, false)]);
        assert_eq!(cache.look_up(US, &longer, T0), used(256, 0));
        let other_end = prompt(&[(1, 99, false), (2, 150, false), (5, 300, false)]);
        assert_eq!(cache.look_up(US, &other_end, T0), used(128, 0));
        let short = prompt(&[(1, 99, false), (6, 200, false)]);
        assert_eq!(cache.look_up(US, &short, T0), used(0, 0), "too short to be kept");
    }

    #[test]
    fn a_prompt_is_never_read_whole_and_never_in_less_than_the_least_length() {
        for (granularity, tokens, cached) in [(1, 100, 0), (1, 101, 100), (100, 200, 100), (100, 100, 0)] {
            let mut cache = cache(100, granularity);
            let again = prompt(&[(tokens, tokens, false)]);
            cache.remember(US, &again, T0);
            assert_eq!(cache.look_up(US, &again, T0), used(cached, 0), "of {tokens}");
        }
    }

    #[test]
    fn a_beginning_is_forgotten_to_the_microsecond_unless_it_is_used() {
        let mut cache = cache(1, 1);
        let again = prompt(&[(1, 50, false), (2, 60, false)]);
        cache.remember(US, &again, T0);
        assert_eq!(cache.look_up(US, &again, Micros(999)).cached, 59);
        assert_eq!(cache.look_up(US, &again, Micros(1_000)).cached, 0);
        cache.remember(US, &prompt(&[(1, 50, false)]), Micros(999));
        assert_eq!(cache.look_up(US, &again, Micros(1_998)).cached, 50);
        assert_eq!(cache.look_up(US, &again, Micros(1_999)).cached, 0);
    }

    #[test]
    fn keys_and_models_have_nothing_in_common() {
        let mut cache = cache(1, 1);
        let again = prompt(&[(1, 50, false), (2, 60, false)]);
        cache.remember(US, &again, T0);
        for other in [("key2", "model"), ("key", "model2"), ("keym", "odel")] {
            assert_eq!(cache.look_up(other, &again, T0), used(0, 0), "{other:?}");
        }
    }

    #[test]
    fn where_the_caller_marks_only_marked_beginnings_are_kept_and_read_up_to_the_last_mark() {
        let mut cache = working(100, 1, true);
        let first = prompt(&[(1, 200, true), (2, 300, false)]);
        assert_eq!(cache.look_up(US, &first, T0), used(0, 200));
        cache.remember(US, &first, T0);
        assert_eq!(cache.look_up(US, &first, T0), used(200, 0));
        let further = prompt(&[(1, 200, true), (2, 300, false), (3, 500, true), (4, 510, false)]);
        assert_eq!(cache.look_up(US, &further, T0), used(200, 300));
        let moved = prompt(&[(1, 200, false), (2, 300, true), (3, 500, false)]);
        assert_eq!(
            cache.look_up(US, &moved, T0),
            used(200, 100),
            "a mark further on finds what was kept before it"
        );
        let unmarked = prompt(&[(1, 200, false), (2, 300, false)]);
        assert_eq!(cache.look_up(US, &unmarked, T0), used(0, 0), "nobody asked");
        let short = prompt(&[(7, 99, true), (8, 300, false)]);
        assert_eq!(cache.look_up(US, &short, T0), used(0, 0), "too short to be written");
    }

    #[test]
    fn a_prompt_that_is_marked_at_its_end_is_written_once() {
        let mut cache = working(100, 1, true);
        let again = prompt(&[(1, 200, true)]);
        assert_eq!(cache.look_up(US, &again, T0), used(0, 199));
        cache.remember(US, &again, T0);
        assert_eq!(cache.look_up(US, &again, T0), used(199, 0));
    }

    #[test]
    fn for_one_more_the_oldest_has_to_go() {
        let mut cache = cache(1, 1);
        let nth = |n: u64| prompt(&[(n, 50, false), (u64::MAX, 60, false)]);
        for n in 0..MAX_KEPT as u64 {
            cache.remember(US, &prompt(&[(n, 50, false)]), Micros(n / 100));
        }
        cache.remember(US, &prompt(&[(0, 50, false)]), Micros(900));
        cache.remember(US, &prompt(&[(u64::MAX - 1, 50, false)]), Micros(900));
        assert_eq!((cache.kept.len(), cache.ends.len()), (MAX_KEPT, MAX_KEPT));
        let known = (0..100).filter(|n| cache.look_up(US, &nth(*n), Micros(900)).cached > 0);
        assert_eq!(known.count(), 99, "one of the oldest");
        assert_eq!(
            cache.look_up(US, &nth(0), Micros(900)).cached,
            50,
            "but not the one used since"
        );
    }
}
