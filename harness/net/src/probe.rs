//! One question after the health of whoever listens: a connection of its own, a request, a status.
//!
//! Does not judge, repeat or time itself: whoever asks gives up by dropping the question.

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::network::Network;

/// Bytes of an answer that are read; a longer one is none.
const LONGEST_ANSWER: usize = 64 * 1_024;

/// The status of a complete answer to `GET path`; `None` where there is no connection, or no answer to its end.
pub async fn status(network: &Network, authority: &str, path: &str) -> Option<StatusCode> {
    let stream = network.connect(authority).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let converse = async {
        let response = sender.send_request(request(authority, path)?).await.ok()?;
        let status = response.status();
        Limited::new(response, LONGEST_ANSWER).collect().await.ok()?;
        Some(status)
    };
    let drive = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = drive => None,
        answer = converse => answer,
    }
}

/// `None` where the path or the authority cannot stand in a request.
fn request(authority: &str, path: &str) -> Option<Request<Empty<Bytes>>> {
    Request::get(path)
        .header(HOST, authority)
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .ok()
}
