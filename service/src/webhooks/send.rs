//! One try to tell an outcome. Whether there is another one is decided elsewhere.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use super::{AllowedHost, SigningKey, WebhookRefused, WebhookSettings, allowed};
use crate::clock::Clock;
use crate::upstream::{Upstream, retry_after};

/// What is told.
pub(crate) struct Message<'a> {
    /// Names the outcome: the same in every try, so that a receiver can tell a second one.
    pub(crate) id: &'a str,
    pub(crate) url: &'a str,
    pub(crate) body: String,
    pub(crate) traceparent: Option<String>,
}

/// Why an outcome was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DeliveryFailure {
    /// The settings do not allow the address (any more), or there is nothing to sign with.
    #[error("the address may not be told: {0}")]
    Refused(#[from] WebhookRefused),
    /// The receiver wants no more.
    #[error("the receiver is gone for good (410)")]
    Gone,
    /// It answered anything but yes. A redirect is no yes: where it leads was not allowed.
    #[error("the receiver answered {status}")]
    Status {
        status: u16,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// It could not be reached, or the connection broke.
    #[error("the receiver could not be reached")]
    Unreachable,
    /// It took too long.
    #[error("the receiver did not answer in time")]
    TimedOut,
}

impl DeliveryFailure {
    /// Whether another try makes sense.
    pub(crate) const fn may_pass(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Gone)
    }

    /// How long the receiver asked to wait.
    pub(crate) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => retry_after,
            _ => None,
        }
    }

    /// A word for spans and metrics.
    pub(crate) const fn outcome(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Gone => "gone",
            Self::Status { .. } => "bad_status",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timeout",
        }
    }
}

/// Tells outcomes.
pub(crate) struct Sender {
    upstream: Arc<dyn Upstream>,
    hosts: Vec<AllowedHost>,
    key: Option<SigningKey>,
    timeout: Duration,
    clock: Clock,
}

impl Sender {
    pub(crate) fn new(settings: &WebhookSettings, upstream: Arc<dyn Upstream>, clock: Clock) -> Self {
        Self {
            upstream,
            hosts: settings.hosts.clone(),
            key: SigningKey::read(settings.secret.as_ref()).ok(),
            timeout: settings.timeout,
            clock,
        }
    }

    /// Whether `url` may be told.
    pub(crate) fn check(&self, url: &str) -> Result<(), WebhookRefused> {
        allowed(&self.hosts, url).map(drop)
    }

    /// Tells `message` once. Redirects are not followed.
    pub(crate) async fn send(&self, message: Message<'_>) -> Result<(), DeliveryFailure> {
        let uri = allowed(&self.hosts, message.url)?;
        let key = self.key.as_ref().ok_or(WebhookRefused::Off)?;
        let request = self.request(key, uri, message);
        match self.clock.timeout(self.timeout, self.upstream.send(request)).await {
            Ok(Ok(response)) => judge(&response),
            Ok(Err(_)) => Err(DeliveryFailure::Unreachable),
            Err(_) => Err(DeliveryFailure::TimedOut),
        }
    }

    fn request(&self, key: &SigningKey, uri: Uri, message: Message<'_>) -> Request<Bytes> {
        let timestamp = self.clock.now_unix_us() / 1_000_000;
        let headers = [
            ("webhook-id", Some(message.id.to_owned())),
            ("webhook-timestamp", Some(timestamp.to_string())),
            (
                "webhook-signature",
                Some(key.sign(message.id, timestamp, message.body.as_bytes())),
            ),
            ("traceparent", message.traceparent),
        ];
        let mut request = Request::new(Bytes::from(message.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        for (name, value) in headers {
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        request
    }
}

fn judge<B>(response: &http::Response<B>) -> Result<(), DeliveryFailure> {
    match response.status() {
        status if status.is_success() => Ok(()),
        StatusCode::GONE => Err(DeliveryFailure::Gone),
        status => Err(DeliveryFailure::Status {
            status: status.as_u16(),
            retry_after: retry_after(response.headers()),
        }),
    }
}
