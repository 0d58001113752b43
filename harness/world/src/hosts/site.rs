//! What all processes of a variant have in common: where they live, what they share, who is told of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use brownout_net::gateway::Backends;
use brownout_net::{Network, RunClock};
use brownout_scenario::plan::{DependencyFaultPlan, OrchestratorPlan};
use brownout_scenario::units::Micros;

use super::diary::Diary;
use crate::dependencies::{Beginning, DependencyFaults};
use crate::mount::{HostSpec, Mount, Role};
use crate::scraper::Targets;

/// Between an order to end in good order and the end by force, where no orchestrator says otherwise.
const GRACE: Micros = Micros::from_secs(30);

/// Where the hosts live.
#[derive(Clone)]
pub(crate) enum Place {
    /// In this process, over `Network::memory`.
    InProcess {
        /// Unix time in microseconds when the stage was set up.
        unix_us: u64,
    },
    /// In processes of their own, with their files in this folder.
    Children {
        /// The variant's folder.
        dir: PathBuf,
    },
}

impl Place {
    /// The variant's folder, where there are files.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Self::InProcess { .. } => None,
            Self::Children { dir } => Some(dir),
        }
    }
}

/// What the hosts of a variant have in common.
pub(crate) struct Site<M: Mount> {
    pub(crate) mount: Arc<M>,
    pub(crate) spec: HostSpec,
    pub(crate) place: Place,
    pub(crate) network: Network,
    /// Data stores of hosts in process.
    pub(crate) shared: Option<M::Shared>,
    /// Runs since the stage was set up.
    pub(crate) set_up: RunClock,
    pub(crate) beginning: Beginning,
    pub(crate) orchestrator: Option<OrchestratorPlan>,
    pub(crate) dependency_faults: Vec<DependencyFaultPlan>,
    /// Whom the load balancer may send requests to.
    pub(crate) backends: Backends,
    /// Whether the load balancer finds out by itself who should get requests.
    pub(crate) probing_gateway: bool,
    /// Whom the scraper asks.
    pub(crate) targets: Targets,
    pub(crate) diary: Diary,
    pub(crate) incarnations: Incarnations,
}

impl<M: Mount> Site<M> {
    pub(super) fn spec_of(&self, who: &Incarnation) -> HostSpec {
        HostSpec {
            name: who.name.clone(),
            ..self.spec.clone()
        }
    }

    pub(super) fn dependencies_of(&self, who: &Incarnation) -> DependencyFaults {
        DependencyFaults::of(&who.host, &self.dependency_faults, Arc::clone(&self.beginning))
    }

    /// Unix time of a run in this process, now.
    pub(super) fn unix_us(&self) -> u64 {
        match &self.place {
            Place::InProcess { unix_us } => unix_us + self.set_up.now_us(),
            Place::Children { .. } => 0,
        }
    }

    pub(super) fn grace(&self) -> std::time::Duration {
        self.orchestrator.as_ref().map_or(GRACE, |o| o.grace).into()
    }
}

/// One process under a host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incarnation {
    /// What it is for.
    pub(crate) role: Role,
    /// The host's name, which its successor will have too.
    pub(crate) host: String,
    /// A name that no other process of the variant has: its own folder, its name on the network and as a worker.
    pub(crate) name: String,
    /// How many there were before it.
    pub(crate) number: u32,
}

/// Who there was under each host's name.
#[derive(Debug, Default)]
pub(crate) struct Incarnations(Mutex<BTreeMap<String, u32>>);

impl Incarnations {
    /// A new one under the name of `host`: the first is called like it, the third `service-0.2`.
    pub(super) fn next(&self, role: Role, host: &str) -> Incarnation {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = known.entry(host.to_owned()).or_default();
        let number = *count;
        *count += 1;
        Incarnation {
            role,
            host: host.to_owned(),
            name: incarnation(host, number),
            number,
        }
    }

    /// The name of the latest process of `host`.
    pub(super) fn latest(&self, host: &str) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        incarnation(host, known.get(host).map_or(0, |count| count.saturating_sub(1)))
    }
}

fn incarnation(host: &str, number: u32) -> String {
    match number {
        0 => host.to_owned(),
        n => format!("{host}.{n}"),
    }
}

/// The host behind the name of one of its processes.
pub(crate) fn host_of(incarnation: &str) -> &str {
    incarnation.split('.').next().unwrap_or(incarnation)
}
