//! Labels, and the cap on those that could grow.
//!
//! Endpoints, outcomes and kinds come from the code; providers and models from the settings, which may name many. Nothing
//! comes from a request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use prometheus_client::encoding::EncodeLabelSet;

use crate::sync::lock;

/// What a value is called that found no room.
pub(super) const OTHER: &str = "other";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Answered {
    pub(super) endpoint: &'static str,
    pub(super) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Endpoint {
    pub(super) endpoint: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndpointKind {
    pub(super) endpoint: &'static str,
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndpointModel {
    pub(super) endpoint: &'static str,
    pub(super) model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Model {
    pub(super) model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Attempted {
    pub(super) provider: String,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Provider {
    pub(super) provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Routed {
    pub(super) provider: String,
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Breaker {
    pub(super) provider: String,
    pub(super) operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Turned {
    pub(super) provider: String,
    pub(super) operation: &'static str,
    pub(super) to: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Tokens {
    pub(super) model: String,
    pub(super) direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct WastedTokens {
    pub(super) reason: &'static str,
    /// `true` where tokens were counted by the pieces they came in, because no usage was reported.
    pub(super) estimated: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Cached {
    pub(super) cache: &'static str,
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Known {
    /// Where the knowledge of what was used comes from.
    pub(super) usage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct State {
    pub(super) state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}

/// Lets so many different values through; all that come later are one.
#[derive(Debug, Clone)]
pub(super) struct Capped {
    most: usize,
    seen: Arc<Mutex<BTreeSet<String>>>,
}

impl Capped {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            seen: Arc::default(),
        }
    }

    /// `value` if it is one of the first, else `other`.
    pub(super) fn label(&self, value: &str) -> String {
        let mut seen = lock(&self.seen);
        if !seen.contains(value) {
            if seen.len() >= self.most {
                return OTHER.to_owned();
            }
            seen.insert(value.to_owned());
        }
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_the_cap_is_other_and_what_came_before_keeps_its_name() {
        let capped = Capped::new(2);
        let labels: Vec<String> = ["a", "b", "a", "c", "d", "b"].iter().map(|v| capped.label(v)).collect();
        assert_eq!(labels, ["a", "b", "a", OTHER, OTHER, "b"]);
    }
}
