//! The shapes of what stands around the service: load balancer, orchestrator, events, dependencies.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::Times;
use crate::plan::Dependency;
use crate::units::Micros;

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayBlock {
    pub(crate) request_timeout: Option<Micros>,
    pub(crate) idle_timeout: Option<Micros>,
    pub(crate) total_timeout: Option<Spanned<Micros>>,
    pub(crate) health: Option<Spanned<HealthCheckBlock>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HealthCheckBlock {
    pub(crate) path: Option<Spanned<String>>,
    pub(crate) every: Option<Spanned<Micros>>,
    pub(crate) timeout: Option<Spanned<Micros>>,
    pub(crate) unhealthy_after: Option<Spanned<u32>>,
    pub(crate) healthy_after: Option<Spanned<u32>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrchestratorBlock {
    pub(crate) start_time: Option<Spanned<Times>>,
    pub(crate) grace: Option<Spanned<Micros>>,
    pub(crate) liveness: Option<Spanned<HealthCheckBlock>>,
    pub(crate) scale: Option<Spanned<ScaleBlock>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScaleBlock {
    pub(crate) min: Option<Spanned<u32>>,
    pub(crate) max: Spanned<u32>,
    pub(crate) target_in_flight: Spanned<u32>,
    pub(crate) most_in_flight: Option<Spanned<u32>>,
    pub(crate) every: Option<Spanned<Micros>>,
    pub(crate) idle: Option<Micros>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventBlock {
    pub(crate) kind: Spanned<EventWord>,
    pub(crate) at: Spanned<Micros>,
    pub(crate) pause: Option<Spanned<Micros>>,
    pub(crate) host: Option<Spanned<String>>,
    pub(crate) restart_after: Option<Spanned<Micros>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EventWord {
    RollingRestart,
    Terminate,
    Kill,
    Flush,
}

impl EventBlock {
    /// The keys of some kinds, each with its place where the block has it.
    pub(crate) fn keys_of_kinds(&self) -> [(&'static str, Option<Range<usize>>); 3] {
        [
            ("pause", self.pause.as_ref().map(Spanned::span)),
            ("host", self.host.as_ref().map(Spanned::span)),
            ("restart_after", self.restart_after.as_ref().map(Spanned::span)),
        ]
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DependencyFaultBlock {
    pub(crate) dependency: Dependency,
    pub(crate) kind: Spanned<DependencyWord>,
    pub(crate) latency: Option<Spanned<Micros>>,
    pub(crate) from: Option<Spanned<Micros>>,
    pub(crate) until: Option<Spanned<Micros>>,
    pub(crate) hosts: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DependencyWord {
    Down,
    Hang,
    Slow,
}
