//! One attempt at one provider: the request, and the answer that comes whole.
//!
//! Does not decide what follows a failure; that is [`crate::resilience::course`]'s.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::{BodyExt, Limited};
use secrecy::ExposeSecret;

use super::call::Call;
use super::failure::AttemptFailure;
use super::openai::{self, Completion};
use super::provider::Provider;
use super::witness::Witness;
use super::{Upstream, UpstreamBody, UpstreamError, refusal};
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
    let request = request(provider, call, witness, Form::Whole);
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

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// All at once.
    Whole,
    /// Piece by piece, from the beginning.
    Stream,
    /// Piece by piece, from where the client's part of it ends.
    Rest,
}

/// The request of an attempt.
pub(super) fn request(provider: &Provider, call: &Call, witness: &Witness, form: Form) -> http::Request<Bytes> {
    let stream = form != Form::Whole;
    let begun = (form == Form::Rest).then(|| openai::Beginning {
        text: &call.begun.text,
        max_tokens: call.tokens_left(),
    });
    let body = openai::request_body(&provider.model, &call.prompt, stream, begun);
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

pub(super) fn authorise(request: &mut http::Request<Bytes>, provider: &Provider) {
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
    let (head, body) = response.into_parts();
    // Read to the end where that is quick, so that the connection can be used again.
    let body = Limited::new(body, LONGEST_ERROR).collect();
    let body = match tokio::time::timeout(ERROR_BODY_TIME, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    };
    Err(refusal::read(head.status.as_u16(), &head.headers, &body))
}

async fn collect(body: UpstreamBody) -> Result<Bytes, AttemptFailure> {
    match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<UpstreamError>() => Err(AttemptFailure::Broken),
        Err(_) => Err(AttemptFailure::Malformed),
    }
}
