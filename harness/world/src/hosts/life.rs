//! The life of one host, through all the processes that bear its name one after the other.
//!
//! A phase is a function, what comes next is what it returns. Who decides that something happens to a host is elsewhere:
//! here it is done, written down, and answered with a restart where there is an orchestrator.

use std::sync::Arc;
use std::time::Duration;

use brownout_scenario::observe::HostChange;
use brownout_scenario::plan::OrchestratorPlan;
use brownout_scenario::seed::{Purpose, SeedTree};
use brownout_scenario::units::PromptId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::liveness;
use super::process::Process;
use super::site::{Incarnation, Site};
use crate::mount::{Mount, MountError, Role};

/// Longest a host may take to end when the run is over. One that does not end in time is killed: what it measured is at
/// the collector already.
pub(super) const LONGEST_FAREWELL: Duration = Duration::from_secs(6);

/// What is done to a host.
#[derive(Debug)]
pub(super) enum Order {
    /// It ends in good order; another one is started so long after its end, or when the orchestrator says so.
    Terminate { restart_after: Option<Duration> },
    /// It ends without a word; the rest as above.
    Kill { restart_after: Option<Duration> },
    /// It ends in good order and another one is started; who waits is told when that one is ready.
    Replace { ready: oneshot::Sender<()> },
    /// It ends in good order and for good.
    Retire,
    /// The run is over.
    Dismiss,
}

/// A host.
pub(super) struct Life<M: Mount> {
    site: Arc<Site<M>>,
    role: Role,
    host: String,
    orders: mpsc::Receiver<Order>,
    backoff: Backoff,
    /// A process that has died, and that the load balancer may not have heard of.
    stale: Option<String>,
}

/// Where a host stands.
pub(super) enum Phase {
    /// Its process is being started; somebody may wait for it.
    Starting(Option<oneshot::Sender<()>>),
    /// It has a process.
    Up(Incarnation, Process),
    /// It has none, until this instant or for good.
    Away(Option<Instant>),
    /// It is no more.
    Over(Result<(), MountError>),
}

/// What happens to a process that is up.
enum Happened {
    Ended(Result<(), MountError>),
    Told(Order),
    FailedLiveness,
}

impl<M: Mount> Life<M> {
    pub(super) fn new(site: Arc<Site<M>>, role: Role, host: String, orders: mpsc::Receiver<Order>) -> Self {
        Self {
            site,
            role,
            host,
            orders,
            backoff: Backoff::default(),
            stale: None,
        }
    }

    /// Starts the first process, before the run begins: it is ready when this returns.
    pub(super) async fn begin(&self) -> Result<Phase, MountError> {
        let who = self.site.incarnations.next(self.role, &self.host);
        self.note(HostChange::Started);
        let process = Process::start(&self.site, &who).await?;
        self.introduce(&who, &process);
        Ok(Phase::Up(who, process))
    }

    /// Lives from `phase` on. An error is an end that nobody asked for and nobody mends.
    pub(super) async fn live(mut self, mut phase: Phase) -> Result<(), MountError> {
        loop {
            phase = match phase {
                Phase::Starting(waiting) => self.starting(waiting).await,
                Phase::Up(who, process) => self.up(&who, process).await,
                Phase::Away(until) => self.away(until).await,
                Phase::Over(result) => return result,
            }
        }
    }

    async fn starting(&mut self, mut waiting: Option<oneshot::Sender<()>>) -> Phase {
        let who = self.site.incarnations.next(self.role, &self.host);
        self.note(HostChange::Started);
        let site = Arc::clone(&self.site);
        let cold_start = self.start_time(&who);
        let mut start = std::pin::pin!(async {
            if !cold_start.is_zero() {
                sleep(cold_start).await;
            }
            Process::start(&site, &who).await
        });
        loop {
            let order = tokio::select! {
                biased;
                started = start.as_mut() => return self.started(&who, started, waiting),
                order = self.orders.recv() => order.unwrap_or(Order::Dismiss),
            };
            // A process that is still starting is not worth a farewell.
            let next = match order {
                Order::Replace { ready } => {
                    waiting = Some(ready);
                    continue;
                }
                Order::Terminate { restart_after } => {
                    self.note(HostChange::Terminated);
                    self.next(restart_after)
                }
                Order::Kill { restart_after } => {
                    self.note(HostChange::Killed);
                    self.next(restart_after)
                }
                Order::Retire => {
                    self.note(HostChange::Terminated);
                    Phase::Over(Ok(()))
                }
                Order::Dismiss => return Phase::Over(Ok(())),
            };
            self.note(HostChange::Ended);
            return next;
        }
    }

    fn started(
        &mut self,
        who: &Incarnation,
        started: Result<Process, MountError>,
        waiting: Option<oneshot::Sender<()>>,
    ) -> Phase {
        match started {
            Ok(process) => {
                self.introduce(who, &process);
                if let Some(waiting) = waiting {
                    // Nobody may wait any more.
                    let _ = waiting.send(());
                }
                Phase::Up(who.clone(), process)
            }
            Err(error) => {
                self.note(HostChange::Ended);
                self.after_its_own_end(error)
            }
        }
    }

    /// A process that listens gets requests; its dead predecessor gets none any more.
    fn introduce(&self, who: &Incarnation, process: &Process) {
        if let Some(stale) = &self.stale {
            self.site.backends.remove(stale);
        }
        if let Some(authority) = process.authority() {
            self.site.backends.add(&who.name, authority);
        }
        if let Some(authority) = process.metrics_at() {
            self.site.targets.add(&self.host, authority);
        }
        self.note(HostChange::Ready);
    }

    async fn up(&mut self, who: &Incarnation, mut process: Process) -> Phase {
        self.stale = None;
        let authority = process.authority().map(str::to_owned);
        let happened = {
            let ill = until_ill(&self.site, &self.host, authority.as_deref());
            tokio::select! {
                biased;
                ended = process.ended() => Happened::Ended(ended),
                order = self.orders.recv() => Happened::Told(order.unwrap_or(Order::Dismiss)),
                () = ill => Happened::FailedLiveness,
            }
        };
        match happened {
            Happened::Ended(result) => {
                self.note(HostChange::Ended);
                self.stale = Some(who.name.clone());
                let reason = result.err().map_or_else(|| "it was done".to_owned(), |e| e.to_string());
                self.after_its_own_end(MountError(format!(
                    "{} ended in the middle of the run: {reason}",
                    self.host
                )))
            }
            Happened::FailedLiveness => {
                self.note(HostChange::FailedLiveness);
                match self.farewell(who, process).await {
                    Some(last) => last,
                    None => Phase::Away(Some(self.backoff.restart_at(Instant::now()))),
                }
            }
            Happened::Told(order) => self.obey(who, process, order).await,
        }
    }

    async fn obey(&mut self, who: &Incarnation, mut process: Process, order: Order) -> Phase {
        match order {
            Order::Kill { restart_after } => {
                self.note(HostChange::Killed);
                process.kill().await;
                self.note(HostChange::Ended);
                self.stale = Some(who.name.clone());
                self.next(restart_after)
            }
            Order::Terminate { restart_after } => {
                self.note(HostChange::Terminated);
                match self.farewell(who, process).await {
                    Some(last) => last,
                    None => self.next_in_good_order(restart_after),
                }
            }
            Order::Replace { ready } => {
                self.note(HostChange::Terminated);
                let last = self.farewell(who, process).await;
                last.unwrap_or(Phase::Starting(Some(ready)))
            }
            Order::Retire => {
                self.note(HostChange::Terminated);
                self.site.targets.remove(&self.host);
                let last = self.farewell(who, process).await;
                last.unwrap_or(Phase::Over(Ok(())))
            }
            Order::Dismiss => {
                process.dismiss();
                let ended = timeout(LONGEST_FAREWELL, process.ended()).await.unwrap_or(Ok(()));
                Phase::Over(ended.map_err(|e| MountError(format!("{} did not end in good order: {e}", self.host))))
            }
        }
    }

    /// Tells a process to end in good order, and kills it when its grace is over or somebody says so. A phase, if the host
    /// is to have no successor.
    async fn farewell(&mut self, who: &Incarnation, mut process: Process) -> Option<Phase> {
        if !self.site.probing_gateway {
            self.site.backends.remove(&who.name);
        }
        process.terminate().await;
        let deadline = Instant::now() + self.site.grace();
        let mut last = None;
        loop {
            let order = tokio::select! {
                biased;
                // Nothing is left to be wrong about an end that was asked for.
                _ = process.ended() => break,
                order = self.orders.recv() => order.unwrap_or(Order::Dismiss),
                () = sleep_until(deadline) => {
                    process.kill().await;
                    break;
                }
            };
            match order {
                Order::Kill { .. } => {
                    self.note(HostChange::Killed);
                    process.kill().await;
                    break;
                }
                Order::Retire => last = Some(Phase::Over(Ok(()))),
                Order::Dismiss => {
                    process.dismiss();
                    let _ = timeout(LONGEST_FAREWELL, process.ended()).await;
                    return Some(Phase::Over(Ok(())));
                }
                // It is on its way already.
                Order::Terminate { .. } | Order::Replace { .. } => {}
            }
        }
        self.note(HostChange::Ended);
        self.site.backends.remove(&who.name);
        last
    }

    async fn away(&mut self, until: Option<Instant>) -> Phase {
        let back = async {
            match until {
                // Without a wait where there is none: timers tick in whole milliseconds.
                Some(at) if at <= Instant::now() => {}
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut back = std::pin::pin!(back);
        loop {
            tokio::select! {
                biased;
                () = back.as_mut() => return Phase::Starting(None),
                order = self.orders.recv() => match order.unwrap_or(Order::Dismiss) {
                    Order::Retire | Order::Dismiss => return Phase::Over(Ok(())),
                    // There is nobody to whom that could be done.
                    Order::Terminate { .. } | Order::Kill { .. } | Order::Replace { .. } => {}
                },
            }
        }
    }

    fn after_its_own_end(&mut self, error: MountError) -> Phase {
        if self.orchestrator().is_some() {
            Phase::Away(Some(self.backoff.restart_at(Instant::now())))
        } else {
            Phase::Over(Err(error))
        }
    }

    /// What follows an end without a word.
    fn next(&mut self, restart_after: Option<Duration>) -> Phase {
        let now = Instant::now();
        Phase::Away(match restart_after {
            Some(pause) => Some(now + pause),
            None if self.orchestrator().is_some() => Some(self.backoff.restart_at(now)),
            None => None,
        })
    }

    /// What follows an end in good order: an orchestrator holds it against nobody.
    fn next_in_good_order(&self, restart_after: Option<Duration>) -> Phase {
        let now = Instant::now();
        Phase::Away(match restart_after {
            Some(pause) => Some(now + pause),
            None => self.orchestrator().map(|_| now),
        })
    }

    fn start_time(&self, who: &Incarnation) -> Duration {
        let Some(orchestrator) = self.orchestrator() else {
            return Duration::ZERO;
        };
        let seed = SeedTree::new(self.site.spec.seed);
        let mut draws = seed.stream(Purpose::StartTime, &who.host, PromptId(0), who.number);
        Duration::from_micros(draws.whole(&orchestrator.start_time))
    }

    fn orchestrator(&self) -> Option<&OrchestratorPlan> {
        self.site.orchestrator.as_ref()
    }

    fn note(&self, change: HostChange) {
        self.site.diary.host(&self.host, change);
    }
}

/// Returns when the orchestrator takes the process for dead; never, where it does not ask.
async fn until_ill<M: Mount>(site: &Site<M>, host: &str, authority: Option<&str>) {
    let check = site.orchestrator.as_ref().and_then(|o| o.liveness.as_ref());
    match check.zip(authority) {
        Some((check, authority)) => liveness::until_ill(&site.network, check, &site.diary, host, authority).await,
        None => std::future::pending().await,
    }
}
