//! All caches of an instance, in the order in which they are asked: what costs least first.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Exact, Kept, Key, Meaning, Question, Semantic};
use crate::sync::lock;
use crate::telemetry::Metrics;

/// The caches.
pub(crate) struct Caches {
    pub(crate) exact: Option<Exact>,
    pub(crate) semantic: Option<Semantic>,
    /// Where the answers of this instance come from.
    pub(crate) origin: Key,
    /// Answers that the service asked for itself, for all tenants. As many as the settings name questions.
    common: Mutex<BTreeMap<Key, Kept>>,
    metrics: Metrics,
}

/// An answer that was given before.
#[derive(Debug)]
pub(crate) struct Hit {
    pub(crate) kept: Kept,
    /// Which cache it comes from, as it is told.
    pub(crate) from: &'static str,
}

impl Caches {
    pub(crate) fn new(exact: Option<Exact>, semantic: Option<Semantic>, origin: Key, metrics: Metrics) -> Self {
        Self {
            exact,
            semantic,
            origin,
            common: Mutex::default(),
            metrics,
        }
    }

    /// The answer to an equal question, or to one that means the same. `meaning` is what the question means, once that had
    /// to be found out.
    pub(crate) async fn find(&self, question: &Question, meaning: &mut Option<Meaning>) -> Option<Hit> {
        if let Some(exact) = &self.exact
            && let Some(kept) = exact.find(&question.key).await
        {
            return Some(Hit { kept, from: "hit" });
        }
        let common = lock(&self.common).get(&question.common.key).cloned();
        if let Some(kept) = common.filter(|kept| question.takes(kept)) {
            self.metrics.cache_lookup("warm", "hit");
            return Some(Hit { kept, from: "hit" });
        }
        let semantic = self.semantic.as_ref()?;
        *meaning = semantic.meaning(question).await;
        let kept = semantic.find(question, meaning.as_ref()?)?;
        let from = "semantic";
        Some(Hit { kept, from })
    }

    /// Keeps an answer for the tenant who asked. Who wanted a new one did not look, so that nobody knows yet what was meant.
    pub(crate) async fn keep(&self, question: &Question, meaning: Option<Meaning>, kept: Kept) {
        if let Some(exact) = &self.exact {
            exact.keep(&question.key, &kept).await;
        }
        let Some(semantic) = &self.semantic else { return };
        let meaning = match meaning {
            None => semantic.meaning(question).await,
            known => known,
        };
        if let Some(meaning) = meaning {
            semantic.keep(question, meaning, kept);
        }
    }

    /// An answer was no answer for anybody else.
    pub(crate) fn unfit(&self) {
        self.metrics.cache_store("exact", "unfit");
    }

    /// Keeps an answer to a question of the service's own for all tenants.
    pub(crate) async fn keep_for_all(&self, question: &Question, kept: Kept) {
        if let Some(semantic) = &self.semantic
            && let Some(meaning) = semantic.meaning(question).await
        {
            semantic.keep_for_all(question, meaning, kept.clone());
        }
        lock(&self.common).insert(question.common.key, kept);
        self.metrics.cache_store("warm", "stored");
    }
}
