//! Who asks the store: within a time, and when it does not answer, not again for a while.
//!
//! What is done meanwhile is a policy, told in one log line and a gauge when it begins and when it ends. Does not know
//! what the accounts are for.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    Allowance, Demand, LimitSettings, LimitStorage, LimitStore, LimitStoreError, MemoryLimits, Verdict, WhenDown,
};
use crate::clock::Clock;
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::telemetry::Metrics;

/// Tries to settle at the store; the wait between them doubles from `ask_again`. What is not settled then lapses.
const TRIES: u32 = 8;
/// What is said of a store that is silent.
const LATE: &str = "it did not answer in time";

/// Asks the store of one instance.
#[derive(Clone)]
pub(crate) struct Keeper(Arc<Shared>);

struct Shared {
    settings: LimitSettings,
    own: MemoryLimits,
    /// `None` where limits are this instance's own.
    store: Option<Arc<dyn LimitStore>>,
    health: Mutex<Health>,
    clock: Clock,
    metrics: Metrics,
    tasks: Tasks,
    shutdown: CancellationToken,
}

/// How the store does, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Well,
    /// It did not answer; the first who comes after this asks again, for all.
    Down {
        ask_again: Instant,
    },
}

/// What a demand came to.
#[derive(Debug)]
pub(super) enum Answer {
    /// It fits, after a while.
    Granted(Held, std::time::Duration),
    /// It does not fit.
    Refused {
        claim: usize,
        wait: Option<std::time::Duration>,
    },
    /// Nobody knows, and all get through.
    Unlimited,
    /// Nobody knows, and nobody gets through.
    Closed,
}

/// What was taken, until it is settled.
#[derive(Debug)]
#[must_use = "what is not settled lapses"]
pub(super) struct Held {
    id: u64,
    is_own: bool,
}

/// What the store said, on its way to who asked. What is granted and not picked up is given back.
struct Told {
    asked: Option<Result<Verdict, LimitStoreError>>,
    keeper: Arc<Shared>,
    store: Arc<dyn LimitStore>,
    demand: Arc<Demand>,
}

impl Told {
    /// What is to be given back, if it was granted and not picked up.
    fn unused(&mut self) -> Option<(u64, Vec<u64>)> {
        let asked = self.asked.take().filter(|_| self.demand.lapse.is_some());
        let Some(Ok(Verdict::Granted { id, .. })) = asked else {
            return None;
        };
        Some((id, vec![0; self.demand.claims.len()]))
    }

    /// Nobody waits any more: at once, so that who comes next finds it there.
    async fn give_back(mut self) {
        if let Some((id, nothing)) = self.unused() {
            let (keeper, store) = (Arc::clone(&self.keeper), Arc::clone(&self.store));
            keeper.settled(store, id, Arc::clone(&self.demand), nothing).await;
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some((id, nothing)) = self.unused() {
            self.keeper.settle_at(&self.store, id, &self.demand, nothing);
        }
    }
}

impl Keeper {
    pub(crate) fn new(
        settings: LimitSettings,
        store: Arc<dyn LimitStore>,
        clock: Clock,
        metrics: Metrics,
        tasks: Tasks,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            store: (settings.store == LimitStorage::Shared).then_some(store),
            settings,
            own: MemoryLimits::default(),
            health: Mutex::new(Health::Well),
            clock,
            metrics,
            tasks,
            shutdown,
        }))
    }

    /// The clock that limits go by.
    pub(super) fn clock(&self) -> Clock {
        self.0.clock
    }

    /// Whether limits are shared and their store answers; `None` where they are not shared.
    pub(crate) fn is_well(&self) -> Option<bool> {
        self.0.store.as_ref()?;
        Some(*lock(&self.0.health) == Health::Well)
    }

    /// Takes what `demand` asks for, or says why not. Never longer than the store's time.
    pub(super) async fn reserve(&self, demand: &Arc<Demand>) -> Answer {
        let Some(store) = &self.0.store else {
            return self.0.by_itself(demand);
        };
        if !self.0.may_ask() {
            return self.0.without(demand);
        }
        match self.0.ask(store, demand).await {
            Ok(verdict) => {
                self.0.answered();
                answer(verdict, false)
            }
            Err(problem) => {
                self.0.failed(&problem);
                self.0.without(demand)
            }
        }
    }

    /// How much of a budget is left, in micro-dollars; `None` where nobody knows.
    pub(super) async fn left(&self, account: &str, rule: Allowance) -> Option<u64> {
        let keeper = &self.0;
        let Some(store) = &keeper.store else {
            return Some(keeper.own.left_now(account, rule, keeper.clock.now_unix_us()));
        };
        if !keeper.may_ask() {
            return None;
        }
        let asked = store.left(account, rule, keeper.clock.now_unix_us());
        let problem = match keeper.clock.timeout(keeper.settings.timeout, asked).await {
            Ok(Ok(left)) => {
                keeper.answered();
                return Some(left);
            }
            Ok(Err(LimitStoreError(error))) => error.to_string(),
            Err(_late) => LATE.to_owned(),
        };
        keeper.failed(&problem);
        None
    }

    /// Of what was taken, so much was used, claim by claim. At the store as soon as it answers.
    pub(super) fn settle(&self, held: &Held, demand: &Arc<Demand>, used: Vec<u64>) {
        let keeper = &self.0;
        match &keeper.store {
            Some(store) if !held.is_own => keeper.settle_at(store, held.id, demand, used),
            _ => keeper
                .own
                .settle_now(held.id, demand, &used, keeper.clock.now_unix_us()),
        }
    }
}

impl Shared {
    /// Whether the store is to be asked: while it is down, one in `ask_again` is.
    fn may_ask(&self) -> bool {
        let mut health = lock(&self.health);
        match *health {
            Health::Well => true,
            Health::Down { ask_again } if self.clock.now() < ask_again => false,
            Health::Down { .. } => {
                let ask_again = self.clock.now() + self.settings.timeout + self.settings.ask_again;
                *health = Health::Down { ask_again };
                true
            }
        }
    }

    /// Asks in a task of its own: what is granted to somebody who has stopped waiting is given back.
    async fn ask(self: &Arc<Self>, store: &Arc<dyn LimitStore>, demand: &Arc<Demand>) -> Result<Verdict, String> {
        let (tell, told) = oneshot::channel();
        let (keeper, store, demand) = (Arc::clone(self), Arc::clone(store), Arc::clone(demand));
        self.tasks.spawn(async move {
            let asked = store.reserve(&demand, keeper.clock.now_unix_us());
            let asked = tokio::select! {
                biased;
                asked = asked => asked,
                // An end in good order does not wait for a store that is silent.
                () = keeper.shutdown_and_timeout() => return,
            };
            let told = Told {
                asked: Some(asked),
                keeper,
                store,
                demand,
            };
            if let Err(told) = tell.send(told) {
                told.give_back().await;
            }
        });
        match self.clock.timeout(self.settings.timeout, told).await {
            Ok(Ok(mut told)) => match told.asked.take() {
                Some(Ok(verdict)) => Ok(verdict),
                Some(Err(error)) => Err(error.to_string()),
                None => Err(LATE.to_owned()),
            },
            Ok(Err(_ended)) => Err("this instance is ending".to_owned()),
            Err(_late) => Err(LATE.to_owned()),
        }
    }

    async fn shutdown_and_timeout(&self) {
        self.shutdown.cancelled().await;
        self.clock.sleep(self.settings.timeout).await;
    }

    /// Settles at the store, as soon as it answers. Without a runtime the process is at its end: it lapses.
    fn settle_at(self: &Arc<Self>, store: &Arc<dyn LimitStore>, id: u64, demand: &Arc<Demand>, used: Vec<u64>) {
        if tokio::runtime::Handle::try_current().is_ok() {
            let settling = Arc::clone(self).settled(Arc::clone(store), id, Arc::clone(demand), used);
            self.tasks.spawn(settling);
        }
    }

    /// Settles at the store, as often as it takes.
    async fn settled(self: Arc<Self>, store: Arc<dyn LimitStore>, id: u64, demand: Arc<Demand>, used: Vec<u64>) {
        let mut pause = self.settings.ask_again;
        for attempt in 1..=TRIES {
            let settling = store.settle(id, &demand, &used, self.clock.now_unix_us());
            let problem = match self.clock.timeout(self.settings.timeout, settling).await {
                Ok(Ok(())) => return,
                Ok(Err(LimitStoreError(error))) => error.to_string(),
                Err(_late) => LATE.to_owned(),
            };
            self.failed(&problem);
            if attempt == TRIES || self.shutdown.is_cancelled() {
                break;
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {}
                () = self.clock.sleep(pause) => {}
            }
            pause *= 2;
        }
        tracing::warn!("what a request used could not be settled: all that was set aside for it counts as used");
    }

    /// The store answered.
    fn answered(&self) {
        let mut health = lock(&self.health);
        if *health != Health::Well {
            *health = Health::Well;
            self.metrics.limits_degraded.set(0);
            tracing::info!("the store of limits answers again");
        }
    }

    /// The store did not answer, or not well.
    fn failed(&self, problem: &str) {
        self.metrics.limit_store_errors.inc();
        let ask_again = self.clock.now() + self.settings.ask_again;
        let before = std::mem::replace(&mut *lock(&self.health), Health::Down { ask_again });
        if before == Health::Well {
            self.metrics.limits_degraded.set(1);
            let policy = match self.settings.when_down {
                WhenDown::Local => "each instance keeps them for itself",
                WhenDown::Open => "they are not kept",
                WhenDown::Closed => "nothing that has one gets through",
            };
            tracing::warn!(problem, policy, "the store of limits does not answer");
        }
    }

    fn without(&self, demand: &Demand) -> Answer {
        match self.settings.when_down {
            WhenDown::Local => self.by_itself(demand),
            WhenDown::Open => Answer::Unlimited,
            WhenDown::Closed => Answer::Closed,
        }
    }

    fn by_itself(&self, demand: &Demand) -> Answer {
        answer(self.own.reserve_now(demand, self.clock.now_unix_us()), true)
    }
}

fn answer(verdict: Verdict, is_own: bool) -> Answer {
    match verdict {
        Verdict::Granted { id, after } => Answer::Granted(Held { id, is_own }, after),
        Verdict::Refused { claim, wait } => Answer::Refused { claim, wait },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::{Claim, Rule};
    use crate::settings::{Preset, Settings, Usd};

    #[tokio::test(start_paused = true)]
    async fn what_is_granted_to_who_leaves_before_it_looks_is_given_back() {
        let settings = LimitSettings {
            store: LimitStorage::Shared,
            ..Settings::preset(Preset::Resilient).limits
        };
        let keeper = Keeper::new(
            settings,
            Arc::new(MemoryLimits::default()),
            Clock::starting_at(1_000_000),
            Metrics::default(),
            Tasks::default(),
            CancellationToken::new(),
        );
        let rule = Allowance::new(Usd::from_micros(100), Duration::from_hours(1));
        let demand = Arc::new(Demand {
            claims: vec![Claim {
                account: "a".to_owned(),
                rule: Rule::Budget(rule),
                amount: 60,
            }],
            patience: Duration::ZERO,
            lapse: Some(Duration::from_mins(10)),
        });
        let mut asking = Box::pin(keeper.reserve(&demand));
        assert!(futures::poll!(&mut asking).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(keeper.left("a", rule).await, Some(40), "granted, and nobody has looked");
        drop(asking);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(keeper.left("a", rule).await, Some(100));
        assert!(matches!(keeper.reserve(&demand).await, Answer::Granted(..)));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(keeper.left("a", rule).await, Some(40), "who looks has it");
    }
}
