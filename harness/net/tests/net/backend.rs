//! A small service that notes who left it, and when.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use brownout_net::{AbortHandle, Network, RunClock, serve};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What happened at the backends, each line with its time.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) clock: RunClock,
    lines: Arc<Mutex<Vec<String>>>,
    /// Chunks that `/flood` was asked for.
    pub(crate) flooded: Arc<AtomicUsize>,
    /// What `/healthy` answers, and after how long.
    health: Arc<Mutex<(StatusCode, Duration)>>,
}

impl Log {
    pub(crate) fn start() -> Self {
        Self {
            clock: RunClock::start(),
            lines: Arc::default(),
            flooded: Arc::default(),
            health: Arc::default(),
        }
    }

    pub(crate) fn set_health(&self, status: u16, after_ms: u64) {
        let status = StatusCode::from_u16(status).expect("a status");
        *self.health.lock().expect("a sound log") = (status, Duration::from_millis(after_ms));
    }

    pub(crate) fn note(&self, what: &str) {
        let line = format!("{}ms {what}", self.clock.now_us() / 1_000);
        self.lines.lock().expect("a sound log").push(line);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("a sound log").clone()
    }

    /// Waits up to five seconds for a line about `what`.
    pub(crate) async fn until(&self, what: &str) -> String {
        for _ in 0..5_000 {
            if let Some(line) = self.lines().into_iter().find(|line| line.ends_with(what)) {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("`{what}` did not happen, only {:?}", self.lines());
    }
}

/// A request under way. Dropping it before it is over means that the client left.
struct Visit {
    log: Log,
    name: &'static str,
    over: bool,
}

impl Visit {
    fn begin(log: Log, name: &'static str) -> Self {
        log.note(&format!("{name} began"));
        Self { log, name, over: false }
    }

    fn finish(mut self) {
        self.over = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let end = if self.over { "finished" } else { "left" };
        self.log.note(&format!("{} {end}", self.name));
    }
}

/// A backend that runs until it is dropped or stopped.
pub(crate) struct Backend {
    pub(crate) authority: String,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: AbortOnDropHandle<()>,
}

impl Backend {
    pub(crate) fn start(network: &Network, host: &str, log: &Log) -> Self {
        let listener = network.listen(host).expect("a free name");
        let authority = listener.authority().to_owned();
        let shutdown = CancellationToken::new();
        let service = TowerToHyperService::new(router(host, log.clone()));
        let grace = Duration::from_secs(2);
        let task = tokio::spawn(serve(listener, service, shutdown.clone(), grace));
        Self {
            authority,
            shutdown,
            task: AbortOnDropHandle::new(task),
        }
    }
}

pub(crate) fn router(host: &str, log: Log) -> Router {
    let host = host.to_owned();
    Router::new()
        .route("/name", get(|| async move { host }))
        .route("/echo", post(|body: Bytes| async move { body }))
        .route("/version", get(version))
        .route("/slow/{ms}", get(slow))
        .route("/events/{every_ms}/{count}", get(events))
        .route("/drip/{every_ms}/{count}", get(drip))
        .route("/flood", get(flood))
        .route("/bulk/{every_ms}/{count}", get(bulk))
        .route("/healthy", get(healthy))
        .route("/reset", get(reset))
        .with_state(log)
}

async fn version(request: Request) -> String {
    format!("{:?}", request.version())
}

async fn slow(State(log): State<Log>, Path(ms): Path<u64>) -> &'static str {
    let visit = Visit::begin(log, "slow");
    tokio::time::sleep(Duration::from_millis(ms)).await;
    visit.finish();
    "done"
}

async fn events(State(log): State<Log>, Path((every, count)): Path<(u64, u64)>) -> Response {
    let body = paced(Visit::begin(log, "events"), every, count);
    ([(CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response()
}

async fn drip(State(log): State<Log>, Path((every, count)): Path<(u64, u64)>) -> Response {
    paced(Visit::begin(log, "drip"), every, count).into_response()
}

/// `count` chunks, one every `every_ms`.
fn paced(visit: Visit, every_ms: u64, count: u64) -> Body {
    let start = visit.log.clock.now_us();
    Body::from_stream(stream::unfold((visit, 0), move |(visit, sent)| async move {
        if sent == count {
            visit.finish();
            return None;
        }
        let due = start + (sent + 1) * every_ms * 1_000;
        visit.log.clock.sleep_until(due).await;
        Some((Ok::<_, Infallible>(format!("<{sent}>")), (visit, sent + 1)))
    }))
}

/// Chunks of 16 KiB as fast as they are taken.
async fn flood(State(log): State<Log>) -> Body {
    let visit = Visit::begin(log, "flood");
    Body::from_stream(stream::repeat(vec![b'x'; 16 * 1_024]).map(move |chunk| {
        visit.log.flooded.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(chunk)
    }))
}

/// `count` chunks of 16 KiB, one every `every_ms`.
async fn bulk(Path((every, count)): Path<(u64, u64)>) -> Body {
    Body::from_stream(stream::iter(0..count).then(move |_| async move {
        tokio::time::sleep(Duration::from_millis(every)).await;
        Ok::<_, Infallible>(vec![b'x'; 16 * 1_024])
    }))
}

/// Answers as the log's health says: with a status, after so long.
async fn healthy(State(log): State<Log>) -> StatusCode {
    let (status, after) = *log.health.lock().expect("a sound log");
    tokio::time::sleep(after).await;
    status
}

/// A chunk, a pause, a reset.
async fn reset(Extension(abort): Extension<AbortHandle>) -> Body {
    let chunk = stream::iter([Ok("half of it")]);
    let broken = stream::once(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        abort.reset_on_drop();
        Err("broken")
    });
    Body::from_stream(chunk.chain(broken))
}
