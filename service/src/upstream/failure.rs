//! How an attempt at a provider can fail, and what each failure says.
//!
//! Does not decide what follows a failure; that is [`crate::resilience::course`]'s.

use std::time::Duration;

use super::UpstreamError;
use crate::resilience::deadline::{Expired, Phase};

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttemptFailure {
    /// An error status.
    #[error("the provider answered {status}")]
    Status {
        /// It.
        status: u16,
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
        /// A 429 that no waiting cures.
        out_of_quota: bool,
    },
    /// No connection.
    #[error("no connection to the provider")]
    Connect,
    /// The connection broke.
    #[error("the connection to the provider broke")]
    Broken,
    /// A deadline passed.
    #[error(transparent)]
    Expired(#[from] Expired),
    /// The stream ended without saying that it was complete.
    #[error("the provider's stream ended early")]
    Truncated,
    /// The answer could not be understood.
    #[error("the provider's answer could not be understood")]
    Malformed,
    /// The stream carried an error.
    #[error("the provider's stream carried an error")]
    ErrorEvent,
}

impl AttemptFailure {
    /// Whether another attempt can succeed.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Status { out_of_quota: true, .. } | Self::Expired(Expired(Phase::Total)) => false,
            Self::Status { status, .. } => matches!(status, 408 | 409 | 429 | 500..),
            _ => true,
        }
    }

    /// Whether the failure says something about the provider, and not about the request.
    pub const fn is_the_providers(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500..),
            _ => true,
        }
    }

    /// Whether the provider may have worked on an answer before it failed. A refusal is not billed.
    pub const fn may_be_billed(&self) -> bool {
        !matches!(
            self,
            Self::Status { .. } | Self::Connect | Self::Expired(Expired(Phase::Connect))
        )
    }

    /// How long the provider asked to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A word for spans and metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Status { status: 429, .. } => "rate_limited",
            Self::Status { status: 500.., .. } => "server_error",
            Self::Status { .. } => "refused",
            Self::Connect => "connect",
            Self::Broken => "broken",
            Self::Expired(Expired(phase)) => match phase {
                Phase::Connect => "timeout_connect",
                Phase::FirstToken => "timeout_first_token",
                Phase::Idle => "timeout_idle",
                Phase::Attempt => "timeout_attempt",
                Phase::Total => "timeout_total",
            },
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::ErrorEvent => "error_event",
        }
    }
}

impl From<UpstreamError> for AttemptFailure {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Connect(_) => Self::Connect,
            UpstreamError::ConnectTimeout => Self::Expired(Expired(Phase::Connect)),
            UpstreamError::Broken(_) => Self::Broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn status(status: u16) -> AttemptFailure {
        AttemptFailure::Status {
            status,
            retry_after: None,
            out_of_quota: false,
        }
    }

    #[test]
    fn only_failures_that_can_pass_are_tried_again() {
        for retryable in [408, 409, 429, 500, 502, 503, 529] {
            assert!(status(retryable).is_retryable(), "{retryable}");
        }
        for lasting in [400, 401, 403, 404, 413, 422] {
            assert!(!status(lasting).is_retryable(), "{lasting}");
        }
        assert!(AttemptFailure::Expired(Expired(Phase::FirstToken)).is_retryable());
        assert!(!AttemptFailure::Expired(Expired(Phase::Total)).is_retryable());
    }
}
