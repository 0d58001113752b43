//! How an attempt at a provider can fail, and what each failure says.
//!
//! Does not decide what follows a failure; that is [`crate::resilience::classes`]'s and [`crate::resilience::course`]'s.

use std::time::Duration;

use super::{UpstreamError, Usage};
use crate::limits::Limited;
use crate::resilience::classes::Class;
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
        /// What its body said, as far as that changes what follows.
        reason: Reason,
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
    /// A content filter cut the answer off.
    #[error("the provider's content filter cut the answer off")]
    Filtered {
        /// What the part that came used, if the provider said so.
        usage: Option<Usage>,
    },
    /// Nothing was sent.
    #[error("the provider's circuit breaker is open")]
    Open {
        /// When it makes sense to ask again.
        retry_in: Duration,
    },
    /// Nothing was sent: one of our own limits leaves no room for the attempt.
    #[error(transparent)]
    Limited(#[from] Limited),
}

/// What the body of an error says beyond its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reason {
    /// Nothing that is known here.
    #[default]
    Unsaid,
    /// The account is out of money: no waiting cures it.
    OutOfQuota,
    /// The prompt does not fit into the model.
    ContextLength,
    /// The provider will not answer this.
    ContentFilter,
}

impl AttemptFailure {
    /// The class it belongs to.
    pub const fn class(&self) -> Class {
        match self {
            Self::Status { status, reason, .. } => class_of(*status, *reason),
            Self::Connect | Self::Broken | Self::Truncated | Self::ErrorEvent => Class::Transient,
            Self::Expired(Expired(Phase::Total)) => Class::OutOfTime,
            Self::Expired(_) => Class::Silent,
            Self::Malformed => Class::Malformed,
            Self::Filtered { .. } => Class::ContentFilter,
            Self::Open { .. } => Class::Open,
            Self::Limited(_) => Class::Unaffordable,
        }
    }

    /// Whether the provider may have worked on an answer before it failed. A refusal is not billed.
    pub const fn may_be_billed(&self) -> bool {
        match self {
            Self::Status { .. } | Self::Connect | Self::Expired(Expired(Phase::Connect)) => false,
            _ => self.class().verdict().may_be_billed,
        }
    }

    /// Whether the provider ended the attempt. Where we did, nobody here knows what it went on to make.
    pub const fn is_their_end(&self) -> bool {
        matches!(self, Self::Broken | Self::Truncated | Self::ErrorEvent)
    }

    /// How long the provider asked to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same failure, asking for no longer a wait than `most`.
    pub(crate) fn bounded(self, most: Duration) -> Self {
        match self {
            Self::Status {
                status,
                retry_after,
                reason,
            } => Self::Status {
                status,
                retry_after: retry_after.map(|asked| asked.min(most)),
                reason,
            },
            failure => failure,
        }
    }

    /// A word for spans and metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Status {
                reason: Reason::ContextLength,
                ..
            } => "context_length",
            Self::Filtered { .. }
            | Self::Status {
                reason: Reason::ContentFilter,
                ..
            } => "content_filter",
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
            Self::Open { .. } => "breaker_open",
            Self::Limited(_) => "limited",
        }
    }
}

/// The class of an error status. What the body says goes first: a 429 can be an empty purse, and a 400 too long a prompt.
const fn class_of(status: u16, reason: Reason) -> Class {
    match (reason, status) {
        (Reason::OutOfQuota, _) | (_, 401..=404) => Class::HardDown,
        (Reason::ContextLength, _) => Class::ContextLength,
        (Reason::ContentFilter, _) => Class::ContentFilter,
        (_, 429) => Class::RateLimited,
        (_, 408 | 409 | 500..) => Class::Transient,
        _ => Class::ClientFault,
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

    const fn class(status: u16, reason: Reason) -> Class {
        AttemptFailure::Status {
            status,
            retry_after: None,
            reason,
        }
        .class()
    }

    #[test]
    fn a_status_has_the_class_that_fits_it() {
        for (class_expected, statuses) in [
            (Class::Transient, &[408, 409, 500, 502, 503, 504, 529][..]),
            (Class::RateLimited, &[429]),
            (Class::HardDown, &[401, 402, 403, 404]),
            (Class::ClientFault, &[400, 405, 413, 415, 422]),
        ] {
            for status in statuses {
                assert_eq!(class(*status, Reason::Unsaid), class_expected, "{status}");
            }
        }
    }

    #[test]
    fn what_the_body_says_goes_before_the_status() {
        assert_eq!(class(429, Reason::OutOfQuota), Class::HardDown);
        assert_eq!(class(400, Reason::ContextLength), Class::ContextLength);
        assert_eq!(class(413, Reason::ContextLength), Class::ContextLength);
        assert_eq!(class(400, Reason::ContentFilter), Class::ContentFilter);
    }

    #[test]
    fn whoever_does_not_answer_in_time_is_silent_unless_the_time_was_the_requests() {
        for phase in [Phase::Connect, Phase::FirstToken, Phase::Idle, Phase::Attempt] {
            assert_eq!(AttemptFailure::from(Expired(phase)).class(), Class::Silent, "{phase:?}");
        }
        assert_eq!(AttemptFailure::from(Expired(Phase::Total)).class(), Class::OutOfTime);
    }

    #[test]
    fn refusals_and_connections_that_were_never_made_are_not_billed() {
        let free = [
            AttemptFailure::Status {
                status: 503,
                retry_after: None,
                reason: Reason::Unsaid,
            },
            AttemptFailure::Connect,
            AttemptFailure::Expired(Expired(Phase::Connect)),
            AttemptFailure::Open {
                retry_in: Duration::ZERO,
            },
        ];
        assert!(free.iter().all(|failure| !failure.may_be_billed()));
        let costly = [
            AttemptFailure::Broken,
            AttemptFailure::Expired(Expired(Phase::FirstToken)),
            AttemptFailure::Filtered { usage: None },
        ];
        assert!(costly.iter().all(AttemptFailure::may_be_billed));
    }
}
