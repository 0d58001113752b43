//! One process from its start to its end: a task over the in-memory network on the virtual clock, a child on the real one.
//!
//! Both end in the same three ways: by themselves, in good order when they are told to, at once when they are killed. Does
//! not decide when.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use brownout_net::Network;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::detours::Detours;
use super::site::{Incarnation, Place, Site};
use crate::children::Child;
use crate::dependencies::DependencyFaults;
use crate::mount::{HostIo, HostSpec, Mount, MountError, Role, Running};

/// Longest that a child may need from its death to our notice of it.
const LONGEST_DYING: Duration = Duration::from_secs(5);

/// A process that has started. Dropping it kills it.
pub(super) enum Process {
    /// In this process.
    Task(Task),
    /// On its own, and the links through which it reaches what it depends on.
    Child {
        /// The process.
        child: Box<Child>,
        /// They close when it is gone.
        _detours: Detours,
    },
}

/// A host as a task.
pub(super) struct Task {
    name: String,
    network: Network,
    shutdown: CancellationToken,
    dependencies: DependencyFaults,
    work: Work,
    running: JoinHandle<Result<(), MountError>>,
    authority: Option<String>,
}

impl Process {
    /// Starts it; when this returns, it listens.
    pub(super) async fn start<M: Mount>(site: &Site<M>, who: &Incarnation) -> Result<Self, MountError> {
        match &site.place {
            Place::InProcess { .. } => Self::in_process(site, who),
            Place::Children { dir } => {
                let detours = Detours::open(&site.mount.dependencies(), &site.dependencies_of(who))?;
                let spec = HostSpec {
                    detours: detours.addresses(),
                    ..site.spec_of(who)
                };
                let child = Child::start(site.mount.as_ref(), who.role, &spec, dir).await?;
                Ok(Self::Child {
                    child: Box::new(child),
                    _detours: detours,
                })
            }
        }
    }

    fn in_process<M: Mount>(site: &Site<M>, who: &Incarnation) -> Result<Self, MountError> {
        let network = site.network.host(&who.name);
        let shutdown = CancellationToken::new();
        let dependencies = site.dependencies_of(who);
        let io = HostIo {
            network: network.clone(),
            unix_us: site.unix_us(),
            shutdown: shutdown.clone(),
            dependencies: dependencies.clone(),
        };
        let shared = site.shared.clone();
        let shared = shared.ok_or_else(|| MountError("there are no stores to share".to_owned()))?;
        let mut authority = None;
        let running = match who.role {
            Role::Serve => {
                let listener = network.listen(&who.name).map_err(|e| MountError(e.to_string()))?;
                authority = Some(listener.authority().to_owned());
                site.mount.serve(site.spec_of(who), shared, io, listener)
            }
            Role::Work => site.mount.work(site.spec_of(who), shared, io),
        };
        let work = Work(Arc::new(Mutex::new(Some(running))));
        Ok(Self::Task(Task {
            name: who.name.clone(),
            network: site.network.clone(),
            shutdown,
            dependencies,
            running: tokio::spawn(work.clone()),
            work,
            authority,
        }))
    }

    /// Where it answers, if it serves.
    pub(super) fn authority(&self) -> Option<&str> {
        match self {
            Self::Task(task) => task.authority.as_deref(),
            Self::Child { child, .. } => child.authority(),
        }
    }

    /// Where it tells its metrics, if it does: in this process workers do too.
    pub(super) fn metrics_at(&self) -> Option<&str> {
        match self {
            Self::Task(task) => Some(&task.name),
            Self::Child { child, .. } => child.authority(),
        }
    }

    /// Waits for its end: `Ok` if it was in good order. Dropping the future loses nothing.
    pub(super) async fn ended(&mut self) -> Result<(), MountError> {
        match self {
            Self::Task(task) => {
                let ended = (&mut task.running).await;
                ended.unwrap_or_else(|e| Err(MountError(format!("the service panicked: {e}"))))
            }
            Self::Child { child, .. } => child.ended().await,
        }
    }

    /// Tells it to end in good order, as SIGTERM does.
    pub(super) async fn terminate(&mut self) {
        match self {
            Self::Task(task) => task.shutdown.cancel(),
            Self::Child { child, .. } => child.terminate().await,
        }
    }

    /// Tells it that the run is over.
    pub(super) fn dismiss(&mut self) {
        match self {
            Self::Task(task) => task.shutdown.cancel(),
            Self::Child { child, .. } => child.cut_lifeline(),
        }
    }

    /// Ends it at once and without a word, as `kill -9` does; when this returns, it is gone.
    pub(super) async fn kill(&mut self) {
        match self {
            Self::Task(task) => task.kill(),
            Self::Child { child, .. } => {
                child.kill();
                // What does not die now is not ours to wait for.
                let _ = tokio::time::timeout(LONGEST_DYING, child.ended()).await;
            }
        }
    }
}

impl Task {
    /// One step without a wait in between, so that nothing in it gets to see another part of it end: first the
    /// connections and the way to what it shares with others, then the work and all that it spawned.
    fn kill(&self) {
        self.network.sever(&self.name);
        self.dependencies.sever();
        self.work.drop_now();
        self.running.abort();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.work.drop_now();
        self.running.abort();
    }
}

/// What a task runs, in a place from which it can be taken while nobody looks.
#[derive(Clone)]
struct Work(Arc<Mutex<Option<Running>>>);

impl Work {
    fn drop_now(&self) {
        let work = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(work);
    }
}

impl Future for Work {
    type Output = Result<(), MountError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match work.as_mut() {
            Some(running) => running.as_mut().poll(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
