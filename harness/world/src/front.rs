//! The load balancer in front of a variant's replicas, and whom the clients call.

use std::sync::Arc;
use std::time::Duration;

use brownout_net::gateway::{self, Backends, GatewayConfig, GatewayEvent, HealthCheck, Observer};
use brownout_net::{Listener, Network};
use brownout_scenario::observe::{HostChange, Probe};
use brownout_scenario::plan::{GatewayPlan, HealthCheckPlan, Variant};
use brownout_scenario::units::Micros;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::hosts::{Diary, host_of};

/// Longer than any run.
const PATIENT: Micros = Micros::from_secs(24 * 3600);
/// How often it is asked whether the first replicas are admitted.
const ADMISSION_STEP: Duration = Duration::from_millis(10);

/// The gateway of `variant`, if it has one: the plan's, or a patient one where clients need an address that stays.
pub(crate) fn planned(variant: &Variant) -> Option<GatewayPlan> {
    let changing = variant.orchestrator.is_some() || !variant.events.is_empty();
    let needed = changing || variant.service.replicas != 1;
    variant.gateway.clone().or_else(|| needed.then(patient))
}

/// The gateway of a scenario that does not speak of one.
pub(crate) fn patient() -> GatewayPlan {
    GatewayPlan {
        request_timeout: PATIENT,
        idle_timeout: PATIENT,
        total_timeout: None,
        health: None,
    }
}

/// What a gateway needs besides its plan.
pub(crate) struct Front {
    pub(crate) listener: Listener,
    pub(crate) network: Network,
    pub(crate) backends: Backends,
    pub(crate) diary: Diary,
    /// Whether requests wait for a replica where there is none.
    pub(crate) wait_for_backend: bool,
}

impl Front {
    /// Puts the gateway up, until `shutdown`.
    pub(crate) fn open(
        self,
        plan: &GatewayPlan,
        world: &mut JoinSet<()>,
        shutdown: CancellationToken,
        grace: Duration,
    ) {
        let config = GatewayConfig {
            request_timeout: plan.request_timeout.into(),
            idle_timeout: plan.idle_timeout.into(),
            total_timeout: plan.total_timeout.map(Into::into),
            health: plan.health.as_ref().map(health_check),
            wait_for_backend: self.wait_for_backend,
        };
        let observer = observer(self.diary);
        world.spawn(gateway::run(
            self.listener,
            self.network,
            self.backends,
            config,
            observer,
            shutdown,
            grace,
        ));
    }
}

fn health_check(plan: &HealthCheckPlan) -> HealthCheck {
    HealthCheck {
        path: plan.path.clone(),
        every: plan.every.into(),
        timeout: plan.timeout.into(),
        unhealthy_after: plan.unhealthy_after,
        healthy_after: plan.healthy_after,
    }
}

fn observer(diary: Diary) -> Observer {
    Arc::new(move |event| match event {
        GatewayEvent::Ejected { name } => diary.host(host_of(&name), HostChange::Ejected),
        GatewayEvent::Admitted { name } => diary.host(host_of(&name), HostChange::Admitted),
        GatewayEvent::Probed { name, at, took, status } => {
            diary.probe(host_of(&name), Probe::Readiness, at, took, status);
        }
    })
}

/// Waits until a gateway that probes has admitted the first `replicas`, at most as long as that takes where they are well:
/// a run does not begin with replicas that nobody has looked at.
pub(crate) async fn first_admissions(plan: &GatewayPlan, replicas: u32, diary: &Diary) {
    let Some(health) = &plan.health else {
        return;
    };
    let every: Duration = health.every.into();
    let deadline = Instant::now() + every * health.healthy_after + health.timeout.into();
    let mut missing: Vec<String> = (0..replicas).map(|n| format!("service-{n}")).collect();
    loop {
        missing.retain(|host| !diary.has(host, HostChange::Admitted));
        if missing.is_empty() || Instant::now() >= deadline {
            return;
        }
        sleep(ADMISSION_STEP).await;
    }
}
