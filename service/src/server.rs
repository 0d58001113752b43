//! An instance from its first connection to its last: the accept loop, and an end in good order.
//!
//! An accept loop of its own because the ready-made one hides HTTP settings, the Date header and the order in which it
//! looks at its branches. HTTP/1.1 only: HTTP/2 and TLS to clients belong to the load balancer in front.

mod stall;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::stall::Impatient;
use crate::answering;
use crate::app::{App, Parts};
use crate::designs;
use crate::error::ServiceError;
use crate::features;
use crate::ports::{Ports, WorkerPorts};
use crate::settings::{Design, Settings};
use crate::telemetry::Exporter;

/// Bytes that a connection keeps, of a request's head and of an answer that its client does not take: what a slow reader
/// costs in memory.
const LONGEST_BUFFER: usize = 64 << 10;
/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long the last spans may take.
const FLUSH_TIME: Duration = Duration::from_secs(3);
/// How long it may take to tell clients that their answer ends here.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long it may take to give jobs back to the queue.
const GIVE_BACK_TIME: Duration = Duration::from_secs(2);

/// Serves clients until `shutdown`, then ends in good order within `shutdown_grace`. Dropping the future is a crash: all
/// tasks of the instance end at once.
pub async fn run<L: Listener>(settings: Settings, ports: Ports<L>) -> Result<(), ServiceError> {
    let needed = Parts {
        upstream: ports.upstream,
        stores: ports.stores,
        clock: ports.clock,
        seed: ports.seed,
        shutdown: ports.shutdown,
        name: "replica".to_owned(),
    };
    let (app, exporter) = App::build(settings, needed)?;
    let _lifeline = app.tasks.lifeline();
    let telemetry = Telemetry::start(exporter);
    if !app.settings.cache.warm.is_empty() {
        app.tasks.spawn(answering::warm(Arc::clone(&app)));
    }
    if app.settings.design == Design::Background {
        app.tasks.spawn(designs::forget_finished(Arc::clone(&app)));
    }
    if matches!(app.settings.design, Design::Background | Design::Queued) {
        app.tasks.spawn(designs::watch_queue(Arc::clone(&app)));
    }
    accept(ports.listener, &app, features::router(Arc::clone(&app))).await;
    farewell(&app).await;
    telemetry.stop().await;
    Ok(())
}

/// Lets what is under way come to its end. What does not within `shutdown_grace` is told, so that nobody takes half an answer
/// for a whole one; without any grace nobody is told anything.
async fn farewell(app: &App) {
    let grace = app.settings.shutdown_grace;
    if !app.tasks.wait(grace).await {
        tracing::warn!("requests or jobs were cut off: they outlasted shutdown_grace");
        if !grace.is_zero() {
            app.give_back.cancel();
            app.tasks.wait(LAST_WORDS).await;
        }
    }
    app.tasks.end().await;
}

/// Works on the queue until `shutdown`, then ends in good order: what is not done within `shutdown_grace` is given back.
/// Dropping the future is a crash: its jobs go to others when their leases run out.
pub async fn worker(settings: Settings, ports: WorkerPorts) -> Result<(), ServiceError> {
    watched_worker(settings, ports, None::<tokio::net::TcpListener>).await
}

/// The same with a listener of its own, for those who look after it: it answers `/livez`, `/readyz` and `/metrics`.
pub async fn watched_worker<L: Listener>(
    settings: Settings,
    ports: WorkerPorts,
    listener: Option<L>,
) -> Result<(), ServiceError> {
    let needed = Parts {
        upstream: ports.upstream,
        stores: ports.stores,
        clock: ports.clock,
        seed: ports.seed,
        shutdown: ports.shutdown,
        name: ports.name,
    };
    // A worker is a worker of the queue, whatever the service that enqueues is told.
    let settings = Settings {
        design: Design::Queued,
        ..settings
    };
    let (app, exporter) = App::build(settings, needed)?;
    let _lifeline = app.tasks.lifeline();
    let telemetry = Telemetry::start(exporter);
    app.tasks.spawn(designs::forget_finished(Arc::clone(&app)));
    app.tasks.spawn(designs::watch_queue(Arc::clone(&app)));
    let watched = listener.map(|listener| {
        let (host, router) = (Arc::clone(&app), features::watched(Arc::clone(&app)));
        AbortOnDropHandle::new(tokio::spawn(async move { accept(listener, &host, router).await }))
    });
    designs::work(&app).await;
    drop(watched);
    if !app.tasks.wait(app.settings.shutdown_grace).await {
        app.give_back.cancel();
        app.tasks.wait(GIVE_BACK_TIME).await;
    }
    app.tasks.end().await;
    telemetry.stop().await;
    Ok(())
}

/// Accepts clients until `drain_delay` after the shutdown: as long as load balancers send some. Readiness is bad from the
/// first moment of it.
async fn accept<L: Listener>(mut listener: L, app: &Arc<App>, router: Router) {
    let places = Arc::new(Semaphore::new(app.settings.max_connections as usize));
    let closing = CancellationToken::new();
    let _close = closing.clone().drop_guard();
    let delay = app.settings.drain_delay;
    let over = async {
        app.shutdown.cancelled().await;
        if !delay.is_zero() {
            app.clock.sleep(delay).await;
        }
    };
    let mut over = std::pin::pin!(over);
    loop {
        let next = async {
            // A place first, then a connection: those who find none wait in the kernel, not in here.
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, (io, _)) = tokio::select! {
            biased;
            () = over.as_mut() => return,
            next = next => next,
        };
        let io = Impatient::new(io, app.settings.client_stall);
        let connection = serve(io, router.clone(), app.clock.is_real(), closing.clone());
        app.tasks.spawn(async move {
            let _place = place;
            connection.await;
        });
    }
}

/// Serves one connection. A client that hangs up ends it, and with it the request it was waiting for. Once `closing` it takes
/// no further request: an idle one closes, and what is being answered says `connection: close`.
async fn serve<Io>(io: Io, router: Router, date: bool, closing: CancellationToken)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(LONGEST_BUFFER)
        .auto_date_header(date)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        biased;
        result = connection.as_mut() => result,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The exporter while it runs.
struct Telemetry {
    running: Option<AbortOnDropHandle<()>>,
    stop: CancellationToken,
}

impl Telemetry {
    fn start(exporter: Option<Exporter>) -> Self {
        let stop = CancellationToken::new();
        let running = exporter.map(|exporter| AbortOnDropHandle::new(tokio::spawn(exporter.run(stop.clone()))));
        Self { running, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        if let Some(running) = self.running {
            let _ = tokio::time::timeout(FLUSH_TIME, running).await;
        }
    }
}
