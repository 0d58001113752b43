//! Clients of one connection, which they can give up.

use std::error::Error;
use std::io;

use brownout_net::Network;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio_util::task::AbortOnDropHandle;

/// Dropping it closes its connection.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    pub(crate) async fn to(network: &Network, authority: &str) -> Self {
        let stream = network.connect(authority).await.expect("a listener");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            sender,
            _connection: AbortOnDropHandle::new(connection),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<Response<Incoming>> {
        self.send("GET", path, "").await
    }

    pub(crate) async fn send(&mut self, method: &str, path: &str, body: &str) -> hyper::Result<Response<Incoming>> {
        let request = Request::builder().method(method).uri(path).header("host", "somewhere");
        let request = request.body(Full::from(body.to_owned()));
        self.sender.send_request(request.expect("a sound request")).await
    }

    /// Status, text and whether the body was complete.
    pub(crate) async fn fetch(&mut self, path: &str) -> (StatusCode, String, bool) {
        let response = self.get(path).await.expect("a response");
        let status = response.status();
        let (text, end) = read(response).await;
        (status, text, end.is_ok())
    }
}

/// A client that speaks HTTP/2 without asking. Dropping it closes its connection.
pub(crate) struct Http2Client {
    sender: http2::SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<()>,
}

impl Http2Client {
    pub(crate) async fn to(network: &Network, authority: &str) -> Self {
        let stream = network.connect(authority).await.expect("a listener");
        let io = TokioIo::new(stream);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.expect("a connection");
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            sender,
            _connection: AbortOnDropHandle::new(connection),
        }
    }

    /// Requests of one client run side by side.
    pub(crate) fn get(&self, path: &str) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        let request = Request::get(format!("http://somewhere{path}")).body(Full::default());
        self.sender.clone().send_request(request.expect("a sound request"))
    }
}

/// The text that arrived, and how it ended.
pub(crate) async fn read(response: Response<Incoming>) -> (String, hyper::Result<()>) {
    let (mut body, mut text) = (response.into_body(), String::new());
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => {
                let data = frame.into_data().unwrap_or_default();
                text.push_str(str::from_utf8(&data).expect("text"));
            }
            Err(error) => return (text, Err(error)),
        }
    }
    (text, Ok(()))
}

/// What the transport said, if it was the transport.
pub(crate) fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        source = cause.source();
    }
    None
}
