//! One variant, assembled, played and taken down: the same steps on both clocks.
//!
//! Which clock it is shows in two values only, the network and the place of the hosts; and in which engine a provider
//! may use, which the provider decides. `seat` is a provider's place, `target` the service's processes with the load
//! balancer in front.

mod seat;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use brownout_load::Audience;
use brownout_measure::Observations;
use brownout_measure::record::ClockKind;
use brownout_net::{Listener, Network, RunClock, serve};
use brownout_provider::{Needs, Provider, base_url};
use brownout_scenario::observe::RequestObservation;
use brownout_scenario::plan::{Plan, ProviderPlan, Variant};
use brownout_scenario::schedule;
use brownout_scenario::seed::SeedTree;
use brownout_scenario::units::Micros;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::collector::Collector;
use crate::error::WorldError;
use crate::event::Event;
use crate::hosts::Place;
use crate::mount::{HostSpec, Mount, MountError, ProviderEndpoint};
use crate::scraper::Scraper;
use seat::Seat;

/// How often it is asked whether the providers are done with what clients left behind.
const SETTLING_STEP: Duration = Duration::from_millis(50);
/// Connections still open when the world ends get this long.
const FAREWELL: Duration = Duration::from_millis(100);

/// A variant, played.
pub(crate) struct Played {
    /// What was seen.
    pub(crate) observations: Observations,
    /// What a reader must know beside it.
    pub(crate) notes: Vec<String>,
    /// A host that did not stay up.
    pub(crate) failure: Option<WorldError>,
    /// The metrics of its hosts, where they were scraped.
    pub(crate) metrics: Option<String>,
}

/// Everything a variant needs to be played.
pub(crate) struct Stage<'a, M> {
    pub(crate) plan: &'a Plan,
    pub(crate) variant: &'a Variant,
    pub(crate) mount: Arc<M>,
    pub(crate) clock: ClockKind,
    pub(crate) network: Network,
    pub(crate) place: Place,
    /// Unix time in microseconds when the stage is set up.
    pub(crate) unix_us: u64,
    pub(crate) stop: CancellationToken,
    pub(crate) events: Arc<dyn Fn(Event) + Send + Sync>,
}

impl<M: Mount> Stage<'_, M> {
    /// Plays the variant. On an error nothing is left running.
    pub(crate) async fn play(self) -> Result<Played, WorldError> {
        let set_up = RunClock::start();
        let shutdown = CancellationToken::new();
        let _ends_with_the_stage = shutdown.clone().drop_guard();
        let mut world = JoinSet::new();

        let mut seats = Vec::with_capacity(self.variant.providers.len());
        for plan in &self.variant.providers {
            seats.push(Seat::take(plan, self.needs(plan), &self.network)?);
        }
        let collector = Collector::default();
        let telemetry = self.listen("telemetry")?;
        let telemetry_url = format!("http://{}", telemetry.authority());
        world.spawn(serve(telemetry, collector.service(), shutdown.clone(), FAREWELL));

        let spec = self.spec(&seats, telemetry_url);
        let target = self.raise(spec, set_up, &mut world, &shutdown).await?;

        // The run begins here: everything before was setting up.
        let origin_unix_us = self.unix_us + set_up.now_us();
        let clock = RunClock::start();
        // Set once, here.
        let _ = target.beginning.set(clock);
        let targets = target.hosts.targets();
        let hosts = target.hosts.begin(clock, self.variant.events.clone());
        let seed = SeedTree::new(self.plan.seed);
        let mut providers = Vec::with_capacity(seats.len());
        let mut engines = BTreeMap::new();
        for (seat, plan) in seats.into_iter().zip(&self.variant.providers) {
            engines.insert(plan.name.clone(), seat.reason.clone());
            providers.push(seat.open(plan, seed, clock, &shutdown).await?);
        }
        let scraper = self
            .plan
            .scrape
            .map(|every| Scraper::start(every, self.network.clone(), clock, targets));
        let requests = self.play_load(clock, target.authority).await;
        let interrupted_at = self.stop.is_cancelled().then(|| Micros(clock.now_us()));
        self.settle(clock, &providers).await;
        // Closed before anything ends: what the end of the world cuts is not a caller hanging up.
        let mut ledger = Vec::new();
        for provider in &providers {
            provider.ledger.close(clock.now_us());
            ledger.extend(provider.ledger.rows());
        }
        let (host_rows, probe_rows) = target.diary.close();
        let metrics = scraper.map(|scraper| scraper.finish(origin_unix_us));
        let clean_end = hosts.stop().await;
        shutdown.cancel();
        while world.join_next().await.is_some() {}
        // A host that was lost is told beside what was seen, never in its place.
        let failure = clean_end.err().map(|e| self.lost(&e));
        let spans = collector.rows(origin_unix_us);
        let observations = Observations {
            requests,
            ledger,
            spans,
            engines,
            hosts: host_rows,
            probes: probe_rows,
            interrupted_at,
        };
        let mut notes = self.notes(&collector);
        notes.extend(failure.iter().map(ToString::to_string));
        let metrics = metrics.map(|(text, dropped)| {
            notes.extend((dropped > 0).then(|| format!("{}: no room for {dropped} scrapes", self.variant.name)));
            text
        });
        Ok(Played {
            observations,
            notes,
            failure,
            metrics,
        })
    }

    fn notes(&self, collector: &Collector) -> Vec<String> {
        let unreadable = collector.unreadable();
        let note = format!(
            "{}: {unreadable} trace exports could not be read as OTLP JSON, or had no room",
            self.variant.name
        );
        if unreadable == 0 { Vec::new() } else { vec![note] }
    }

    fn needs(&self, plan: &ProviderPlan) -> Needs {
        Needs {
            streams: schedule::streams(&self.variant.load),
            sees_hang_ups: schedule::somebody_leaves(&self.variant.load)
                || self.hosts_may_go()
                || self.may_be_cut_off(plan),
            virtual_clock: self.clock == ClockKind::Virtual,
        }
    }

    /// Whether processes may end in the middle of the run.
    fn hosts_may_go(&self) -> bool {
        self.variant.orchestrator.is_some() || !self.variant.events.is_empty()
    }

    /// Whether the load balancer or the service may hang up on an attempt before its answer is complete.
    fn may_be_cut_off(&self, plan: &ProviderPlan) -> bool {
        let slowest = plan.slowest_answer();
        let gateway = self.variant.gateway.as_ref().map(|g| {
            g.total_timeout
                .into_iter()
                .fold(g.request_timeout.min(g.idle_timeout), Micros::min)
        });
        let service = self.mount.shortest_patience(&self.variant.service.settings);
        gateway.into_iter().chain(service).any(|patience| patience <= slowest)
    }

    fn listen(&self, host: &str) -> Result<Listener, WorldError> {
        self.network.listen(host).map_err(|source| WorldError::Listen {
            host: host.to_owned(),
            source,
        })
    }

    fn spec(&self, seats: &[Seat], telemetry_url: String) -> HostSpec {
        let providers = seats
            .iter()
            .zip(&self.variant.providers)
            .map(|(seat, plan)| ProviderEndpoint {
                name: plan.name.clone(),
                base_url: base_url(plan.dialect, &seat.authority),
                model: plan.model().to_owned(),
                price: plan.models[0].price,
                context_window: plan.models[0].context_window,
                tasks: plan.tasks.clone(),
                prefill: !plan.beginnings.is_usual(),
            });
        HostSpec {
            name: "service".to_owned(),
            settings: self.variant.service.settings.clone(),
            providers: providers.collect(),
            telemetry_url,
            seed: self.plan.seed,
            detours: BTreeMap::new(),
        }
    }

    fn lost(&self, error: &MountError) -> WorldError {
        WorldError::Service {
            variant: self.variant.name.clone(),
            reason: error.to_string(),
        }
    }

    async fn play_load(&self, clock: RunClock, authority: String) -> Vec<RequestObservation> {
        let name = self.variant.name.clone();
        let due = schedule::due_times(self.plan, &self.variant.load);
        (self.events)(Event::VariantStarted {
            scenario: self.plan.scenario.clone(),
            variant: name.clone(),
            planned: due.map(|due| due.len() as u64),
        });
        let events = Arc::clone(&self.events);
        let progressed = move |ended| {
            let variant = name.clone();
            events(Event::Progressed { variant, ended });
        };
        let audience = Audience {
            network: self.network.clone(),
            authority,
            clock,
        };
        brownout_load::play(self.plan, &self.variant.load, audience, self.stop.clone(), progressed).await
    }

    /// Waits for the work that clients left behind, for it is billed; never past the end of the drain.
    async fn settle(&self, clock: RunClock, providers: &[Provider]) {
        let closing_time = self.plan.duration.plus(self.plan.drain);
        while clock.now_us() < closing_time.0
            && !self.stop.is_cancelled()
            && providers
                .iter()
                .any(|provider| provider.ledger.open_at(clock.now_us()) > 0)
        {
            tokio::time::sleep(SETTLING_STEP).await;
        }
    }
}
