//! A provider of our own to record, and a recorder in front of it, over TCP.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brownout_net::{Network, RunClock, serve};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Caller;
use crate::tape::{Recorder, Running};

/// What the provider leaves between two events of a stream.
pub(super) const GAP: Duration = Duration::from_millis(30);

/// The body of a long answer, in bytes: above the bound of a tape.
pub(super) const LONG: usize = 66 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What the provider's requests and the test share.
#[derive(Debug)]
pub(super) struct Stage {
    /// Requests as they came: method and target, then headers, then the body.
    pub(super) seen: Mutex<Vec<(String, http::HeaderMap, String)>>,
    /// A permit for each event of a stream after the first.
    pub(super) events: Semaphore,
    /// A permit for each body that was dropped.
    pub(super) dropped: Semaphore,
}

/// A provider, a recorder in front of it, and a tape.
pub(super) struct Studio {
    pub(super) network: Network,
    pub(super) stage: Arc<Stage>,
    pub(super) recorder: Running,
    pub(super) tape: PathBuf,
    /// Where the provider listens.
    pub(super) provider: String,
    _provider: DropGuard,
    _folder: TempDir,
}

impl Studio {
    pub(super) fn open() -> Self {
        let network = Network::tcp();
        let stage = Arc::new(Stage {
            seen: Mutex::default(),
            events: Semaphore::new(0),
            dropped: Semaphore::new(0),
        });
        let listener = network.listen("").unwrap();
        let provider = listener.authority().to_owned();
        let shutdown = CancellationToken::new();
        let service = {
            let stage = Arc::clone(&stage);
            service_fn(move |request| answer(Arc::clone(&stage), request))
        };
        tokio::spawn(serve(listener, service, shutdown.clone(), Duration::ZERO));
        let folder = tempfile::tempdir().unwrap();
        let tape = folder.path().join("day.tape");
        let upstream = format!("http://{provider}").parse().unwrap();
        let recorder = Recorder::start(
            upstream,
            &tape,
            network.listen("").unwrap(),
            RunClock::start(),
            &CancellationToken::new(),
        );
        Self {
            recorder: recorder.unwrap(),
            network,
            stage,
            tape,
            provider,
            _provider: shutdown.drop_guard(),
            _folder: folder,
        }
    }

    /// A caller of the recorder.
    pub(super) async fn caller(&self) -> Caller {
        Caller::connect(&self.network, &self.recorder.authority).await
    }

    /// The exchanges on the tape, as they stand there.
    pub(super) fn stored(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.tape).unwrap();
        let lines = text.lines().skip(1);
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until the recorder has stored `count` exchanges.
    pub(super) async fn has_stored(&self, count: u64) {
        while self.recorder.exchanges() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Says that it was dropped.
struct Dropped(Arc<Stage>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.add_permits(1);
    }
}

async fn answer(stage: Arc<Stage>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let path = head.uri.path().to_owned();
    let key = head
        .headers
        .get("authorization")
        .map(|key| key.to_str().unwrap().to_owned());
    let query = head.uri.query().unwrap_or_default().to_owned();
    let line = format!("{} {}", head.method, head.uri);
    stage.seen.lock().unwrap().push((line, head.headers, body.clone()));
    let response = Response::builder()
        .header("x-request-id", "req_1")
        .header("x-multiple", "one")
        .header("x-multiple", "two");
    let response = match path.as_str() {
        "/v1/unary" => response
            .header("content-type", "application/json")
            .body(whole(json!({"said": body, "no": "ünïcode"}).to_string())),
        "/v1/limited" => response
            .status(429)
            .header("retry-after", "2")
            .header("x-ratelimit-remaining-requests", "0")
            .body(whole(r#"{"error":{"message":"slow down"}}"#)),
        "/v1/echo" => {
            // The key, cut in the middle, and in headers.
            let said = format!("your key is {} and {query}.", key.unwrap_or_default());
            let (first, second) = said.split_at(30);
            let pieces = [first.to_owned(), second.to_owned()];
            response
                .header("x-your-query", &query)
                .header("set-cookie", "session=cookie-of-the-day; Path=/")
                .header("openai-organization", "org-of-the-day")
                .body(events(&stage, stream::iter(pieces.map(Ok))))
        }
        "/v1/stream" | "/v1/breaks" => {
            let texts = [
                Ok("data: 1\n\n"),
                Ok("data: 2\n\n"),
                if path == "/v1/breaks" {
                    Err(io::ErrorKind::BrokenPipe.into())
                } else {
                    Ok("data: [DONE]\n\n")
                },
            ];
            let texts = texts.map(|text| text.map(str::to_owned));
            response
                .header("content-type", "text/event-stream")
                .body(events(&stage, stream::iter(texts)))
        }
        "/v1/long" => response.body(whole("x".repeat(LONG))),
        _ => response.status(404).body(whole("")),
    };
    Ok(response.unwrap())
}

fn whole(text: impl Into<Bytes>) -> Body {
    UnsyncBoxBody::new(Full::new(text.into()).map_err(|never| match never {}))
}

/// Each event but the first waits for its permit, and then for the gap.
fn events(stage: &Arc<Stage>, texts: impl Stream<Item = io::Result<String>> + Send + 'static) -> Body {
    let dropped = Dropped(Arc::clone(stage));
    let paced = texts.enumerate().then(move |(index, text)| {
        let stage = Arc::clone(&dropped.0);
        async move {
            if index > 0 {
                stage.events.acquire().await.unwrap().forget();
                tokio::time::sleep(GAP).await;
            }
            text.map(|text| Frame::data(Bytes::from(text)))
        }
    });
    UnsyncBoxBody::new(StreamBody::new(paced))
}
