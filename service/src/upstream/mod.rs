//! The way to the model providers.
//!
//! - [`Upstream`]: one narrow trait, a request out and a response in. What a test fakes and a harness decorates.
//! - [`reqwest()`]: what a team would ship (TLS, pools); [`over_connector`]: the same protocol over any connector.
//! - `openai`: the wire format, and nothing but the wire format.
//! - `embeddings`: the wire format and one attempt for texts that become vectors.
//! - `estimate`: how many tokens a text may come to.
//! - `call`: a question on its way; `provider`: whom it can be put to.
//! - `attempt`, `stream`: one attempt at one provider, whole or streamed; `failure`: how it can fail; `witness`: what is
//!   told about it; `refusal` and `retry_after`: what an error says. `circuit`: the breaker that every attempt passes.
//! - `client`: the attempts of one call.
//!
//! Neither implementation retries, follows redirects or reads proxies from the environment: hidden attempts can't be
//! counted, limited or paid for knowingly.

mod attempt;
mod call;
mod circuit;
mod client;
mod connector;
mod embeddings;
pub(crate) mod estimate;
mod failure;
mod openai;
mod provider;
mod refusal;
mod reqwest;
mod retry_after;
mod stream;
mod witness;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;

pub(crate) use self::call::{Begun, Call, Prompt};
pub(crate) use self::client::ModelClient;
pub use self::connector::{ConnectTimeout, ConnectWithin, connect_within, over_connector};
pub(crate) use self::embeddings::EmbeddingCall;
pub use self::failure::{AttemptFailure, Reason};
pub(crate) use self::openai::Options;
pub use self::openai::{Completion, Message, Role, Usage};
pub use self::reqwest::reqwest;
pub(crate) use self::retry_after::of as retry_after;
pub(crate) use self::stream::{AnswerStream, Piece, StreamEnd};

/// A response body: bytes as they arrive.
pub type UpstreamBody = UnsyncBoxBody<Bytes, UpstreamError>;

/// Sends a request and returns as soon as the response's headers are in. Dropping the future or the body gives the
/// request up: the connection closes and the provider can see it.
#[async_trait]
pub trait Upstream: Send + Sync {
    /// Sends `request`, whose URI is absolute, once.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<UpstreamBody>, UpstreamError>;
}

/// A request did not come to a complete response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection: nothing was sent, so nothing is billed.
    #[error("no connection to the provider: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No connection within `deadline.connect`.
    #[error("no connection to the provider within the connect deadline")]
    ConnectTimeout,
    /// The connection broke while the request or the response was on it.
    #[error("the connection to the provider broke: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The client for real deployments could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct UpstreamSetupError(#[from] ::reqwest::Error);
