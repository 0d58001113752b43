//! Embeddings: OpenAI's wire format for them, and one attempt at a call that carries several inputs.
//!
//! Does not decide which inputs go together, nor what follows a failure. Source: the OpenAI API reference, "Embeddings".

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::attempt::{LONGEST_BODY, accepted, authorise};
use super::circuit::Admission;
use super::openai::Usage;
use super::provider::Provider;
use super::{AttemptFailure, Upstream, UpstreamError};
use crate::resilience::deadline::{Deadline, Phase};
use crate::telemetry::{Metrics, Trace};

/// A call on its way: what is to be embedded, by whom, for whom, and until when.
#[derive(Clone, Copy)]
pub(crate) struct EmbeddingCall<'a> {
    /// Place in the settings' list of providers.
    pub(crate) provider: usize,
    pub(crate) inputs: &'a [String],
    pub(crate) dimensions: Option<u32>,
    /// In whose name it is made: that of the first input.
    pub(crate) request_id: &'a str,
    pub(crate) trace: &'a Trace,
    /// Whether all inputs are of that request; else the provider is not told of any.
    pub(crate) alone: bool,
    pub(crate) deadline: Deadline,
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbeddingAnswer {
    /// One for each input, in their order.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// Of all inputs together.
    pub(crate) prompt_tokens: u64,
    /// The model that answered.
    pub(crate) model: String,
}

/// Asks once.
pub(super) async fn vectors(
    upstream: &dyn Upstream,
    provider: &Provider,
    call: EmbeddingCall<'_>,
) -> Result<EmbeddingAnswer, AttemptFailure> {
    let request = request(provider, call);
    let answer = async {
        let body = accepted(upstream.send(request).await?).await?;
        let body = match Limited::new(body, LONGEST_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<UpstreamError>() => return Err(AttemptFailure::Broken),
            Err(_) => return Err(AttemptFailure::Malformed),
        };
        read(&body, call.inputs.len()).ok_or(AttemptFailure::Malformed)
    };
    call.deadline.within(Phase::Attempt, answer).await?
}

fn request(provider: &Provider, call: EmbeddingCall<'_>) -> http::Request<Bytes> {
    #[derive(Serialize)]
    struct Body<'a> {
        model: &'a str,
        input: &'a [String],
        encoding_format: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        dimensions: Option<u32>,
    }
    let body = Body {
        model: &provider.model,
        input: call.inputs,
        encoding_format: "float",
        dimensions: call.dimensions,
    };
    let body = serde_json::to_vec(&body).unwrap_or_default();
    let mut request = http::Request::new(Bytes::from(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = provider.embeddings.clone();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if call.alone {
        let forwarded = [
            ("x-request-id", call.request_id.to_owned()),
            ("traceparent", call.trace.parent().to_string()),
        ];
        for (name, value) in forwarded {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
    }
    authorise(&mut request, provider);
    request
}

/// Reads an answer to `inputs` inputs; `None` unless it has one vector for each.
fn read(body: &[u8], inputs: usize) -> Option<EmbeddingAnswer> {
    #[derive(Deserialize)]
    struct Body {
        data: Vec<Entry>,
        model: String,
        usage: Tokens,
    }
    #[derive(Deserialize)]
    struct Entry {
        index: usize,
        embedding: Vec<f32>,
    }
    #[derive(Deserialize)]
    struct Tokens {
        prompt_tokens: u64,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let mut vectors = vec![Vec::new(); inputs];
    for Entry { index, embedding } in body.data {
        let place = vectors.get_mut(index).filter(|place| place.is_empty())?;
        *place = embedding;
    }
    vectors
        .iter()
        .all(|vector| !vector.is_empty())
        .then_some(EmbeddingAnswer {
            vectors,
            prompt_tokens: body.usage.prompt_tokens,
            model: body.model,
        })
}

/// Sees one call to its end: counts it, measures it, and tells the breaker. Each request whose inputs it carries has a span
/// of its own.
pub(super) struct Visit<'a> {
    metrics: &'a Metrics,
    provider: &'a Provider,
    admission: Admission,
    began: Instant,
    outcome: &'static str,
}

impl<'a> Visit<'a> {
    pub(super) fn begin(metrics: &'a Metrics, provider: &'a Provider, admission: Admission) -> Self {
        Self {
            metrics,
            provider,
            admission,
            began: Instant::now(),
            outcome: "cancelled",
        }
    }

    pub(super) fn ended(&mut self, result: &Result<EmbeddingAnswer, AttemptFailure>) {
        match result {
            Ok(vectors) => {
                self.outcome = "ok";
                self.admission.succeeded();
                let usage = Usage {
                    prompt_tokens: vectors.prompt_tokens,
                    completion_tokens: 0,
                };
                self.metrics.used(&self.provider.model, usage);
            }
            Err(failure) => {
                self.outcome = failure.outcome();
                self.admission.failed(failure);
            }
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.metrics
            .attempt(&self.provider.name, self.outcome, self.began.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_put_in_the_place_that_they_name_and_none_may_be_missing_or_there_twice() {
        let answer = |data: &str| {
            let body = format!(
                r#"{{"object":"list","data":[{data}],"model":"m","usage":{{"prompt_tokens":7,"total_tokens":7}}}}"#
            );
            read(body.as_bytes(), 2).map(|read| read.vectors)
        };
        let [first, second] = [r#"{"index":0,"embedding":[1.0]}"#, r#"{"index":1,"embedding":[2.5]}"#];
        let expected = Some(vec![vec![1.0], vec![2.5]]);
        assert_eq!(answer(&format!("{first},{second}")), expected);
        assert_eq!(answer(&format!("{second},{first}")), expected);
        for bad in [
            first.to_owned(),
            format!("{first},{first}"),
            format!(r#"{first},{{"index":2,"embedding":[1.0]}}"#),
            format!(r#"{first},{{"index":1,"embedding":[]}}"#),
        ] {
            assert_eq!(answer(&bad), None, "{bad}");
        }
    }
}
