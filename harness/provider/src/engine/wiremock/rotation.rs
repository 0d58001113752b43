//! Keeps a long-lived `MockServer` from growing: its mocks are replaced every few thousand requests.
//!
//! A mounted mock keeps a copy of every request that it matched, whether recording is on or not, and a scoped mock keeps
//! them after its guard is gone. Only `reset` lets go of them, and a request that comes between `reset` and the next
//! `mount` finds no mock. So the two queue for the server's lock together, in a moment when nobody else can: while a
//! responder runs, which holds that lock. The lock is fair, so no request comes between.

use std::net::TcpListener;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use ::wiremock::matchers::any;
use ::wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};
use futures::future::join3;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Script;

/// Requests after which the mocks are replaced.
pub(crate) const ROTATE_EVERY: u64 = 5_000;

type Turn = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the mounted mocks and the task that drives the rotation share.
pub(crate) struct Rotation {
    /// Requests after which the mocks are replaced.
    every: u64,
    /// The next replacement, prepared.
    next: Mutex<Option<Turn>>,
    queued: Notify,
    /// Requests that the mounted mocks hold copies of.
    kept: AtomicU64,
    /// Replacements so far.
    turns: AtomicU64,
}

impl Rotation {
    fn new(every: u64) -> Self {
        Self {
            every,
            next: Mutex::new(None),
            queued: Notify::new(),
            kept: AtomicU64::new(0),
            turns: AtomicU64::new(0),
        }
    }

    fn next(&self) -> MutexGuard<'_, Option<Turn>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues the prepared replacement for the server's lock. Call it only while holding that lock.
    ///
    /// Asking again before the task has taken it is harmless: it is queued already.
    fn queue(&self) {
        if let Some(turn) = self.next().as_mut() {
            // The first poll only queues; the task polls again, with a waker of its own.
            let _ = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.queued.notify_one();
        }
    }
}

/// A responder that counts what its mock keeps. It is dropped with the mock, and the copies with it.
struct Mounted {
    script: Script,
    rotation: Arc<Rotation>,
    served: AtomicU64,
}

impl Respond for Mounted {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        self.served.fetch_add(1, Ordering::Relaxed);
        if self.rotation.kept.fetch_add(1, Ordering::Relaxed) + 1 >= self.rotation.every {
            self.rotation.queue();
        }
        self.script.respond(request)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let served = self.served.load(Ordering::Relaxed);
        self.rotation.kept.fetch_sub(served, Ordering::Relaxed);
    }
}

/// Starts a server on `listener` with `script` mounted and replaced `every` so many requests, until `shutdown`.
/// Returns its authority.
pub(crate) async fn start(
    script: Script,
    listener: TcpListener,
    every: u64,
    shutdown: CancellationToken,
) -> (String, Arc<Rotation>) {
    let server = Arc::new(
        MockServer::builder()
            .listener(listener)
            .disable_request_recording()
            .start()
            .await,
    );
    let authority = server.address().to_string();
    let rotation = Arc::new(Rotation::new(every));
    replace(Arc::clone(&server), script.clone(), Arc::clone(&rotation)).await;
    tokio::spawn(drive(server, script, Arc::clone(&rotation), shutdown));
    (authority, rotation)
}

/// Keeps a replacement prepared and sees each one through. Owns the server.
async fn drive(server: Arc<MockServer>, script: Script, rotation: Arc<Rotation>, shutdown: CancellationToken) {
    let slot = EmptiedOnDrop(Arc::clone(&rotation));
    loop {
        let turn = replace(Arc::clone(&server), script.clone(), Arc::clone(&rotation));
        *slot.0.next() = Some(Box::pin(turn));
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = rotation.queued.notified() => {}
        }
        let queued = slot.0.next().take();
        if let Some(turn) = queued {
            turn.await;
            rotation.turns.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Breaks the ring server -> mock -> rotation -> prepared replacement -> server, also when the runtime ends first.
struct EmptiedOnDrop(Arc<Rotation>);

impl Drop for EmptiedOnDrop {
    fn drop(&mut self) {
        let prepared = self.0.next().take();
        drop(prepared);
    }
}

/// Drops all mocks and mounts new ones. The first poll queues all three steps, in this order.
async fn replace(server: Arc<MockServer>, script: Script, rotation: Arc<Rotation>) {
    let mounted = || Mounted {
        script: script.clone(),
        rotation: Arc::clone(&rotation),
        served: AtomicU64::new(0),
    };
    let chat = Mock::given(script.endpoint()).respond_with(mounted());
    let anything_else = Mock::given(any()).respond_with(mounted()).with_priority(u8::MAX);
    join3(server.reset(), server.register(chat), server.register(anything_else)).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::Client;
    use crate::samples::plan;
    use brownout_net::{Network, RunClock};
    use brownout_scenario::seed::SeedTree;
    use std::net::Ipv4Addr;

    const EVERY: u64 = 50;
    const CONNECTIONS: u64 = 4;
    const REQUESTS: u64 = 500;

    #[tokio::test]
    async fn memory_stays_under_the_bound_and_no_request_falls_into_a_gap() {
        let shutdown = CancellationToken::new();
        let script = Script::new(plan(), SeedTree::new(1), RunClock::start()).unwrap();
        let (authority, rotation) = start(
            script,
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            EVERY,
            shutdown.clone(),
        )
        .await;
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            let (authority, rotation) = (authority.clone(), Arc::clone(&rotation));
            clients.push(tokio::spawn(async move {
                let mut client = Client::connect(&Network::tcp(), &authority).await;
                let mut most = 0;
                for _ in 0..REQUESTS {
                    let answer = client.get("/v1/models").await;
                    assert_eq!(answer.status, 200, "a request found no mock: {}", answer.text);
                    most = most.max(rotation.kept.load(Ordering::Relaxed));
                }
                most
            }));
        }
        for client in clients {
            let most = client.await.unwrap();
            assert!(most <= EVERY + CONNECTIONS, "{most} requests kept");
        }
        let turns = rotation.turns.load(Ordering::Relaxed);
        let expected = CONNECTIONS * REQUESTS / EVERY;
        assert!(
            (expected / 2..=expected).contains(&turns),
            "{turns} of at most {expected} turns"
        );
    }

    #[tokio::test]
    async fn the_server_and_its_mocks_end_with_the_shutdown() {
        let shutdown = CancellationToken::new();
        let script = Script::new(plan(), SeedTree::new(1), RunClock::start()).unwrap();
        let (_, rotation) = start(
            script,
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
            EVERY,
            shutdown.clone(),
        )
        .await;
        tokio::task::yield_now().await;
        let mocks = Arc::downgrade(&rotation);
        drop(rotation);
        assert!(mocks.strong_count() > 0);
        shutdown.cancel();
        for _ in 0..1_000 {
            if mocks.strong_count() == 0 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("the mocks outlive the server's owner");
    }
}
