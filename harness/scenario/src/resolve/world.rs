//! Gateway, orchestrator, events and dependency faults: the base of the file with the variant's changes on top.
//!
//! Gateway and orchestrator are merged key by key; events and dependency faults are lists, replaced as a whole. `fate` is
//! what happens to processes at stated times.

mod fate;

use std::ops::Range;

use toml::Spanned;

use super::{Context, Resolved, checked};
use crate::distribution::Distribution;
use crate::file::{File, GatewayBlock, HealthCheckBlock, OrchestratorBlock, ScaleBlock, VariantBlock};
use crate::plan::{
    DependencyFaultPlan, EventPlan, GatewayPlan, HealthCheckPlan, OrchestratorPlan, ScalePlan, ServicePlan,
};
use crate::units::Micros;

/// Cloud load balancers give a request 60 s and an idle connection as long, unless told otherwise.
const GATEWAY_DEFAULT: Micros = Micros::from_secs(60);
/// The defaults of Kubernetes' probes.
const PROBE_EVERY: Micros = Micros::from_secs(10);
const PROBE_TIMEOUT: Micros = Micros::from_secs(1);
const UNHEALTHY_AFTER: u32 = 3;
const HEALTHY_AFTER: u32 = 1;
const MOST_IN_A_ROW: u32 = 100;
/// The defaults of Kubernetes: time between SIGTERM and SIGKILL, pause between two decisions of the autoscaler, and how
/// long it waits before it takes replicas away.
const GRACE: Micros = Micros::from_secs(30);
const SCALE_EVERY: Micros = Micros::from_secs(15);
const SCALE_IDLE: Micros = Micros::from_secs(300);
/// Bounds memory: every replica is an instance of its own.
const MOST_REPLICAS: u32 = 1_000;
/// Bounds the work of a run that asks again and again.
const SHORTEST_PAUSE: Micros = Micros::from_millis(10);
const LONGEST_START: f64 = 600e6;

/// What stands around the service.
pub(super) struct World {
    pub(super) gateway: Option<GatewayPlan>,
    pub(super) orchestrator: Option<OrchestratorPlan>,
    pub(super) events: Vec<EventPlan>,
    pub(super) dependency_faults: Vec<DependencyFaultPlan>,
}

/// Where the number of replicas follows the load, `service` is told with how many it begins.
pub(super) fn world(
    context: &Context<'_>,
    file: &File,
    block: &Spanned<VariantBlock>,
    service: &mut ServicePlan,
) -> Resolved<World> {
    let raw = block.get_ref();
    let gateway = gateway(
        context,
        file.gateway.as_ref().map(Spanned::get_ref),
        raw.gateway.as_ref(),
    )?;
    let orchestrator = orchestrator(context, file.orchestrator.as_ref(), raw.orchestrator.as_ref())?;
    let scale = orchestrator.as_ref().and_then(|o| o.scale.as_ref());
    if let Some(scale) = scale {
        if raw.service.contains_key("replicas") {
            return context.fail(
                block.span(),
                "service.replicas and the orchestrator's scale both say how many replicas there are",
                "take replicas out: a run with scale begins with scale.min of them",
            );
        }
        service.replicas = scale.min;
    }
    let hosts = fate::HostNames {
        replicas: scale.map_or(service.replicas, |scale| scale.max),
        workers: service.workers,
    };
    let dependency_faults = raw.dependency_fault.as_ref().unwrap_or(&file.dependency_fault);
    Ok(World {
        events: fate::events(context, hosts, raw.event.as_ref().unwrap_or(&file.event))?,
        dependency_faults: fate::dependency_faults(context, hosts, dependency_faults)?,
        gateway,
        orchestrator,
    })
}

fn gateway(
    context: &Context<'_>,
    base: Option<&GatewayBlock>,
    patch: Option<&GatewayBlock>,
) -> Resolved<Option<GatewayPlan>> {
    if base.is_none() && patch.is_none() {
        return Ok(None);
    }
    let layers = || patch.into_iter().chain(base);
    let pick = |field: fn(&GatewayBlock) -> Option<Micros>| layers().find_map(field).unwrap_or(GATEWAY_DEFAULT);
    let total_timeout = layers().find_map(|g| g.total_timeout.as_ref());
    if let Some(spanned) = total_timeout.filter(|total| *total.get_ref() == Micros::ZERO) {
        return context.fail(
            spanned.span(),
            "a load balancer that gives a request no time at all",
            "write a total_timeout above 0, or leave it out",
        );
    }
    let health = layers().find_map(|g| g.health.as_ref());
    Ok(Some(GatewayPlan {
        request_timeout: pick(|g| g.request_timeout),
        idle_timeout: pick(|g| g.idle_timeout),
        total_timeout: total_timeout.map(|total| *total.get_ref()),
        health: health
            .map(|block| health_check(context, block, "/readyz"))
            .transpose()?,
    }))
}

fn orchestrator(
    context: &Context<'_>,
    base: Option<&OrchestratorBlock>,
    patch: Option<&OrchestratorBlock>,
) -> Resolved<Option<OrchestratorPlan>> {
    if base.is_none() && patch.is_none() {
        return Ok(None);
    }
    let layers = || patch.into_iter().chain(base);
    let start_time = match layers().find_map(|o| o.start_time.as_ref()) {
        None => Distribution::Constant { value: 0.0 },
        Some(spanned) => start_time(context, &spanned.span(), &spanned.get_ref().0)?,
    };
    let liveness = layers().find_map(|o| o.liveness.as_ref());
    if let Some(useless) = liveness.and_then(|block| block.get_ref().healthy_after.as_ref()) {
        return context.fail(
            useless.span(),
            "healthy_after has no meaning for liveness: a process that fails is restarted",
            "remove it",
        );
    }
    let scale = layers().find_map(|o| o.scale.as_ref());
    Ok(Some(OrchestratorPlan {
        start_time,
        grace: layers()
            .find_map(|o| o.grace.as_ref())
            .map_or(GRACE, |grace| *grace.get_ref()),
        liveness: liveness
            .map(|block| health_check(context, block, "/livez"))
            .transpose()?,
        scale: scale.map(|block| self::scale(context, block)).transpose()?,
    }))
}

fn start_time(context: &Context<'_>, span: &Range<usize>, d: &Distribution) -> Resolved<Distribution> {
    let d = checked(context, span, d)?;
    if d.upper() > LONGEST_START {
        return context.fail(
            span.clone(),
            "a process that may take more than ten minutes to start",
            "write a shorter start_time: it is the time from the start of a process to the moment it listens",
        );
    }
    Ok(d)
}

fn health_check(
    context: &Context<'_>,
    block: &Spanned<HealthCheckBlock>,
    default_path: &str,
) -> Resolved<HealthCheckPlan> {
    let raw = block.get_ref();
    let path = raw.path.as_ref().map_or(default_path, |path| path.get_ref());
    let printable = path.bytes().all(|b| b.is_ascii_graphic());
    if let Some(spanned) = raw.path.as_ref().filter(|_| !path.starts_with('/') || !printable) {
        return context.fail(
            spanned.span(),
            format!("`{path}` cannot be the path of a probe"),
            format!("write a path that begins with `/`, such as \"{default_path}\""),
        );
    }
    let every = raw.every.as_ref().map_or(PROBE_EVERY, |every| *every.get_ref());
    if let Some(spanned) = raw.every.as_ref().filter(|_| every < SHORTEST_PAUSE) {
        return context.fail(
            spanned.span(),
            format!("a probe every {every} is too often"),
            format!("write {SHORTEST_PAUSE} or more"),
        );
    }
    let timeout = raw.timeout.as_ref().map_or(PROBE_TIMEOUT, |timeout| *timeout.get_ref());
    if let Some(spanned) = raw.timeout.as_ref().filter(|_| timeout == Micros::ZERO) {
        return context.fail(
            spanned.span(),
            "a probe without any time always fails",
            "write a timeout above 0",
        );
    }
    Ok(HealthCheckPlan {
        path: path.to_owned(),
        every,
        timeout,
        unhealthy_after: in_a_row(context, raw.unhealthy_after.as_ref(), UNHEALTHY_AFTER)?,
        healthy_after: in_a_row(context, raw.healthy_after.as_ref(), HEALTHY_AFTER)?,
    })
}

fn in_a_row(context: &Context<'_>, count: Option<&Spanned<u32>>, default: u32) -> Resolved<u32> {
    match count {
        None => Ok(default),
        Some(count) if (1..=MOST_IN_A_ROW).contains(count.get_ref()) => Ok(*count.get_ref()),
        Some(count) => context.fail(
            count.span(),
            format!("{} probes in a row decide nothing", count.get_ref()),
            format!("write a number from 1 to {MOST_IN_A_ROW}"),
        ),
    }
}

fn scale(context: &Context<'_>, block: &Spanned<ScaleBlock>) -> Resolved<ScalePlan> {
    let raw = block.get_ref();
    let max = *raw.max.get_ref();
    if !(1..=MOST_REPLICAS).contains(&max) {
        return context.fail(
            raw.max.span(),
            format!("{max} replicas cannot be played"),
            format!("write max from 1 to {MOST_REPLICAS}"),
        );
    }
    let min = raw.min.as_ref().map_or(1, |min| *min.get_ref());
    if let Some(spanned) = raw.min.as_ref().filter(|_| min > max) {
        return context.fail(
            spanned.span(),
            format!("at least {min} replicas and at most {max} contradict each other"),
            "write a min that is not above max",
        );
    }
    let target_in_flight = *raw.target_in_flight.get_ref();
    if target_in_flight == 0 {
        return context.fail(
            raw.target_in_flight.span(),
            "replicas that are meant to carry no request are never enough",
            "write the requests in flight that one replica is meant to carry: 1 or more",
        );
    }
    let most_in_flight = raw.most_in_flight.as_ref().map(|most| *most.get_ref());
    if let Some(spanned) = raw
        .most_in_flight
        .as_ref()
        .filter(|_| most_in_flight < Some(target_in_flight))
    {
        return context.fail(
            spanned.span(),
            "a replica that is given fewer requests than it is meant to carry is never full",
            "write a most_in_flight that is not below target_in_flight",
        );
    }
    let every = raw.every.as_ref().map_or(SCALE_EVERY, |every| *every.get_ref());
    if let Some(spanned) = raw.every.as_ref().filter(|_| every < SHORTEST_PAUSE) {
        return context.fail(
            spanned.span(),
            format!("a decision every {every} is too often"),
            format!("write {SHORTEST_PAUSE} or more"),
        );
    }
    Ok(ScalePlan {
        min,
        max,
        target_in_flight,
        most_in_flight,
        every,
        idle: raw.idle.unwrap_or(SCALE_IDLE),
    })
}
