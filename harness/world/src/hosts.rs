//! The target's processes: started, watched, restarted, multiplied and ended, the same way on both clocks.
//!
//! In reading order: `site` (what they have in common), `process` (one of them: a task on the virtual clock, a child on the
//! real one, which reaches its dependencies over `detours`), `life` (one host, through all its processes), with `liveness` and `backoff`; `events` and `scale` (who gives
//! the orders); `diary` (what came of it). Here they are brought together.

mod backoff;
mod detours;
mod diary;
mod events;
mod life;
mod liveness;
mod process;
mod scale;
mod site;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brownout_net::RunClock;
use brownout_scenario::plan::{EventPlan, ScalePlan};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, interval_at, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::mount::{Mount, MountError, Role};
use crate::scraper::Targets;
use life::{LONGEST_FAREWELL, Life, Order, Phase};
use scale::Scaler;

pub(crate) use diary::Diary;
pub(crate) use site::{Incarnations, Place, Site, host_of};

/// Orders that a host may have before it; nobody gives more at a time.
const MOST_ORDERS: usize = 64;

/// How many processes of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) replicas: u32,
    pub(crate) workers: u32,
}

/// Every host by name, also those on their way out.
type Roll = Arc<Mutex<BTreeMap<String, Post>>>;

/// The way to a host.
#[derive(Debug, Clone)]
struct Post {
    orders: mpsc::Sender<Order>,
    /// It is not needed any more, and was told so.
    retired: bool,
}

/// The hosts of a variant.
pub(crate) struct Hosts<M: Mount> {
    /// Where the first replica answers, if there is one.
    pub(crate) authority: Option<String>,
    site: Arc<Site<M>>,
    roll: Roll,
    lives: JoinSet<(String, Result<(), MountError>)>,
}

impl<M: Mount> Hosts<M> {
    /// Starts those that are there from the beginning; on an error nothing is left running.
    pub(crate) async fn start(site: Arc<Site<M>>, numbers: Numbers) -> Result<Self, MountError> {
        let mut hosts = Self {
            authority: None,
            site,
            roll: Roll::default(),
            lives: JoinSet::new(),
        };
        for name in (0..numbers.replicas).map(replica) {
            hosts.add(Role::Serve, name).await?;
        }
        for name in (0..numbers.workers).map(|n| format!("worker-{n}")) {
            hosts.add(Role::Work, name).await?;
        }
        Ok(hosts)
    }

    async fn add(&mut self, role: Role, name: String) -> Result<(), MountError> {
        let (orders, received) = mpsc::channel(MOST_ORDERS);
        let life = Life::new(Arc::clone(&self.site), role, name.clone(), received);
        let phase = life.begin().await?;
        if let (None, Phase::Up(_, process)) = (&self.authority, &phase) {
            self.authority = process.authority().map(str::to_owned);
        }
        self.spawn(name, orders, life, phase);
        Ok(())
    }

    fn spawn(&mut self, name: String, orders: mpsc::Sender<Order>, life: Life<M>, phase: Phase) {
        let post = Post { orders, retired: false };
        lock(&self.roll).insert(name.clone(), post);
        self.lives.spawn(async move { (name, life.live(phase).await) });
    }

    /// Whom to ask for metrics, as processes come and go.
    pub(crate) fn targets(&self) -> Targets {
        self.site.targets.clone()
    }

    /// Begins the run: from now on `events` happen at their times, and the number of replicas follows the load.
    pub(crate) fn begin(self, clock: RunClock, events: Vec<EventPlan>) -> Begun {
        let events = events::play(events, clock, Arc::clone(&self.site), Arc::clone(&self.roll));
        let over = CancellationToken::new();
        let scaler = self.site.orchestrator.as_ref().and_then(|o| o.scale.clone());
        Begun {
            over: over.clone(),
            conducting: AbortOnDropHandle::new(tokio::spawn(self.conduct(scaler, over))),
            events: AbortOnDropHandle::new(tokio::spawn(events)),
        }
    }

    /// Looks after the hosts until the run is over, then sees all of them off.
    async fn conduct(mut self, scale: Option<ScalePlan>, over: CancellationToken) -> Result<(), MountError> {
        let mut lost = None;
        let mut scaler = scale.map(|plan| (interval_at(Instant::now(), plan.every.into()), Scaler::new(plan)));
        loop {
            let time_to_look = async {
                match &mut scaler {
                    Some((tick, _)) => tick.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = over.cancelled() => break,
                Some(ended) = self.lives.join_next() => lost = lost.or(self.bury(ended).err()),
                now = time_to_look => {
                    if let Some((_, scaler)) = &mut scaler {
                        let backends = &self.site.backends;
                        let in_flight = backends.total_in_flight() + backends.waiting();
                        self.scale_to(scaler.replicas(now, in_flight) as usize);
                    }
                }
            }
        }
        self.dismiss().await;
        let deadline = Instant::now() + LONGEST_FAREWELL * 2;
        // What is left at the deadline is dropped with its processes.
        while let Ok(Some(ended)) = timeout_at(deadline, self.lives.join_next()).await {
            lost = lost.or(self.bury(ended).err());
        }
        lost.map_or(Ok(()), Err)
    }

    async fn dismiss(&self) {
        let everybody: Vec<Post> = lock(&self.roll).values().cloned().collect();
        for post in everybody {
            // Who does not hear it is gone.
            let _ = post.orders.send(Order::Dismiss).await;
        }
    }

    /// Strikes a host off the roll that is no more.
    fn bury(&self, ended: Result<(String, Result<(), MountError>), JoinError>) -> Result<(), MountError> {
        let (name, result) = ended.map_err(|e| MountError(format!("the harness lost a host: {e}")))?;
        lock(&self.roll).remove(&name);
        result
    }

    fn scale_to(&mut self, wanted: usize) {
        let present: Vec<String> = replicas(&self.roll).into_iter().map(|(name, _)| name).collect();
        let missing = wanted.saturating_sub(present.len());
        let free = (0..).map(replica).filter(|name| !lock(&self.roll).contains_key(name));
        for name in free.take(missing).collect::<Vec<_>>() {
            let (orders, received) = mpsc::channel(MOST_ORDERS);
            let life = Life::new(Arc::clone(&self.site), Role::Serve, name.clone(), received);
            self.spawn(name, orders, life, Phase::Starting(None));
        }
        // The least busy first; among equals the one with the highest number.
        let mut by_load: Vec<_> = present.iter().rev().map(|name| (self.in_flight(name), name)).collect();
        by_load.sort_by_key(|(load, _)| *load);
        for (_, name) in by_load.into_iter().take(present.len().saturating_sub(wanted)) {
            if let Some(post) = lock(&self.roll).get_mut(name) {
                // A host with too many orders before it is told at the next look.
                post.retired = post.orders.try_send(Order::Retire).is_ok();
            }
        }
    }

    fn in_flight(&self, host: &str) -> u64 {
        self.site.backends.in_flight(&self.site.incarnations.latest(host))
    }
}

/// Hosts while the run lasts. Dropping it kills them.
pub(crate) struct Begun {
    over: CancellationToken,
    conducting: AbortOnDropHandle<Result<(), MountError>>,
    events: AbortOnDropHandle<Result<(), MountError>>,
}

impl Begun {
    /// Ends the run for all hosts and waits for them, within a bound. An error is a host that was lost on the way, or an
    /// event that failed.
    pub(crate) async fn stop(self) -> Result<(), MountError> {
        self.over.cancel();
        let ended = self.conducting.await;
        ended.unwrap_or_else(|e| Err(MountError(format!("the harness lost its hosts: {e}"))))?;
        // What has not happened by now will not.
        if !self.events.is_finished() {
            return Ok(());
        }
        let happened = self.events.await;
        happened.unwrap_or_else(|e| Err(MountError(format!("the harness lost its events: {e}"))))
    }
}

fn replica(number: u32) -> String {
    format!("service-{number}")
}

/// The replicas that are not on their way out, by number.
fn replicas(roll: &Roll) -> Vec<(String, mpsc::Sender<Order>)> {
    let number = |name: &str| name.strip_prefix("service-")?.parse::<u32>().ok();
    let mut replicas: Vec<_> = lock(roll)
        .iter()
        .filter(|(_, post)| !post.retired)
        .filter_map(|(name, post)| Some((number(name)?, name.clone(), post.orders.clone())))
        .collect();
    replicas.sort_by_key(|(number, ..)| *number);
    replicas.into_iter().map(|(_, name, orders)| (name, orders)).collect()
}

/// Locks over a panic elsewhere: every change is complete.
fn lock(roll: &Roll) -> MutexGuard<'_, BTreeMap<String, Post>> {
    roll.lock().unwrap_or_else(PoisonError::into_inner)
}
