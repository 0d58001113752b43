//! Clients that leave, or take nothing any more, over real sockets and on the real clock: the provider is left as well.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot set its world up should fail at once; one that measures says what"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use brownout_service::upstream::reqwest;
use brownout_service::{Clock, Ports, Settings, Stores, run};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How soon the provider has to see that the client has left.
const SOON: Duration = Duration::from_millis(50);
/// Tries at each phase. Another program may have the processor during one of them, hardly during all.
const TRIES: usize = 5;

/// What the provider does with every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It thinks.
    Silent,
    /// It sends a small piece every few milliseconds.
    Streams,
    /// It sends large pieces as fast as they are taken.
    Pours,
    /// It is busy: come back in 200 ms.
    Refuses,
}

/// A provider that says when it was asked, and when it was left.
struct Provider {
    address: SocketAddr,
    asked: Arc<AtomicU32>,
    left: mpsc::UnboundedReceiver<Instant>,
    _listening: AbortOnDropHandle<()>,
}

impl Provider {
    async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, left) = mpsc::unbounded_channel();
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let listening = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (sender, count) = (sender.clone(), Arc::clone(&count));
                tokio::spawn(async move {
                    attend(connection, manner, &count).await;
                    let _ = sender.send(Instant::now());
                });
            }
        });
        Self {
            address,
            asked,
            left,
            _listening: AbortOnDropHandle::new(listening),
        }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    async fn until_asked(&self, times: u32) {
        let waiting = async {
            while self.asked() < times {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(10), waiting).await.unwrap();
    }
}

/// Attends to a connection until its other end leaves.
async fn attend(mut connection: TcpStream, manner: Manner, asked: &AtomicU32) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match connection.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
        match manner {
            Manner::Silent => {}
            Manner::Refuses => {
                let refusal = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 0.2\r\ncontent-length: 0\r\n\r\n";
                if connection.write_all(refusal.as_bytes()).await.is_err() {
                    return;
                }
            }
            Manner::Streams => return stream(connection, 5, Duration::from_millis(5)).await,
            Manner::Pours => return stream(connection, 16 << 10, Duration::ZERO).await,
        }
    }
}

async fn stream(mut connection: TcpStream, size: usize, pause: Duration) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    let delta = json!({ "model": "m", "choices": [{ "index": 0, "delta": { "content": "x".repeat(size) } }] });
    let (mut reading, mut writing) = connection.split();
    let writing = async {
        writing.write_all(head.as_bytes()).await?;
        loop {
            writing.write_all(format!("data: {delta}\n\n").as_bytes()).await?;
            tokio::time::sleep(pause).await;
        }
        #[expect(unreachable_code, reason = "it says what the errors above are")]
        Ok::<(), std::io::Error>(())
    };
    let mut byte = [0];
    tokio::select! {
        biased;
        _ = reading.read(&mut byte) => {}
        _ = writing => {}
    }
}

/// The service, until it is dropped.
struct Service {
    address: SocketAddr,
    _running: AbortOnDropHandle<()>,
}

impl Service {
    async fn start(provider: &Provider, more: Value) -> Self {
        let mut settings = json!({
            "providers": [{ "name": "a", "base_url": format!("http://{}", provider.address), "model": "m" }],
            // Each client is to be seen leaving a call of its own.
            "cache": { "exact": false, "coalesce": false },
        });
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let settings = Settings::from_map(settings.as_object().unwrap().clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let ports = Ports {
            listener,
            upstream: reqwest(&settings).unwrap(),
            stores: Stores::memory(&settings),
            clock: Clock::real(),
            seed: 7,
            shutdown: CancellationToken::new(),
        };
        let running = tokio::spawn(async move { run(settings, ports).await.unwrap() });
        Self {
            address,
            _running: AbortOnDropHandle::new(running),
        }
    }

    /// A client that has asked and reads nothing yet. Dropping it is a client that leaves.
    async fn ask(&self, path: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut connection = socket.connect(self.address).await.unwrap();
        let body = json!({ "messages": [{ "role": "user", "content": "hello" }] });
        let mut body = body.as_object().unwrap().clone();
        if path.starts_with("/v1") {
            body.extend(
                json!({ "model": "default", "stream": true })
                    .as_object()
                    .unwrap()
                    .clone(),
            );
        }
        let body = Value::Object(body).to_string();
        let length = body.len();
        let request = format!("POST {path} HTTP/1.1\r\nhost: service\r\ncontent-length: {length}\r\n\r\n{body}");
        connection.write_all(request.as_bytes()).await.unwrap();
        connection
    }
}

/// How long after the client has left the provider saw it, at best. `read` is how much of the answer the client waits for.
async fn left_after(manner: Manner, path: &str, read: usize) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let mut provider = Provider::start(manner).await;
        let service = Service::start(&provider, json!({})).await;
        let mut client = service.ask(path).await;
        provider.until_asked(1).await;
        client.read_exact(&mut vec![0; read]).await.unwrap();
        let gone = Instant::now();
        drop(client);
        let seen = timeout(Duration::from_secs(10), provider.left.recv()).await;
        best = best.min(seen.unwrap().unwrap() - gone);
    }
    println!("{path}, {manner:?}: the provider was left {best:?} after the client had gone");
    best
}

#[tokio::test]
async fn a_client_that_leaves_takes_the_call_to_the_provider_with_it() {
    for path in ["/chat", "/chat/stream", "/v1/chat/completions"] {
        assert!(
            left_after(Manner::Silent, path, 0).await < SOON,
            "{path}, before the first token"
        );
    }
    for path in ["/chat/stream", "/v1/chat/completions"] {
        // Two hundred bytes are the head, two thousand are well into the answer.
        assert!(
            left_after(Manner::Streams, path, 2000).await < SOON,
            "{path}, in the middle"
        );
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_the_back_off_is_not_asked_for_again() {
    let provider = Provider::start(Manner::Refuses).await;
    let service = Service::start(
        &provider,
        json!({ "retry": { "base": "200ms", "budget_ratio": "off" } }),
    )
    .await;
    for path in ["/chat", "/chat/stream"] {
        let before = provider.asked();
        let client = service.ask(path).await;
        provider.until_asked(before + 1).await;
        // Into the back-off, well before it is over.
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(client);
        tokio::time::sleep(Duration::from_millis(800)).await;
        assert_eq!(provider.asked(), before + 1, "{path}");
    }
    // The mirror: a client that stays is.
    let before = provider.asked();
    let _client = service.ask("/chat").await;
    provider.until_asked(before + 2).await;
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_never_reaches_the_provider_and_holds_up_nobody() {
    let provider = Provider::start(Manner::Silent).await;
    let queue = json!({ "database": { "pool": 1, "hold_connection": true } });
    let service = Service::start(&provider, queue).await;
    let first = service.ask("/chat").await;
    provider.until_asked(1).await;
    let waiting = service.ask("/chat/stream").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(waiting);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(provider.asked(), 1);
    drop(first);
    let _next = service.ask("/chat").await;
    provider.until_asked(2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(provider.asked(), 2, "the one that left was not asked for");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_with_its_call() {
    for path in ["/chat/stream", "/v1/chat/completions"] {
        // Long enough for all buffers on the way to fill, on a busy machine too; the mirror waits for nothing to happen.
        for (stall, cut, patience) in [("300ms", true, 30), ("off", false, 3)] {
            let mut provider = Provider::start(Manner::Pours).await;
            let service = Service::start(&provider, json!({ "client_stall": stall })).await;
            let _client = service.ask(path).await;
            provider.until_asked(1).await;
            let left = timeout(Duration::from_secs(patience), provider.left.recv()).await;
            assert_eq!(left.is_ok(), cut, "{path} with client_stall {stall}");
        }
    }
}

/// Whether the provider still has its caller, `after` the client has left, and whether it has it a second later.
async fn kept(service: Value, manner: Manner, path: &str, read: usize, after: Duration) -> (bool, bool) {
    let mut provider = Provider::start(manner).await;
    let service = Service::start(&provider, service).await;
    let mut client = service.ask(path).await;
    provider.until_asked(1).await;
    client.read_exact(&mut vec![0; read]).await.unwrap();
    drop(client);
    let early = timeout(after, provider.left.recv()).await.is_err();
    let late = early && timeout(Duration::from_secs(1), provider.left.recv()).await.is_err();
    (early, late)
}

#[tokio::test]
async fn what_is_drained_goes_on_for_its_time_and_no_longer() {
    let drain = |time: &str, concurrent: u32, design: &str| json!({ "design": design, "disconnect": "drain", "drain": { "time": time, "concurrent": concurrent } });
    let half = Duration::from_millis(400);
    for design in ["coupled", "blocking"] {
        for (manner, path, read) in [
            (Manner::Silent, "/chat", 0),
            (Manner::Silent, "/chat/stream", 0),
            (Manner::Streams, "/chat/stream", 2000),
            (Manner::Streams, "/v1/chat/completions", 2000),
        ] {
            let cut = kept(drain("800ms", 1, design), manner, path, read, half).await;
            assert_eq!(cut, (true, false), "{design} {path} {manner:?}");
        }
    }
    let long = kept(drain("30s", 1, "coupled"), Manner::Streams, "/chat/stream", 2000, half).await;
    assert_eq!(long, (true, true));
}

#[tokio::test]
async fn a_worker_on_a_thread_is_free_again_when_its_client_leaves() {
    let one = |disconnect: &str| json!({ "design": "blocking", "blocking_workers": 1, "disconnect": disconnect });
    for (disconnect, asked) in [("cancel", 2), ("run_on", 1)] {
        let provider = Provider::start(Manner::Silent).await;
        let service = Service::start(&provider, one(disconnect)).await;
        let first = service.ask("/chat").await;
        provider.until_asked(1).await;
        let backlog = service.ask("/chat").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(backlog);
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(first);
        let _next = service.ask("/chat").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(provider.asked(), asked, "{disconnect}");
    }
}
