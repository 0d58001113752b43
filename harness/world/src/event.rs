//! What happened, for whoever watches a run: past tense, in order, no judgement.

/// Something that happened during a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A variant's world stands and its load begins.
    VariantStarted {
        /// The scenario.
        scenario: String,
        /// The variant.
        variant: String,
        /// Requests its schedule holds; `None` for closed arrivals.
        planned: Option<u64>,
    },
    /// Requests have ended.
    Progressed {
        /// The variant.
        variant: String,
        /// How many so far.
        ended: u64,
    },
    /// A variant's world is down again and its observations are in.
    VariantFinished {
        /// The variant.
        variant: String,
    },
}
