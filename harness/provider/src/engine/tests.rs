//! Tests of the engines over a network, and the small client that they share.

mod accounting;
mod conformance;
mod determinism;
mod embeddings;
mod limits;
mod load;
mod pacing;
mod refusals;

use brownout_net::{Network, RunClock};
use brownout_scenario::observe::LedgerRow;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use brownout_scenario::tracer;
use brownout_scenario::units::PromptId;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Provider;

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// What the OpenAI dialect reads at most.
pub(crate) const MAX_BODY: usize = 32 << 20;

/// One connection to a provider, with a key.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
    authority: String,
}

/// An answer, read to its end.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) async fn connect(network: &Network, authority: &str) -> Self {
        let stream = network.connect(authority).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        Self {
            sender,
            connection: tokio::spawn(async move {
                let _ = connection.await;
            }),
            authority: authority.to_owned(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path, "");
        read(self.send(request).await).await
    }

    pub(crate) async fn post(&mut self, body: &str) -> Answer {
        let request = self.request(Method::POST, CHAT, body);
        read(self.send(request).await).await
    }

    pub(crate) fn request(&self, method: Method, path: &str, body: &str) -> Request<Full<Bytes>> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("authorization", "Bearer sk-test")
            .header("x-goog-api-key", "sk-test")
            .header("anthropic-version", "2023-06-01")
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap()
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        self.sender.ready().await.unwrap();
        self.sender.send_request(request).await.unwrap()
    }

    /// Leaves at once, whatever is under way.
    pub(crate) async fn hang_up(self) {
        self.connection.abort();
        let _ = self.connection.await;
        settle().await;
    }
}

pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        text: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
    }
}

/// Lets the other tasks run until they wait, without letting virtual time pass.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A chat request of 10 prompt tokens.
pub(crate) fn chat(prompt: u64, more: &str) -> String {
    let content = tracer::prompt_text(PromptId(prompt), 10);
    format!(r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{content}"}}]{more}}}"#)
}

pub(crate) const STREAM: &str = r#","stream":true"#;

/// A provider on the streaming engine, on a network of its own in memory.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) clock: RunClock,
    network: Network,
    _shutdown: CancellationToken,
}

impl World {
    pub(crate) fn of(plan: ProviderPlan) -> Self {
        let network = Network::memory();
        let listener = network.listen("provider.test").unwrap();
        let clock = RunClock::start();
        let shutdown = CancellationToken::new();
        Self {
            provider: Provider::start_streaming(plan, SeedTree::new(7), clock, listener, &shutdown),
            clock,
            network,
            _shutdown: shutdown,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.network, &self.provider.authority).await
    }

    /// The only row there is.
    pub(crate) fn row(&self) -> LedgerRow {
        let mut rows = self.provider.ledger.rows();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }

    pub(crate) async fn sleep_until_ms(&self, ms: u64) {
        self.clock.sleep_until(ms * 1_000).await;
    }
}
