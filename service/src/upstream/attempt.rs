//! One attempt at one provider: the request, and how it can fail.
//!
//! Does not decide what follows a failure; that is [`crate::resilience::course`]'s.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use secrecy::ExposeSecret;

use super::client::{Call, Provider};
use super::openai::{self, Completion};
use super::witness::Witness;
use super::{Upstream, UpstreamBody, UpstreamError};
use crate::resilience::deadline::{Expired, Phase};

/// Longest body that is read, in bytes. An answer of a model is far shorter.
pub(super) const LONGEST_BODY: usize = 16 << 20;
/// Longest error body that is read, in bytes.
const LONGEST_ERROR: usize = 64 << 10;
/// How long the body of an error may take. It is only a hint.
const ERROR_BODY_TIME: Duration = Duration::from_secs(1);

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

/// Asks for a whole answer.
pub(super) async fn whole(
    upstream: &dyn Upstream,
    provider: &Provider,
    call: &Call,
    witness: &Witness,
) -> Result<Completion, AttemptFailure> {
    let request = request(provider, call, witness, false);
    let answer = async {
        let body = accepted(upstream.send(request).await?).await?;
        let body = collect(body).await?;
        openai::read_completion(&body).ok_or(AttemptFailure::Malformed)
    };
    call.deadline.within(Phase::Attempt, answer).await?
}

/// Asks which models there are. Costs nothing, and uses no model.
pub(super) async fn models(upstream: &dyn Upstream, provider: &Provider) -> Result<(), AttemptFailure> {
    let mut request = http::Request::new(Bytes::new());
    *request.uri_mut() = provider.models.clone();
    authorise(&mut request, provider);
    accepted(upstream.send(request).await?).await.map(drop)
}

/// The request of an attempt.
pub(super) fn request(provider: &Provider, call: &Call, witness: &Witness, stream: bool) -> http::Request<Bytes> {
    let body = openai::request_body(&provider.model, &call.prompt, stream);
    let mut request = http::Request::new(Bytes::from(body));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = provider.endpoint.clone();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let accept = if stream {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let forwarded = [
        ("x-request-id", Some(call.request_id.clone())),
        ("traceparent", witness.traceparent()),
    ];
    for (name, value) in forwarded {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    authorise(&mut request, provider);
    request
}

fn authorise(request: &mut http::Request<Bytes>, provider: &Provider) {
    if let Some(key) = &provider.api_key
        && let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()))
    {
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
}

/// The body of a good response, or what the bad one said.
pub(super) async fn accepted(response: http::Response<UpstreamBody>) -> Result<UpstreamBody, AttemptFailure> {
    if response.status().is_success() {
        return Ok(response.into_body());
    }
    let status = response.status();
    let retry_after = retry_after(response.headers());
    // Read to the end where that is quick, so that the connection can be used again.
    let body = Limited::new(response.into_body(), LONGEST_ERROR).collect();
    let body = match tokio::time::timeout(ERROR_BODY_TIME, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    Err(AttemptFailure::Status {
        status: status.as_u16(),
        retry_after,
        out_of_quota: status == StatusCode::TOO_MANY_REQUESTS && openai::is_out_of_quota(&body),
    })
}

async fn collect(body: UpstreamBody) -> Result<Bytes, AttemptFailure> {
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<UpstreamError>() => Err(AttemptFailure::Broken),
        Err(_) => Err(AttemptFailure::Malformed),
    }
}

/// `Retry-After` in seconds, fractions allowed (some providers write them). The date form is not read: it would need the
/// provider's clock to agree with ours.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
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

    #[test]
    fn retry_after_is_read_in_seconds_and_nonsense_is_none() {
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(text));
            retry_after(&headers)
        };
        assert_eq!(read("2"), Some(Duration::from_secs(2)));
        assert_eq!(read("0.5"), Some(Duration::from_millis(500)));
        for nonsense in ["-1", "soon", "", "NaN", "1e300"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
