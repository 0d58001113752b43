//! The parts of one instance, put together once, from the settings and the ports.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::answering::Flights;
use crate::cache::{CacheStore, CacheStoreKind, Caches, Exact, Key, MemoryCache, Semantic, Wording};
use crate::clock::Clock;
use crate::designs::{AtWork, Backlog, Lookout, Workers};
use crate::draws::Ids;
use crate::error::ServiceError;
use crate::features::Dependencies;
use crate::features::embeddings::Batcher;
use crate::features::jobs::Watched;
use crate::limits::{Keeper, Limits};
use crate::ports::Stores;
use crate::queue::{JobStore, MemoryJobs};
use crate::resilience::disconnect::Leaving;
use crate::resilience::shed::Places;
use crate::routing::Router;
use crate::settings::{Design, Settings};
use crate::storage::Accounts;
use crate::tasks::Tasks;
use crate::telemetry::{Exporter, Metrics, Resource, Tracer};
use crate::upstream::{ModelClient, Upstream};
use crate::webhooks::Sender;

/// What every request can reach. Shared by all tasks of an instance, by nobody else.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) ids: Ids,
    /// Who may call.
    pub(crate) access: Access,
    /// What may be used and spent.
    pub(crate) limits: Limits,
    /// Places among the calls at work.
    pub(crate) places: Places,
    pub(crate) metrics: Metrics,
    pub(crate) tracer: Tracer,
    pub(crate) models: ModelClient,
    /// Which inputs of embeddings go out together.
    pub(crate) batcher: Batcher,
    /// Who is asked.
    pub(crate) router: Router,
    /// Answers that were given before, where they are given again.
    pub(crate) caches: Caches,
    /// Calls under way that others may join.
    pub(crate) flights: Arc<Flights>,
    pub(crate) accounts: Accounts,
    /// What readiness asks.
    pub(crate) dependencies: Dependencies,
    /// Where jobs are: the durable queue, or this process's memory in the background design.
    pub(crate) jobs: Arc<dyn JobStore>,
    /// The workers of the blocking design.
    pub(crate) workers: Option<Workers>,
    /// Places for running jobs.
    pub(crate) job_slots: Arc<Semaphore>,
    /// The jobs that run here.
    pub(crate) at_work: Arc<AtWork>,
    /// The bound of the jobs that wait.
    pub(crate) backlog: Backlog,
    /// Looks at jobs for all who want to know when they change.
    pub(crate) lookout: Lookout,
    /// The jobs that somebody watches here.
    pub(crate) watched: Watched,
    /// Tells the outcomes of jobs.
    pub(crate) webhooks: Sender,
    /// What becomes of work whose client has left.
    pub(crate) leaving: Leaving,
    pub(crate) tasks: Tasks,
    /// Names the instance in leases and spans.
    pub(crate) name: String,
    /// Cancelled when no new work is to be begun.
    pub(crate) shutdown: CancellationToken,
    /// Cancelled when work in progress is to be given back.
    pub(crate) give_back: CancellationToken,
}

/// What is needed besides the settings.
pub(crate) struct Parts {
    pub(crate) upstream: Arc<dyn Upstream>,
    pub(crate) stores: Stores,
    pub(crate) clock: Clock,
    pub(crate) seed: u64,
    pub(crate) shutdown: CancellationToken,
    pub(crate) name: String,
}

impl App {
    /// Builds an instance, and the exporter of its spans if somebody collects them.
    pub(crate) fn build(settings: Settings, parts: Parts) -> Result<(Arc<Self>, Option<Exporter>), ServiceError> {
        let Parts {
            upstream,
            stores,
            clock,
            seed,
            shutdown,
            name,
        } = parts;
        let (metrics, tasks) = (Metrics::default(), Tasks::default());
        metrics.process_start.set(clock.now_unix_us() as f64 / 1e6);
        metrics.pool_size.set(i64::from(settings.database.pool));
        let instance = settings.instance.clone().unwrap_or_else(|| name.clone());
        let resource = Resource {
            instance: instance.clone(),
            environment: settings.environment.clone(),
        };
        let collected = settings
            .otlp_endpoint
            .as_deref()
            .map(|base| Exporter::new(base, resource, Arc::clone(&upstream), metrics.clone()))
            .transpose()?;
        let (exporter, spans) = collected.unzip();
        let jobs = match settings.design {
            Design::Background => Arc::new(MemoryJobs::new(settings.lease_policy())),
            Design::Blocking | Design::Coupled | Design::Queued => stores.jobs,
        };
        let leaving = Leaving::new(settings.disconnect, settings.drain, tasks.clone(), metrics.clone());
        let workers = (settings.design == Design::Blocking)
            .then(|| Workers::new(&settings, clock, tasks.clone(), metrics.clone(), leaving.clone()));
        let keeper = Keeper::new(
            settings.limits,
            stores.limits,
            clock,
            metrics.clone(),
            tasks.clone(),
            shutdown.clone(),
        );
        let dependencies = Dependencies::new(stores.database.as_ref(), &jobs, settings.design, settings.health, clock);
        let caches = caches(&settings, stores.cache, &metrics, clock);
        let app = Self {
            dependencies,
            caches,
            flights: Arc::default(),
            tracer: Tracer::new(spans, metrics.clone(), clock, seed),
            webhooks: Sender::new(&settings.webhooks, Arc::clone(&upstream), clock),
            models: ModelClient::new(&settings, upstream, metrics.clone(), &instance, clock, seed)?,
            batcher: Batcher::new(settings.batch),
            router: Router::new(&settings, seed),
            accounts: Accounts::new(stores.database, &settings.database, metrics.clone(), clock),
            job_slots: Arc::new(Semaphore::new(settings.jobs.concurrency as usize)),
            at_work: Arc::default(),
            backlog: Backlog::new(&settings),
            lookout: Lookout::new(Arc::clone(&jobs), settings.jobs.poll, clock, tasks.clone()),
            watched: Watched::default(),
            ids: Ids::new(seed),
            access: Access::new(&settings),
            limits: Limits::new(&settings, keeper, metrics.clone()),
            places: Places::new(settings.shed, metrics.clone()),
            give_back: CancellationToken::new(),
            settings,
            clock,
            seed,
            metrics,
            jobs,
            workers,
            leaving,
            tasks,
            name,
            shutdown,
        };
        Ok((Arc::new(app), exporter))
    }
}

/// The caches that the settings switch on; `shared` is the store that all instances have together.
fn caches(settings: &Settings, shared: Arc<dyn CacheStore>, metrics: &Metrics, clock: Clock) -> Caches {
    let origin = Key::of_origin(settings);
    let settings = &settings.cache;
    let exact = settings.exact.then(|| {
        let store = match settings.store {
            CacheStoreKind::Memory => Arc::new(MemoryCache::new(settings)),
            CacheStoreKind::Shared => shared,
        };
        Exact::new(store, settings, metrics.clone(), clock)
    });
    let semantic = settings
        .semantic
        .then(|| Semantic::new(Arc::new(Wording::new()), settings, metrics.clone(), clock));
    Caches::new(exact, semantic, origin, metrics.clone())
}
