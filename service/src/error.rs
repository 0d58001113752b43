//! Every way a request can fail, and how each is said to the client: RFC 9457 problem JSON.
//!
//! Provider bodies never pass through here: they may hold prompts, keys or internals of somebody else's system.

mod problem;

use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::limits::{Limit, Limited};
use crate::queue::QueueError;
use crate::resilience::course::CallFailure;
use crate::resilience::deadline::{Deadline, Expired, Phase};
use crate::storage::DatabaseError;
use crate::upstream::{AttemptFailure, Reason};
use crate::webhooks::WebhookRefused;

pub(crate) use self::problem::shortened;
pub use self::problem::{Problem, Violation};

/// `retry-after` in milliseconds. Source: OpenAI's and Anthropic's own clients, which read it.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// Why an instance could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Nobody to call.
    #[error(
        "no provider is configured: add [[providers]] with name, base_url and model to the settings, or set BROWNOUT_SERVICE__PROVIDERS"
    )]
    NoProviders,
    /// A provider's address makes no request.
    #[error("providers.{name}.base_url is no address: {problem}; write for example https://api.openai.com/v1")]
    ProviderAddress {
        /// Its name in the settings.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The collector's address makes no request.
    #[error("otlp_endpoint is no address: {problem}; write for example http://localhost:4318")]
    CollectorAddress {
        /// What is wrong with it.
        problem: String,
    },
}

/// Why a request failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The body is no JSON, or none that is read.
    #[error("the body cannot be read: {0}")]
    Malformed(String),
    /// The body says that it is something else than JSON.
    #[error("the body is to be JSON: send it with content-type: application/json")]
    MediaType,
    /// The body was not sent to its end in time.
    #[error("the body did not arrive in time: send it again")]
    SlowBody,
    /// The body can be read, and asks for what cannot be.
    #[error("the request does not fit: {}", problem::in_words(.0))]
    Invalid(Vec<Violation>),
    /// Nobody here has that model.
    #[error("there is no model {0:?} here: GET /v1/models lists those there are")]
    UnknownModel(String),
    /// No model takes a conversation of that length.
    #[error(
        "the conversation and the answer asked for come to about {needed} tokens, and no model here takes more than {window}: shorten it, or ask for fewer max_tokens"
    )]
    NoRoom {
        /// Tokens that are needed, as far as the bytes tell.
        needed: u64,
        /// Tokens that the largest context window takes.
        window: u64,
    },
    /// The body is longer than `max_body_bytes`.
    #[error("the body is too large: shorten the conversation")]
    TooLarge,
    /// No key, or none that is known. Which of the two is not said.
    #[error("a key is needed: send it as `authorization: Bearer KEY`")]
    Unauthenticated,
    /// The key is known and refused.
    #[error("this key is disabled: ask whoever gave it to you")]
    KeyDisabled,
    /// A limit of ours on requests or tokens in a minute has no room now.
    #[error("{}: try again later", used_up(*limit))]
    LimitUsedUp {
        /// Which.
        limit: Limit,
        /// When it has.
        retry_after: Duration,
    },
    /// A limit of ours on tokens in a minute never has room for so much at once.
    #[error(
        "the request asks for more tokens than may be used at once: shorten the conversation, or ask for fewer max_tokens"
    )]
    OverLimit,
    /// Nobody knows what is left of a limit, and the settings say to refuse then.
    #[error("the limits of this service cannot be kept at the moment: try again later")]
    LimitsUnknown,
    /// The key has as many requests under way as it may.
    #[error("this key has as many requests under way as it may: wait for one of them to end")]
    TooManyAtOnce,
    /// What the request can cost is more than the key may still spend.
    #[error(
        "this key's budget does not cover the request: ask for fewer max_tokens, or wait for the budget to be full again"
    )]
    BudgetExhausted {
        /// When it is; absent: even the whole of it would not do.
        full_in: Option<Duration>,
    },
    /// There is no such thing.
    #[error("there is no {0} here")]
    NotFound(&'static str),
    /// The path exists, the method does not.
    #[error("this path does not take that method")]
    MethodNotAllowed,
    /// The job has an outcome already.
    #[error("the job is finished and cannot be cancelled any more")]
    JobFinished,
    /// The idempotency key is none.
    #[error("send one idempotency-key of 1 to 255 visible ASCII letters, digits and signs, or none")]
    BadKey,
    /// The word for what a request is for is none.
    #[error("send one x-task of 1 to 32 letters, digits, dots, hyphens or underscores, or none")]
    BadTask,
    /// The idempotency key stands for another request.
    #[error("this idempotency key was used for another request: use a new one for each piece of work")]
    KeyReused,
    /// The webhook is not told anything.
    #[error(transparent)]
    Webhook(#[from] WebhookRefused),
    /// Too many jobs wait.
    #[error("too many jobs wait already: one more would come too late")]
    BacklogFull,
    /// The tenant has as many jobs waiting as it may.
    #[error(
        "as many of your jobs wait already as may wait at a time: hand the next one in when some of them have begun"
    )]
    ShareFull,
    /// The job was begun as often as it may be, and no worker came back from it.
    #[error("the job was begun {attempts} times and no worker came to its end: it may be what ends them")]
    JobAbandoned {
        /// How often.
        attempts: u32,
    },
    /// The job waited too long.
    #[error("the job waited too long to be begun")]
    JobExpired,
    /// The client took the job back.
    #[error("the job was cancelled")]
    JobCancelled,
    /// The job's record is damaged, or a newer version's.
    #[error("this job cannot be read here: a newer version of the service may know it, else hand the work in again")]
    JobUnreadable,
    /// The design in use takes no jobs.
    #[error("this design takes no jobs: use POST /chat, or set design = \"background\" or \"queued\"")]
    NoJobs,
    /// Every attempt was refused by a rate limit.
    #[error("the model provider's rate limit is used up: try again later")]
    RateLimited {
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
    },
    /// No provider gave a usable answer.
    #[error("the model provider could not answer")]
    BadUpstream,
    /// The provider refused the request as wrong; another attempt would be refused as well.
    #[error("the model provider refused the request")]
    Refused,
    /// The provider's answer broke off.
    #[error("the answer broke off before its end")]
    Truncated,
    /// The model found the prompt too long, and no larger one may be asked.
    #[error("the conversation does not fit into the model's context window: shorten it, or ask for fewer max_tokens")]
    ContextLength,
    /// The provider's content filter stopped the prompt or the answer.
    #[error("the model provider's content filter stopped this: what came before it is no answer")]
    ContentFiltered,
    /// The breakers of all providers that could be asked are open.
    #[error("all model providers fail just now: try again later")]
    ProvidersUnavailable {
        /// When one of them is asked again.
        retry_after: Duration,
    },
    /// The answer does not fit the form that was asked for, and asking again did not help.
    #[error("the model did not keep to the form that was asked for: make the schema simpler, or try again")]
    InvalidOutput,
    /// The answer reached its limit of tokens before it had the form that was asked for.
    #[error("the answer reached its limit of tokens before its form was complete: allow more with max_tokens")]
    OutputCutOff,
    /// A deadline passed.
    #[error("no answer in time: the {} deadline passed", .0.name())]
    Deadline(Phase),
    /// What the client had not read yet of an answer that it shares is no longer there.
    #[error("the answer was read too slowly: ask again")]
    TooSlow,
    /// All database connections are in use.
    #[error("no database connection became free in time")]
    PoolTimeout,
    /// The database server has no connection left for this instance.
    #[error("the database has no connection left")]
    DatabaseFull,
    /// All workers are busy and so many requests wait that one more would not be served in time.
    #[error("too many requests wait for a worker")]
    Overloaded,
    /// The service has as much to do as it can, and as many wait as may.
    #[error("the service has more to do than it can: try again later")]
    Shed {
        /// How long it takes to do what is there already.
        retry_after: Duration,
    },
    /// The database or the queue failed.
    #[error("the storage is not available")]
    Storage,
    /// The instance is shutting down.
    #[error("the service is shutting down: another replica will answer")]
    ShuttingDown,
}

const fn used_up(limit: Limit) -> &'static str {
    match limit {
        Limit::KeyRequests => "this key has used up its requests per minute",
        Limit::KeyTokens => "this key has used up its tokens per minute",
        Limit::KeyBudget => "this key has used up its budget",
        Limit::ServiceRequests => "this service has used up its requests per minute",
        Limit::ServiceTokens => "this service has used up its tokens per minute",
    }
}

impl Error {
    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::BadKey | Self::BadTask => StatusCode::BAD_REQUEST,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::SlowBody | Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Invalid(_) | Self::KeyReused | Self::Webhook(_) | Self::ContentFiltered | Self::OutputCutOff => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            // Not 429: no waiting helps.
            Self::TooLarge | Self::NoRoom { .. } | Self::ContextLength | Self::OverLimit => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::KeyDisabled => StatusCode::FORBIDDEN,
            Self::RateLimited { .. } | Self::LimitUsedUp { .. } | Self::TooManyAtOnce | Self::ShareFull => {
                StatusCode::TOO_MANY_REQUESTS
            }
            // Not 429: clients take that for a matter of seconds, and retry by themselves.
            Self::BudgetExhausted { .. } => StatusCode::PAYMENT_REQUIRED,
            Self::NotFound(_) | Self::UnknownModel(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::JobFinished | Self::JobCancelled => StatusCode::CONFLICT,
            Self::JobAbandoned { .. } | Self::JobUnreadable => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NoJobs => StatusCode::NOT_IMPLEMENTED,
            Self::BadUpstream | Self::Refused | Self::Truncated | Self::InvalidOutput => StatusCode::BAD_GATEWAY,
            Self::Deadline(_) | Self::JobExpired => StatusCode::GATEWAY_TIMEOUT,
            Self::PoolTimeout
            | Self::DatabaseFull
            | Self::Overloaded
            | Self::Shed { .. }
            | Self::LimitsUnknown
            | Self::BacklogFull
            | Self::Storage
            | Self::ProvidersUnavailable { .. }
            | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The kind of problem: stable, for programs. The last part of the problem's `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed-body",
            Self::MediaType => "unsupported-media-type",
            Self::SlowBody => "body-too-slow",
            Self::Invalid(_) => "invalid-request",
            Self::UnknownModel(_) => "model-not-found",
            Self::TooLarge => "body-too-large",
            // OpenAI's word: on its route this becomes the code that clients of it look for.
            Self::NoRoom { .. } | Self::ContextLength => "context-length-exceeded",
            Self::Unauthenticated => "unauthenticated",
            Self::KeyDisabled => "key-disabled",
            Self::LimitUsedUp { limit, .. } => match limit {
                Limit::ServiceRequests | Limit::ServiceTokens => "service-rate-limited",
                Limit::KeyRequests | Limit::KeyTokens | Limit::KeyBudget => "rate-limited",
            },
            Self::OverLimit => "tokens-over-limit",
            Self::LimitsUnknown => "limits-unavailable",
            Self::TooManyAtOnce => "too-many-at-once",
            Self::BudgetExhausted { .. } => "budget-exhausted",
            Self::NotFound(_) => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::JobFinished => "job-finished",
            Self::JobCancelled => "job-cancelled",
            Self::BadKey => "idempotency-key-malformed",
            Self::BadTask => "task-malformed",
            Self::KeyReused => "idempotency-key-reused",
            Self::Webhook(_) => "webhook-refused",
            Self::BacklogFull => "backlog-full",
            Self::ShareFull => "tenant-backlog-full",
            Self::JobAbandoned { .. } => "job-abandoned",
            Self::JobExpired => "job-expired",
            Self::JobUnreadable => "job-unreadable",
            Self::NoJobs => "no-jobs",
            Self::RateLimited { .. } => "upstream-rate-limited",
            Self::BadUpstream => "upstream-failed",
            Self::Refused => "upstream-refused",
            Self::InvalidOutput => "invalid-output",
            Self::OutputCutOff => "output-cut-off",
            Self::Truncated => "upstream-truncated",
            Self::ContentFiltered => "content-filtered",
            Self::ProvidersUnavailable { .. } => "providers-unavailable",
            Self::Deadline(_) => "deadline-exceeded",
            Self::TooSlow => "read-too-slowly",
            Self::PoolTimeout => "database-busy",
            Self::DatabaseFull => "database-full",
            Self::Overloaded | Self::Shed { .. } => "overloaded",
            Self::Storage => "storage-unavailable",
            Self::ShuttingDown => "shutting-down",
        }
    }

    /// One thing that is wrong with a request. `pointer` is where, such as `#/messages/0`.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Violation {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// Work for a request was dropped: because the request's time was over, or because the instance is ending.
    pub(crate) fn cut_off(deadline: &Deadline) -> Self {
        if deadline.is_over() {
            Self::Deadline(Phase::Total)
        } else {
            Self::ShuttingDown
        }
    }

    /// When it makes sense to try again, where it does and somebody knows.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } => Some(retry_after.unwrap_or(Duration::from_secs(1))),
            Self::LimitUsedUp { retry_after, .. }
            | Self::Shed { retry_after }
            | Self::ProvidersUnavailable { retry_after } => Some(*retry_after),
            Self::BudgetExhausted { full_in } => *full_in,
            // A queue is longer than a line of requests.
            Self::BacklogFull | Self::ShareFull => Some(Duration::from_secs(5)),
            Self::TooManyAtOnce
            | Self::PoolTimeout
            | Self::DatabaseFull
            | Self::Overloaded
            | Self::LimitsUnknown
            | Self::Storage
            | Self::ShuttingDown => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether it is about the one who asked, and says nothing about others who ask the same.
    pub const fn is_the_askers(&self) -> bool {
        matches!(
            self,
            Self::BudgetExhausted { .. }
                | Self::LimitUsedUp {
                    limit: Limit::KeyRequests | Limit::KeyTokens | Limit::KeyBudget,
                    ..
                }
                | Self::OverLimit
                | Self::TooManyAtOnce
                | Self::Deadline(Phase::Total)
        )
    }

    /// Whether the same request can succeed later. Decides if a failed job is run again.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::RateLimited { .. }
                | Self::ProvidersUnavailable { .. }
                | Self::BadUpstream
                | Self::Truncated
                | Self::InvalidOutput
                | Self::Deadline(_)
                | Self::PoolTimeout
                | Self::DatabaseFull
                | Self::Overloaded
                | Self::Shed { .. }
                | Self::LimitUsedUp { .. }
                | Self::LimitsUnknown
                | Self::Storage
                | Self::ShuttingDown
        )
    }

    /// The problem, as it is told.
    pub fn problem(&self) -> Problem {
        Problem {
            kind: format!("urn:brownout-service:problem:{}", self.kind()),
            title: self.status().canonical_reason().unwrap_or("Error"),
            status: self.status().as_u16(),
            detail: self.to_string(),
            errors: match self {
                Self::Invalid(violations) => violations.clone(),
                _ => Vec::new(),
            },
        }
    }

    /// The problem as a response.
    pub fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self.problem()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(after) = self.retry_after() {
            // Whole seconds, rounded up: coming back a moment too early only costs another refusal.
            let seconds = after.as_millis().div_ceil(1000).max(1) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            // What OpenAI's clients read first: a second is long where a place is free in two hundred milliseconds.
            if let Self::Shed { .. } | Self::LimitUsedUp { .. } = self {
                let millis = after.as_micros().div_ceil(1000).max(1) as u64;
                headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
            }
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        Self::into_response(self)
    }
}

impl From<CallFailure> for Error {
    fn from(failure: CallFailure) -> Self {
        failure.last.into()
    }
}

impl From<AttemptFailure> for Error {
    fn from(failure: AttemptFailure) -> Self {
        match failure {
            AttemptFailure::Open { retry_in } => Self::ProvidersUnavailable { retry_after: retry_in },
            AttemptFailure::Filtered { .. }
            | AttemptFailure::Status {
                reason: Reason::ContentFilter,
                ..
            } => Self::ContentFiltered,
            AttemptFailure::Status {
                reason: Reason::ContextLength,
                ..
            } => Self::ContextLength,
            AttemptFailure::Status {
                status: 429,
                retry_after,
                ..
            } => Self::RateLimited { retry_after },
            AttemptFailure::Status { status, .. } if (400..500).contains(&status) => Self::Refused,
            AttemptFailure::Expired(Expired(phase)) => Self::Deadline(phase),
            AttemptFailure::Truncated => Self::Truncated,
            AttemptFailure::Limited(limited) => limited.into(),
            AttemptFailure::Status { .. }
            | AttemptFailure::Connect
            | AttemptFailure::Broken
            | AttemptFailure::Malformed
            | AttemptFailure::ErrorEvent => Self::BadUpstream,
        }
    }
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        match limited {
            Limited::UsedUp {
                limit: Limit::KeyBudget,
                fits_in,
            } => Self::BudgetExhausted { full_in: Some(fits_in) },
            Limited::UsedUp { limit, fits_in } => Self::LimitUsedUp {
                limit,
                retry_after: fits_in,
            },
            Limited::TooMuch {
                limit: Limit::KeyBudget,
            } => Self::BudgetExhausted { full_in: None },
            Limited::TooMuch { .. } => Self::OverLimit,
            Limited::Unknown => Self::LimitsUnknown,
        }
    }
}

impl From<Expired> for Error {
    fn from(expired: Expired) -> Self {
        Self::Deadline(expired.0)
    }
}

impl From<DatabaseError> for Error {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::PoolTimeout => Self::PoolTimeout,
            DatabaseError::TooManyConnections => Self::DatabaseFull,
            error @ (DatabaseError::Late | DatabaseError::Failed(_)) => {
                tracing::warn!(%error, "the database failed");
                Self::Storage
            }
        }
    }
}

impl From<QueueError> for Error {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Full => Self::BacklogFull,
            QueueError::Unreadable { .. } => Self::JobUnreadable,
            error => {
                tracing::warn!(%error, "the queue failed");
                Self::Storage
            }
        }
    }
}
