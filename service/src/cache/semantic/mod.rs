//! The semantic cache: an answer for who asks the same in other words.
//!
//! - `words`, `embed`: a question as its words, and as a point. `marks`, `template`: what has to agree however near two points
//!   are.
//! - `index`: so many questions of each tenant, so many bytes of all, and the nearest one. Pure.
//!
//! Only the last question of a conversation is compared by meaning. Who asks, of which model, with which options and after
//! which turns has to be equal, as for the exact cache. In the memory of each instance.

mod embed;
mod index;
mod marks;
mod template;
mod words;

use std::sync::{Arc, Mutex};

pub(crate) use self::embed::{Embedder, Vector, Wording};
use self::index::{Entry, Index};
use self::marks::{Marks, Opposites};
use self::words::English;
use super::{CacheSettings, Kept, Question};
use crate::clock::Clock;
use crate::sync::lock;
use crate::telemetry::Metrics;

/// What it is called in metrics.
const NAME: &str = "semantic";
/// Longest question that is compared, in bytes. What is longer is a document.
const LONGEST: usize = 1_000;

/// What a question means, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    vector: Vector,
    marks: Marks,
}

/// The semantic cache of an instance.
pub(crate) struct Semantic {
    embedder: Arc<dyn Embedder>,
    english: English,
    opposites: Opposites,
    index: Mutex<Index>,
    threshold: f64,
    guards: bool,
    ttl_us: u64,
    metrics: Metrics,
    clock: Clock,
}

impl Semantic {
    pub(crate) fn new(embedder: Arc<dyn Embedder>, settings: &CacheSettings, metrics: Metrics, clock: Clock) -> Self {
        let english = English::new();
        Self {
            embedder,
            opposites: Opposites::new(&english),
            english,
            index: Mutex::new(Index::new(settings.questions as usize, settings.bytes as usize)),
            threshold: settings.threshold,
            guards: settings.guards,
            ttl_us: settings.ttl.as_micros() as u64,
            metrics,
            clock,
        }
    }

    /// What is asked, in meaning; `None` if it is not to be compared, or nobody can say.
    pub(crate) async fn meaning(&self, question: &Question) -> Option<Meaning> {
        let text = question.asks.as_deref().filter(|text| text.len() <= LONGEST)?;
        let vector = self.embedder.embed(text).await?;
        let marks = Marks::of(text, &self.english);
        Some(Meaning { vector, marks })
    }

    /// The answer to the nearest question of the same tenant that is near enough, or of the service's own.
    pub(crate) fn find(&self, question: &Question, meaning: &Meaning) -> Option<Kept> {
        let now_us = self.clock.now_unix_us();
        let mut index = lock(&self.index);
        index.forget_lapsed(now_us);
        let nearest = |tenant, partition, own: bool| {
            index.nearest(tenant, partition, &meaning.vector, now_us, |entry, nearness| {
                nearness >= self.threshold
                    && (!self.guards || entry.meaning.marks.agree(&meaning.marks, &self.opposites))
                    && (own || question.takes(&entry.kept))
            })
        };
        let own = nearest(Some(question.tenant.as_str()), &question.partition, true);
        let found = own.or_else(|| nearest(None, &question.common.partition, false));
        let found = found.map(|(_, entry)| entry.kept.clone());
        drop(index);
        self.metrics
            .cache_lookup(NAME, if found.is_some() { "hit" } else { "miss" });
        found
    }

    /// Remembers an answer for those of the same tenant who ask the same in other words.
    pub(crate) fn keep(&self, question: &Question, meaning: Meaning, kept: Kept) {
        let now_us = self.clock.now_unix_us();
        let entry = Entry {
            key: question.key,
            partition: question.partition,
            meaning,
            kept,
            until_us: now_us.saturating_add(self.ttl_us),
        };
        lock(&self.index).put(Some(&question.tenant), entry, now_us);
        self.metrics.cache_store(NAME, "stored");
    }

    /// Remembers an answer for all tenants, for as long as the instance lives.
    pub(crate) fn keep_for_all(&self, question: &Question, meaning: Meaning, kept: Kept) {
        let entry = Entry {
            key: question.common.key,
            partition: question.common.partition,
            meaning,
            kept,
            until_us: u64::MAX,
        };
        lock(&self.index).put(None, entry, self.clock.now_unix_us());
    }
}
