//! One attempt at one provider: the request, and the answer that comes whole.
//!
//! Does not decide what follows a failure; that is [`crate::resilience::course`]'s.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use secrecy::ExposeSecret;

use super::call::Call;
use super::failure::AttemptFailure;
use super::openai::{self, Completion};
use super::provider::Provider;
use super::witness::Witness;
use super::{Upstream, UpstreamBody, UpstreamError};
use crate::resilience::deadline::Phase;

/// Longest body that is read, in bytes. An answer of a model is far shorter.
pub(super) const LONGEST_BODY: usize = 16 << 20;
/// Longest error body that is read, in bytes.
const LONGEST_ERROR: usize = 64 << 10;
/// How long the body of an error may take. It is only a hint.
const ERROR_BODY_TIME: Duration = Duration::from_secs(1);

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
