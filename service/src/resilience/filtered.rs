//! Filtered answers: what a client is told when a provider stopped because of what it was about to say.
//!
//! Does not recognise one; that is [`crate::upstream`]'s. A request that is refused for its content is always an error.

/// Parameter: how an answer that was cut off by a content filter ends for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFilter {
    /// With an error, in band if it has begun: what came is no answer.
    Report,
    /// As it is: the words that came look like all there were.
    Ignore,
}

/// The provider's word for why it stopped.
const FILTERED: &str = "content_filter";

impl ContentFilter {
    /// Policy: whether an answer that ended for this reason is an error.
    pub(crate) fn catches(self, finish_reason: &str) -> bool {
        self == Self::Report && finish_reason == FILTERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_filtered_answer_is_caught_and_only_where_that_is_wanted() {
        assert!(ContentFilter::Report.catches("content_filter"));
        assert!(!ContentFilter::Report.catches("stop"));
        assert!(!ContentFilter::Ignore.catches("content_filter"));
    }
}
