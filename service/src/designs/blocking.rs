//! The blocking design: a bounded pool of workers, each taken for the whole of a request, the model's time included.
//!
//! What a sync framework does: a request waits for a worker in a backlog, and the worker does everything for it (with its
//! database connection, where that is held). A client that leaves is noticed as far as the disconnect policy says, in the
//! backlog as well as at work; the usual sync framework is `run_on`. On the real clock a worker is a thread that blocks; in
//! virtual time, where foreign threads would not stop the clock, it is a task with the same bound.

use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;
use crate::error::Error;
use crate::resilience::deadline::{Deadline, Phase};
use crate::resilience::disconnect::{Events, Leaving, Sink, Wanted, detached, detached_stream};
use crate::settings::Settings;
use crate::tasks::Tasks;
use crate::telemetry::conventions::span;
use crate::telemetry::{Counted, Metrics, Trace};

/// The pool.
#[derive(Clone)]
pub(crate) struct Workers {
    free: Arc<Semaphore>,
    backlog: Arc<Semaphore>,
    threads: bool,
    leaving: Leaving,
    tasks: Tasks,
    metrics: Metrics,
}

impl Workers {
    pub(crate) fn new(settings: &Settings, clock: Clock, tasks: Tasks, metrics: Metrics, leaving: Leaving) -> Self {
        let workers = settings.blocking_workers as usize;
        metrics.workers.set(i64::from(settings.blocking_workers));
        Self {
            free: Arc::new(Semaphore::new(workers)),
            // Those at work stand in the backlog too, until they are done: one bound for all that was let in.
            backlog: Arc::new(Semaphore::new(workers + settings.blocking_backlog as usize)),
            threads: clock.is_real(),
            leaving,
            tasks,
            metrics,
        }
    }

    pub(super) async fn answer<T: Send + 'static>(
        &self,
        trace: &Trace,
        deadline: Deadline,
        work: BoxFuture<'static, Result<T, Error>>,
    ) -> Result<T, Error> {
        let place = self.place()?;
        let (client, wanted) = self.leaving.bond();
        let answered = detached(|task| self.run(trace.clone(), deadline, place, wanted, task), work).await;
        client.stayed();
        answered.map_err(|_lost| Error::cut_off(&deadline))?
    }

    pub(super) fn stream<T, F>(
        &self,
        trace: &Trace,
        deadline: Deadline,
        produce: impl FnOnce(Sink<T>) -> F,
    ) -> Result<Events<T>, Error>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let place = self.place()?;
        let (client, wanted) = self.leaving.bond();
        let events = detached_stream(|task| self.run(trace.clone(), deadline, place, wanted, task), produce);
        Ok(events.bonded(client))
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.backlog)
            .try_acquire_owned()
            .map_err(|_| Error::Overloaded)
    }

    /// Waits for a worker and has it do `work`, as long as that is wanted, and unless none was free before the request's time
    /// was over.
    fn run(
        &self,
        trace: Trace,
        deadline: Deadline,
        place: OwnedSemaphorePermit,
        wanted: Wanted,
        work: BoxFuture<'static, ()>,
    ) {
        let pool = self.clone();
        self.tasks.spawn(async move {
            let wait = trace.span(span::WAIT_WORKER);
            let free = Arc::clone(&pool.free).acquire_owned();
            // Never closed: an error would mean that the pool is gone, and the work with it.
            let worker = wanted.unless_unwanted(deadline.within(Phase::Total, free)).await;
            let Some(Ok(Ok(worker))) = worker else {
                return;
            };
            drop(wait);
            let busy = Counted::begin(&pool.metrics.workers_busy);
            let work = async move {
                let _taken = (place, worker, busy);
                wanted.bound(work).await;
            };
            if pool.threads {
                pool.tasks.spawn_thread(work);
            } else {
                work.await;
            }
        });
    }
}
