//! The end of an instance over real sockets: who is let finish, who is told, who is cut.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its world up should fail at once"
)]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use brownout_service::{Clock, Ports, ServiceError, Settings, Stores, run, upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An instance on a socket.
struct Instance {
    address: SocketAddr,
    shutdown: CancellationToken,
    running: JoinHandle<Result<(), ServiceError>>,
}

impl Instance {
    async fn start(provider: SocketAddr, service: Value) -> Self {
        let mut keys =
            json!({ "providers": [{ "name": "a", "base_url": format!("http://{provider}"), "model": "m" }] });
        let keys = keys.as_object_mut().unwrap();
        keys.extend(service.as_object().unwrap().clone());
        let settings = Settings::from_map(keys.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let ports = Ports {
            listener,
            upstream: upstream::reqwest(&settings).unwrap(),
            stores: Stores::memory(&settings),
            clock: Clock::real(),
            seed: 7,
            shutdown: shutdown.clone(),
        };
        Self {
            address,
            shutdown,
            running: tokio::spawn(run(settings, ports)),
        }
    }

    /// Sends a request over a connection of its own, and hands the connection back.
    async fn send(&self, head: &str, body: &str) -> std::io::Result<TcpStream> {
        let mut connection = TcpStream::connect(self.address).await?;
        let text = format!(
            "{head} HTTP/1.1\r\nhost: service\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(text.as_bytes()).await?;
        Ok(connection)
    }

    /// Begins a streamed chat and reads until its first token is here.
    async fn stream(&self) -> (TcpStream, String) {
        let question = json!({ "messages": [{ "role": "user", "content": "hello" }] }).to_string();
        let mut connection = self.send("POST /chat/stream", &question).await.unwrap();
        let mut seen = String::new();
        while !seen.contains("event: delta") {
            let mut buffer = [0; 1024];
            let n = connection.read(&mut buffer).await.unwrap();
            assert!(n > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
        (connection, seen)
    }

    async fn streams(&self, number: usize) -> Vec<(TcpStream, String)> {
        futures::future::join_all((0..number).map(|_| self.stream())).await
    }

    async fn readiness(&self) -> std::io::Result<String> {
        let mut connection = self.send("GET /readyz", "").await?;
        let mut buffer = [0; 1024];
        let n = connection.read(&mut buffer).await?;
        Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
    }
}

/// What is left of a connection. A chunked answer that is complete ends with an empty chunk.
async fn rest((mut connection, mut seen): (TcpStream, String)) -> String {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = connection.read_to_end(&mut rest).await;
    seen.push_str(&String::from_utf8_lossy(&rest));
    seen
}

/// A provider whose streams send `words` words, one every `gap`.
async fn provider(words: usize, gap: Duration) -> SocketAddr {
    let frames = move || {
        let delta = |n: usize| json!({ "choices": [{ "delta": { "content": format!("w{n} ") } }] }).to_string();
        let ending = [
            json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }).to_string(),
            "[DONE]".to_owned(),
        ];
        let frames: Vec<String> = (0..words).map(delta).chain(ending).collect();
        let frames = futures::stream::iter(frames);
        Body::from_stream(futures::StreamExt::then(frames, move |frame| async move {
            tokio::time::sleep(gap).await;
            Ok::<_, std::io::Error>(format!("data: {frame}\n\n"))
        }))
    };
    let router = Router::new().route(
        "/v1/chat/completions",
        post(move || async move { ([("content-type", "text/event-stream")], frames()) }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum_serve(listener, router).await });
    address
}

async fn axum_serve(listener: TcpListener, router: Router) {
    loop {
        let (io, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let io = hyper_util::rt::TokioIo::new(io);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

fn is_complete(answer: &str) -> bool {
    answer.contains("event: done") && answer.ends_with("0\r\n\r\n")
}

#[tokio::test]
async fn streams_in_flight_are_finished_and_no_connection_is_taken_any_more() {
    let provider = provider(20, Duration::from_millis(20)).await;
    let instance = Instance::start(provider, json!({})).await;
    let streams = instance.streams(20).await;
    let mut idle = instance.send("GET /livez", "").await.unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    instance.shutdown.cancel();
    let answers = futures::future::join_all(streams.into_iter().map(rest)).await;
    assert!(answers.iter().all(|answer| is_complete(answer)), "{}", answers[0]);
    assert_eq!(
        idle.read(&mut buffer).await.unwrap(),
        0,
        "a kept-alive connection is closed"
    );
    assert!(instance.readiness().await.is_err());
    instance.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_naive_instance_cuts_every_stream() {
    let provider = provider(500, Duration::from_millis(20)).await;
    let instance = Instance::start(provider, json!({ "preset": "naive" })).await;
    let streams = instance.streams(20).await;
    let began = Instant::now();
    instance.shutdown.cancel();
    let answers = futures::future::join_all(streams.into_iter().map(rest)).await;
    assert!(
        answers.iter().all(|answer| !answer.ends_with("0\r\n\r\n")),
        "{}",
        answers[0]
    );
    instance.running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stream_that_outlasts_the_grace_is_told_that_it_is_not_complete() {
    let provider = provider(500, Duration::from_millis(20)).await;
    let instance = Instance::start(provider, json!({ "shutdown_grace": "300ms" })).await;
    let streams = instance.streams(20).await;
    let began = Instant::now();
    instance.shutdown.cancel();
    let answers = futures::future::join_all(streams.into_iter().map(rest)).await;
    for answer in answers {
        assert!(
            answer.contains("event: error") && answer.contains("shutting-down"),
            "{answer}"
        );
        assert!(!answer.contains("event: done"), "{answer}");
    }
    instance.running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn readiness_turns_before_the_door_closes() {
    let provider = provider(1, Duration::from_millis(1)).await;
    let instance = Instance::start(provider, json!({ "drain_delay": "400ms" })).await;
    assert!(instance.readiness().await.unwrap().starts_with("HTTP/1.1 200"));
    instance.shutdown.cancel();
    let draining = instance.readiness().await.unwrap();
    assert!(draining.starts_with("HTTP/1.1 503"), "{draining}");
    let late = rest(instance.stream().await).await;
    assert!(late.contains("event: done"), "{late}");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(instance.readiness().await.is_err());
    instance.running.await.unwrap().unwrap();
}
