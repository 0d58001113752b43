//! The service's processes and the load balancer in front of them, raised before the run begins.

use std::sync::Arc;

use brownout_measure::record::ClockKind;
use brownout_net::RunClock;
use brownout_net::gateway::Backends;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{FAREWELL, Stage};
use crate::dependencies::Beginning;
use crate::error::WorldError;
use crate::front::{self, Front};
use crate::hosts::{Diary, Hosts, Incarnations, Numbers, Site};
use crate::mount::{HostSpec, Mount};
use crate::scraper::Targets;

/// What the clients will call.
pub(super) struct Target<M: Mount> {
    pub(super) hosts: Hosts<M>,
    pub(super) diary: Diary,
    /// To be set when the run begins.
    pub(super) beginning: Beginning,
    /// Whom the clients call.
    pub(super) authority: String,
}

impl<M: Mount> Stage<'_, M> {
    /// Starts the processes that are there from the beginning and puts the load balancer up.
    pub(super) async fn raise(
        &self,
        spec: HostSpec,
        set_up: RunClock,
        world: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<Target<M>, WorldError> {
        let (beginning, backends) = (Beginning::default(), Backends::new());
        let diary = Diary::new(Arc::clone(&beginning));
        let site = self.site(spec, &beginning, &backends, &diary, set_up)?;
        let service = &self.variant.service;
        let numbers = Numbers {
            replicas: service.replicas,
            workers: service.workers,
        };
        let hosts = Hosts::start(site, numbers).await.map_err(|e| self.lost(&e))?;
        let authority = self.front(&hosts, backends, &diary, world, shutdown).await?;
        Ok(Target {
            hosts,
            diary,
            beginning,
            authority,
        })
    }

    fn site(
        &self,
        spec: HostSpec,
        beginning: &Beginning,
        backends: &Backends,
        diary: &Diary,
        set_up: RunClock,
    ) -> Result<Arc<Site<M>>, WorldError> {
        let shared = match self.clock {
            ClockKind::Virtual => Some(self.mount.shared(&spec).map_err(|e| self.lost(&e))?),
            ClockKind::Real => None,
        };
        Ok(Arc::new(Site {
            mount: Arc::clone(&self.mount),
            spec,
            place: self.place.clone(),
            network: self.network.clone(),
            shared,
            set_up,
            beginning: Arc::clone(beginning),
            orchestrator: self.variant.orchestrator.clone(),
            dependency_faults: self.variant.dependency_faults.clone(),
            backends: backends.clone(),
            probing_gateway: self.variant.gateway.as_ref().is_some_and(|g| g.health.is_some()),
            targets: Targets::default(),
            diary: diary.clone(),
            incarnations: Incarnations::default(),
        }))
    }

    /// Puts the load balancer up, where there is one, and says whom the clients call.
    async fn front(
        &self,
        hosts: &Hosts<M>,
        backends: Backends,
        diary: &Diary,
        world: &mut JoinSet<()>,
        shutdown: &CancellationToken,
    ) -> Result<String, WorldError> {
        let plan = match (front::planned(self.variant), &hosts.authority) {
            (None, Some(authority)) => return Ok(authority.clone()),
            (plan, _) => plan.unwrap_or_else(front::patient),
        };
        let listener = self.listen("gateway")?;
        let authority = listener.authority().to_owned();
        let scale = self.variant.orchestrator.as_ref().and_then(|o| o.scale.as_ref());
        if let Some(most) = scale.and_then(|scale| scale.most_in_flight) {
            backends.limit(u64::from(most));
        }
        let front = Front {
            listener,
            network: self.network.clone(),
            backends,
            diary: diary.clone(),
            wait_for_backend: scale.is_some_and(|scale| scale.min == 0 || scale.most_in_flight.is_some()),
        };
        front.open(&plan, world, shutdown.clone(), FAREWELL);
        front::first_admissions(&plan, self.variant.service.replicas, diary).await;
        Ok(authority)
    }
}
