//! What stands around the service: the load balancer, whoever looks after its processes, what it depends on, and what
//! happens to all of it at stated times.

use serde::Serialize;

use crate::distribution::Distribution;
use crate::units::Micros;

/// A load balancer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GatewayPlan {
    /// From the request's arrival to the head of the answer (past it: 504) and, unless that is an event stream, to its last
    /// byte (past it: the connection is cut).
    pub request_timeout: Micros,
    /// Longest silence within an answer; then it cuts the connection.
    pub idle_timeout: Micros,
    /// From the request's arrival to the last byte of the answer, event streams too; then it cuts the connection.
    pub total_timeout: Option<Micros>,
    /// How it finds out which replicas to send requests to; without it, to all that listen.
    pub health: Option<HealthCheckPlan>,
}

/// Repeated questions after the health of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCheckPlan {
    /// Path of the probe, such as `/readyz`.
    pub path: String,
    /// From one probe to the next.
    pub every: Micros,
    /// A probe that takes longer has failed.
    pub timeout: Micros,
    /// So many failures in a row, and the process is taken for ill.
    pub unhealthy_after: u32,
    /// So many successes in a row, and it is taken for well again.
    pub healthy_after: u32,
}

/// Whoever starts, watches, restarts and multiplies the service's processes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OrchestratorPlan {
    /// From the start of a process to the moment it listens, in microseconds: the cold start.
    pub start_time: Distribution,
    /// Between SIGTERM and `kill -9`.
    pub grace: Micros,
    /// A process that fails this is restarted; without it, only one that ended is.
    pub liveness: Option<HealthCheckPlan>,
    /// How many replicas there are; without it, as many as the service plan says.
    pub scale: Option<ScalePlan>,
}

/// How the number of replicas follows the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScalePlan {
    /// Never fewer; 0 is scale to zero.
    pub min: u32,
    /// Never more.
    pub max: u32,
    /// Requests in flight that one replica is meant to carry.
    pub target_in_flight: u32,
    /// Requests that a replica is given at once; more of them wait at the load balancer.
    pub most_in_flight: Option<u32>,
    /// How often it is decided anew.
    pub every: Micros,
    /// How long a replica that is not needed is kept.
    pub idle: Micros,
}

/// Something that happens to the service's processes at a stated time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventPlan {
    /// When, seen from the start of the run.
    pub at: Micros,
    /// What.
    pub what: EventKind,
}

/// What happens to the service's processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventKind {
    /// Every replica in turn is told to end and replaced; the next one `pause` after its successor is ready.
    RollingRestart {
        /// Between two of them.
        pause: Micros,
    },
    /// A process is told to end in good order, as SIGTERM does.
    Terminate {
        /// Which, such as `service-0` or `worker-1`.
        host: String,
        /// When a new one is started in its place; `None` for never.
        restart_after: Option<Micros>,
    },
    /// A process ends at once and says no word, as `kill -9` does.
    Kill {
        /// Which.
        host: String,
        /// When a new one is started in its place; `None` for never.
        restart_after: Option<Micros>,
    },
    /// The cache that processes share is emptied, as an eviction of all of it does.
    Flush,
}

/// Something that goes wrong between a process and what it depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DependencyFaultPlan {
    /// What it cannot reach.
    pub dependency: Dependency,
    /// How that looks.
    pub effect: DependencyEffect,
    /// It begins.
    pub from: Micros,
    /// It is over.
    pub until: Micros,
    /// The hosts that suffer, such as `service-1`; empty for all.
    pub hosts: Vec<String>,
}

/// What the service depends on beside its providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependency {
    /// Sessions and usage.
    Database,
    /// The durable queue.
    Queue,
    /// What processes share in Redis besides a queue: limits, caches.
    Redis,
}

impl Dependency {
    /// Its name in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Queue => "queue",
            Self::Redis => "redis",
        }
    }
}

/// How a dependency fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DependencyEffect {
    /// It refuses at once.
    Down,
    /// It takes questions and never answers.
    Hang,
    /// It answers late.
    Slow {
        /// By so much.
        latency: Micros,
    },
}
