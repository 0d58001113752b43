//! The one dispatcher: sends every request at the instant it is due, and never waits for an answer to send the next.
//!
//! Open arrivals follow a schedule that was drawn before; closed arrivals are users who ask, wait and think. Both end
//! in the same client, and both account for every request that fell due.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use brownout_net::{Network, RunClock};
use brownout_scenario::observe::{Delivered, Outcome, RequestObservation};
use brownout_scenario::plan::{Arrivals, LoadPlan, Plan};
use brownout_scenario::schedule::{self, PlannedRequest};
use brownout_scenario::units::Micros;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::client::{self, Surroundings};

/// Most requests in flight at once; one that falls due above that is `not_sent`, never delayed.
pub const MOST_IN_FLIGHT: usize = 20_000;

/// Who is asked, over which network, on which clock.
#[derive(Clone)]
pub struct Audience {
    /// The network that reaches the target.
    pub network: Network,
    /// The target's authority: the gateway's, or the service's own.
    pub authority: String,
    /// The run's clock.
    pub clock: RunClock,
}

/// Plays the load of `variant` and returns an observation for every request that fell due, in schedule order.
///
/// `done` is called with the number of requests that have ended, for progress. When `stop` is cancelled no further
/// request is sent, and what is still open ends at once as unfinished.
pub async fn play(
    plan: &Plan,
    load: &LoadPlan,
    audience: Audience,
    stop: CancellationToken,
    done: impl Fn(u64) + Send + Sync + 'static,
) -> Vec<RequestObservation> {
    let around = Arc::new(Surroundings {
        network: audience.network,
        authority: audience.authority,
        clock: audience.clock,
        load: load.clone(),
        last_due: plan.duration,
        closing_time: plan.duration.plus(plan.drain),
    });
    let mut crowd = Crowd {
        around,
        stop,
        open: JoinSet::new(),
        seen: Vec::new(),
        done: Box::new(done),
    };
    match &load.arrivals {
        Arrivals::Closed { users, think } => crowd.closed(plan, *users, think),
        _ => crowd.open(plan, load).await,
    }
    crowd.leave().await
}

struct Crowd {
    around: Arc<Surroundings>,
    stop: CancellationToken,
    open: JoinSet<Vec<RequestObservation>>,
    seen: Vec<RequestObservation>,
    done: Box<dyn Fn(u64) + Send + Sync>,
}

impl Crowd {
    async fn open(&mut self, plan: &Plan, load: &LoadPlan) {
        for (index, due) in schedule::due_times(plan, load)
            .unwrap_or_default()
            .into_iter()
            .enumerate()
        {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                () = self.around.clock.sleep_until(due.0) => {}
            }
            self.collect_ended();
            let planned = schedule::planned(plan, load, index as u64);
            if self.open.len() >= MOST_IN_FLIGHT {
                self.seen.push(not_sent(&planned, due));
                continue;
            }
            let (around, stop) = (Arc::clone(&self.around), self.stop.clone());
            self.open
                .spawn(async move { client::ask(&around, planned, due, &stop).await });
        }
    }

    fn closed(&mut self, plan: &Plan, users: u32, think: &brownout_scenario::distribution::Distribution) {
        let next = Arc::new(AtomicU64::new(0));
        for _ in 0..users {
            let (around, stop, next) = (Arc::clone(&self.around), self.stop.clone(), Arc::clone(&next));
            let (plan, think) = (plan.clone(), think.clone());
            self.open.spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let due = around.now().plus(schedule::think_time(&plan, &think, index));
                    if due >= plan.duration {
                        return seen;
                    }
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => return seen,
                        () = around.clock.sleep_until(due.0) => {}
                    }
                    let planned = schedule::planned(&plan, &around.load, index);
                    seen.extend(client::ask(&around, planned, due, &stop).await);
                }
            });
        }
    }

    fn collect_ended(&mut self) {
        while let Some(ended) = self.open.try_join_next() {
            self.seen.extend(kept(ended));
        }
        (self.done)(self.seen.len() as u64);
    }

    /// Waits for all that is open: every client leaves by closing time at the latest.
    async fn leave(mut self) -> Vec<RequestObservation> {
        while let Some(ended) = self.open.join_next().await {
            self.seen.extend(kept(ended));
            (self.done)(self.seen.len() as u64);
        }
        self.seen.sort_by_key(|seen| seen.index);
        self.seen
    }
}

/// What a client saw. A client that panicked is a bug of ours, never a request that was not there.
fn kept(ended: Result<Vec<RequestObservation>, JoinError>) -> Vec<RequestObservation> {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn not_sent(planned: &PlannedRequest, due: Micros) -> RequestObservation {
    RequestObservation {
        index: planned.index,
        prompt: planned.prompt,
        client: planned.client,
        due,
        sent: None,
        acknowledged: None,
        headers: None,
        first_token: None,
        ended: due,
        status: None,
        outcome: Outcome::NotSent,
        gaps: Vec::new(),
        delivered: Delivered::default(),
        reported: None,
        bytes: 0,
    }
}
