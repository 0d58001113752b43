//! What is left after many clients have left: no task, no socket, no place in the pool, no memory.
//!
//! Over real sockets and SQLite, in every phase of a request. `BROWNOUT_LEAKS` says how many clients there are.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its world up should fail at once"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use brownout_service::{Clock, Ports, Settings, Stores, run, upstream};
use futures::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Clients, where nobody says otherwise.
const CLIENTS: usize = 2_000;
/// Clients at a time: more than there are database connections, so that some leave while they wait for one.
const AT_A_TIME: usize = 48;
/// Longest time until all is as before.
const SETTLING: Duration = Duration::from_secs(10);
/// Phases in which a client leaves.
const PHASES: usize = 6;

/// Serves every connection of `listener`.
async fn serve(listener: TcpListener, router: Router) {
    loop {
        let (io, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let io = hyper_util::rt::TokioIo::new(io);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

/// A provider that would stream for four seconds.
async fn provider() -> SocketAddr {
    let answer = || async {
        let frame = json!({ "choices": [{ "delta": { "content": "word " } }] });
        let frames = futures::stream::iter(0..2000).then(move |_| {
            let frame = format!("data: {frame}\n\n");
            async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok::<_, std::io::Error>(frame)
            }
        });
        ([("content-type", "text/event-stream")], Body::from_stream(frames))
    };
    let router = Router::new().route("/v1/chat/completions", post(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router));
    address
}

async fn service(folder: &Path) -> SocketAddr {
    let settings = json!({
        "providers": [{ "name": "a", "base_url": format!("http://{}", provider().await), "model": "m" }],
        "database": { "pool": 16, "hold_connection": true },
        "database_path": folder.join("service.db"),
    });
    let settings = Settings::from_map(settings.as_object().unwrap().clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ports = Ports {
        listener,
        upstream: upstream::reqwest(&settings).unwrap(),
        stores: Stores::open(&settings).await.unwrap(),
        clock: Clock::real(),
        seed: 7,
        shutdown: CancellationToken::new(),
    };
    tokio::spawn(run(settings, ports));
    address
}

/// A client that leaves in phase `n % PHASES`; most by a reset, some in good order.
async fn leave(address: SocketAddr, n: usize) -> std::io::Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    if !(n / PHASES).is_multiple_of(8) {
        connection.set_zero_linger()?;
    }
    // Two clients in a row ask the same: one call to the provider is theirs together.
    let question = format!(r#"{{"messages":[{{"role":"user","content":"hello {}"}}]}}"#, n / 2);
    let path = if n % PHASES == 2 { "/chat" } else { "/chat/stream" };
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: service\r\ncontent-length: {}\r\n\r\n{question}",
        question.len()
    );
    let (sent, pause, words) = match n % PHASES {
        0 => (0, 0, 0),
        1 => (20, 1, 0),
        2 => (request.len(), 5, 0),
        3 => (request.len(), 0, 0),
        4 => (request.len(), 0, 1),
        _ => (request.len(), 0, 5),
    };
    connection.write_all(&request.as_bytes()[..sent]).await?;
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let (mut seen, mut buffer) = (String::new(), [0; 4096]);
    while seen.matches("event: delta").count() < words {
        let n = connection.read(&mut buffer).await?;
        assert!(n > 0, "the service hung up: {seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    Ok(())
}

/// Clients `from..to`, some at a time.
async fn crowd(address: SocketAddr, from: usize, to: usize) {
    let clients = futures::stream::iter(from..to).map(|n| async move { leave(address, n).await.unwrap() });
    clients.buffer_unordered(AT_A_TIME).for_each(|()| async {}).await;
}

/// What the process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    tasks: usize,
    descriptors: usize,
    pool: i64,
    resident_kib: u64,
}

impl Held {
    async fn now(address: SocketAddr) -> Self {
        let metrics = get(address, "/metrics").await;
        let gauge = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok()).unwrap()
        };
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            pool: gauge("service_pool_in_use "),
            resident_kib: pages * 4,
        }
    }

    fn is_within(&self, before: &Self) -> bool {
        self.tasks <= before.tasks && self.descriptors <= before.descriptors && self.pool == 0
    }

    /// Waits until nothing is under way any more.
    async fn settled(address: SocketAddr, before: Option<&Self>) -> Self {
        let mut held = Self::now(address).await;
        let deadline = tokio::time::Instant::now() + SETTLING;
        let (mut same, mut last) = (0, held.tasks);
        while tokio::time::Instant::now() < deadline {
            match before {
                Some(before) if held.is_within(before) => return held,
                None if same > 10 && held.pool == 0 => return held,
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            held = Self::now(address).await;
            same = if held.tasks == last { same + 1 } else { 0 };
            last = held.tasks;
        }
        held
    }
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_clients_that_have_left() {
    let clients = std::env::var("BROWNOUT_LEAKS").map_or(CLIENTS, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let address = service(folder.path()).await;
    // The first ones fill what is kept on purpose: the pool, buffers, the allocator's own reserves.
    let warm = (clients / 10).max(500);
    crowd(address, 0, warm).await;
    let before = Held::settled(address, None).await;
    let began = tokio::time::Instant::now();
    crowd(address, warm, warm + clients).await;
    let took = began.elapsed();
    let after = Held::settled(address, Some(&before)).await;
    eprintln!("{clients} clients left in {took:.1?}\nbefore {before:?}\nafter  {after:?}");
    assert!(
        after.is_within(&before),
        "something is left: {after:?}, before {before:?}"
    );
    let most = before.resident_kib + before.resident_kib / 5 + 4096;
    assert!(
        after.resident_kib <= most,
        "{} KiB, before {}",
        after.resident_kib,
        before.resident_kib
    );
}
