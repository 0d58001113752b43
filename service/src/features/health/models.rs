//! What health looks like from outside.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

/// Whether the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Liveness {
    /// `alive` or `failing`.
    pub(super) status: &'static str,
    /// What was asked; nothing where liveness depends on nothing.
    #[serde(skip_serializing_if = "Checks::is_empty")]
    #[schema(required = false, value_type = BTreeMap<String, Check>)]
    pub(super) checks: Checks,
}

/// Whether the instance should get requests, and if not, why not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    pub(super) status: Status,
    /// True while the instance is ending.
    pub(super) draining: bool,
    /// What requests can't be served without.
    #[schema(value_type = BTreeMap<String, Check>)]
    pub(super) checks: Checks,
    /// What they can be served without, for a while or in part. Nobody is asked for this: it is what was seen anyway.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = BTreeMap<String, String>)]
    pub(super) providers: BTreeMap<String, &'static str>,
    /// Where limits are shared: `ok`, or `degraded` while their store does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = String)]
    pub(super) limits: Option<&'static str>,
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// All is well.
    Ready,
    /// Not all is well, but another replica would do no better.
    Degraded,
    /// Requests are better sent elsewhere.
    Unready,
}

/// What was asked, by name.
pub(super) type Checks = BTreeMap<&'static str, Check>;

/// What one dependency answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Check {
    pub(super) status: CheckStatus,
    /// How long it took, in milliseconds.
    pub(super) ms: u64,
}

/// How a dependency does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum CheckStatus {
    /// It answered.
    Ok,
    /// It works, at the limit of what this instance may ask of it.
    Busy,
    /// It did not answer in time.
    Slow,
    /// It answered with an error, or could not be reached.
    Failed,
}

impl CheckStatus {
    /// Whether requests can be served with it.
    pub(super) const fn is_usable(self) -> bool {
        matches!(self, Self::Ok | Self::Busy)
    }
}
