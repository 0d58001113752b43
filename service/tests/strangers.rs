//! Strangers at the door: what requests with wrong keys cost those whose keys are right.
//!
//! An unoptimised build is asked for less: on its own it needs most of a processor for ten thousand refusals.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its world up should fail at once"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use brownout_service::settings::Digest;
use brownout_service::upstream::{UpstreamBody, UpstreamError};
use brownout_service::{Clock, Ports, Settings, Stores, Upstream, run};
use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a model takes.
const MODEL: Duration = Duration::from_millis(300);
/// Requests with wrong keys.
const STRANGERS: usize = if cfg!(debug_assertions) { 1_000 } else { 10_000 };
/// Requests with the right key.
const GUESTS: usize = 260;
/// Of these, at a time.
const AT_A_TIME: usize = 20;
/// How often the measurement may be repeated on a machine that has other things to do.
const TRIES: usize = 5;

/// A model that always takes as long.
struct Model;

#[async_trait]
impl Upstream for Model {
    async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<UpstreamBody>, UpstreamError> {
        tokio::time::sleep(MODEL).await;
        let message = json!({ "role": "assistant", "content": "one two" });
        let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2 });
        let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
        let answer = json!({ "model": "m", "choices": choices, "usage": usage }).to_string();
        let body = Full::new(Bytes::from(answer)).map_err(|never| match never {});
        Ok(http::Response::new(body.boxed_unsync()))
    }
}

async fn service() -> SocketAddr {
    let keys: Vec<_> = (0..100)
        .map(|n| json!({ "name": format!("k{n}"), "sha256": Digest::of(format!("right-key-{n}").as_bytes()).to_hex() }))
        .collect();
    let settings = json!({
        "auth": "required", "keys": keys,
        "providers": [{ "name": "a", "base_url": "http://a", "model": "m" }],
    });
    let settings = Settings::from_map(settings.as_object().unwrap().clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ports = Ports {
        listener,
        upstream: Arc::new(Model),
        stores: Stores::memory(&settings),
        clock: Clock::real(),
        seed: 7,
        shutdown: CancellationToken::new(),
    };
    tokio::spawn(run(settings, ports));
    address
}

async fn connect(address: SocketAddr) -> SendRequest<Full<Bytes>> {
    let connection = TcpStream::connect(address).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(connection)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, key: &str) -> u16 {
    let question = json!({ "messages": [{ "role": "user", "content": "hello" }] }).to_string();
    let request = http::Request::post("/chat")
        .header("host", "service")
        .header("authorization", format!("Bearer {key}"))
        .body(Full::new(Bytes::from(question)))
        .unwrap();
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status().as_u16();
    response.into_body().collect().await.unwrap();
    status
}

/// The 99th percentile of what guests wait.
async fn guests(address: SocketAddr) -> Duration {
    let each = GUESTS / AT_A_TIME;
    let guests = (0..AT_A_TIME).map(|guest| async move {
        let mut sender = connect(address).await;
        let mut waits = Vec::with_capacity(each);
        for n in 0..each {
            let began = Instant::now();
            assert_eq!(ask(&mut sender, &format!("right-key-{}", (guest + n) % 100)).await, 200);
            waits.push(began.elapsed());
        }
        waits
    });
    let mut waits = futures::future::join_all(guests).await.concat();
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

/// The strangers come at an even pace for as long as the guests are there, over connections that they keep.
async fn strangers(address: SocketAddr) {
    let pause = MODEL * (GUESTS / AT_A_TIME) as u32 / (STRANGERS / 10) as u32;
    let crowd = futures::stream::iter(0..10).map(|stranger| async move {
        let mut sender = connect(address).await;
        let mut pace = tokio::time::interval(pause);
        for n in 0..STRANGERS / 10 {
            pace.tick().await;
            // A refusal may close the connection: the body was not read.
            if sender.is_closed() {
                sender = connect(address).await;
            }
            assert_eq!(ask(&mut sender, &format!("wrong-key-{stranger}-{n}")).await, 401);
        }
    });
    crowd.buffer_unordered(10).for_each(|()| async {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_keys_do_not_make_the_right_ones_wait() {
    let address = service().await;
    let mut said = Vec::new();
    for _ in 0..TRIES {
        let alone = guests(address).await;
        let (among, ()) = tokio::join!(guests(address), strangers(address));
        said.push(format!(
            "p99 {alone:.1?} alone, {among:.1?} among {STRANGERS} strangers"
        ));
        if among.as_secs_f64() <= alone.as_secs_f64() * 1.1 {
            eprintln!("{}", said.join("; "));
            return;
        }
    }
    panic!("{}", said.join("; "));
}
