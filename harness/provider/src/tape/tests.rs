//! Tests of recorder and player over a network: the caller that all share, and its view of an answer.

mod recording;
mod replay;
mod secrecy;
mod studio;

use brownout_net::{Network, RunClock};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::task::JoinHandle;

/// One connection to a recorder, a player or an upstream.
pub(super) struct Caller {
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
    authority: String,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// An answer, as it comes.
pub(super) struct Hearing {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    clock: RunClock,
    head_at_us: u64,
    body: Incoming,
}

/// An answer, heard to its end. Times count from the sending of the request.
#[derive(Debug, PartialEq)]
pub(super) struct Heard {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) head_at_us: u64,
    pub(super) pieces: Vec<(u64, Bytes)>,
    pub(super) ended_at_us: u64,
    pub(super) is_broken: bool,
}

impl Caller {
    pub(super) async fn connect(network: &Network, authority: &str) -> Self {
        let stream = network.connect(authority).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        Self {
            sender,
            connection: tokio::spawn(async move {
                let _ = connection.await;
            }),
            authority: authority.to_owned(),
            headers: vec![("accept-encoding", "gzip, br".to_owned())],
        }
    }

    pub(super) async fn ask(&mut self, path: &str, body: &str) -> Hearing {
        let mut request = Request::builder()
            .method(if body.is_empty() { Method::GET } else { Method::POST })
            .uri(path)
            .header("host", &self.authority);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        self.sender.ready().await.unwrap();
        let clock = RunClock::start();
        let response = self.sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        Hearing {
            status: head.status,
            headers: head.headers,
            clock,
            head_at_us: clock.now_us(),
            body,
        }
    }

    pub(super) async fn hear(&mut self, path: &str, body: &str) -> Heard {
        self.ask(path, body).await.heard_out().await
    }

    /// Leaves at once, whatever is under way.
    pub(super) async fn hang_up(self) {
        self.connection.abort();
        let _ = self.connection.await;
    }
}

impl Hearing {
    /// The next piece; `None` at a clean end, an error at any other.
    pub(super) async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        let frame = self.body.frame().await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    pub(super) async fn heard_out(mut self) -> Heard {
        let (mut pieces, mut is_broken) = (Vec::new(), false);
        while let Some(piece) = self.piece().await {
            let Ok(bytes) = piece else {
                is_broken = true;
                break;
            };
            pieces.push((self.clock.now_us(), bytes));
        }
        Heard {
            status: self.status,
            headers: self.headers,
            head_at_us: self.head_at_us,
            pieces,
            ended_at_us: self.clock.now_us(),
            is_broken,
        }
    }
}

impl Heard {
    pub(super) fn text(&self) -> String {
        let bytes: Vec<u8> = self.pieces.iter().flat_map(|(_, bytes)| bytes.to_vec()).collect();
        String::from_utf8(bytes).unwrap()
    }

    /// Type and message of an error of our own.
    pub(super) fn error(&self) -> (String, String) {
        let body: Value = serde_json::from_str(&self.text()).unwrap();
        let field = |name: &str| body["error"][name].as_str().unwrap().to_owned();
        (field("type"), field("message"))
    }
}
