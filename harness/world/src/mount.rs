//! What a target must offer to be played: a way to start in process, and a way to start as a child.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;

use brownout_net::{Listener, Network};
use brownout_scenario::plan::{Dependency, Price};
use brownout_scenario::units::Micros;
use tokio_util::sync::CancellationToken;

use crate::dependencies::DependencyFaults;

/// A target that can be played on both clocks. The command line mounts the reference service; any axum application can
/// be given its own.
pub trait Mount: Send + Sync + 'static {
    /// What the hosts of one variant share and what outlives them: data stores.
    type Shared: Clone + Send + Sync + 'static;

    /// Reads a variant's settings without starting anything; every problem is listed.
    fn check(&self, settings: &serde_json::Map<String, serde_json::Value>) -> Result<(), Vec<SettingProblem>>;

    /// The shortest time after which the target may hang up on a provider that is still answering; `None` if it never
    /// does, or is not known to.
    fn shortest_patience(&self, settings: &serde_json::Map<String, serde_json::Value>) -> Option<Micros>;

    /// Makes the shared state of a variant that runs in process.
    fn shared(&self, spec: &HostSpec) -> Result<Self::Shared, MountError>;

    /// Serves requests in process until `io.shutdown`.
    fn serve(&self, spec: HostSpec, shared: Self::Shared, io: HostIo, listener: Listener) -> Running;

    /// Works on queued jobs in process until `io.shutdown`.
    fn work(&self, spec: HostSpec, shared: Self::Shared, io: HostIo) -> Running;

    /// Empties the cache that hosts share, if they share one: `shared` of hosts in process, or of child processes whose
    /// variant has its files in `folder`. An error is a cache that has kept what was in it.
    fn flush<'a>(
        &'a self,
        _shared: Option<&'a Self::Shared>,
        _folder: Option<&'a Path>,
    ) -> Pin<Box<dyn Future<Output = Result<(), MountError>> + Send + 'a>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The addresses (`host:port`) behind which child processes have what they depend on, as far as a network lies in
    /// between that can be troubled. Two dependencies may have one address.
    fn dependencies(&self) -> BTreeMap<Dependency, String> {
        BTreeMap::new()
    }

    /// The command that does the same as a child process. Its folder `dir` is its own; `shared` is the variant's.
    ///
    /// The child serves on a free loopback port, prints `listening on ADDRESS` (a worker: `working`) as a line of its
    /// own once it is ready, and ends in good order when its standard input closes and on SIGTERM.
    fn command(&self, role: Role, spec: &HostSpec, dir: &Path, shared: &Path) -> std::io::Result<Command>;

    /// What its children keep their data in, in words, for the record.
    fn stores(&self) -> String {
        "SQLite on disk".to_owned()
    }
}

/// A host at work.
pub type Running = Pin<Box<dyn Future<Output = Result<(), MountError>> + Send>>;

/// What a process of the target is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Serves requests.
    Serve,
    /// Works on queued jobs.
    Work,
}

/// What a host is told.
#[derive(Debug, Clone)]
pub struct HostSpec {
    /// Its name, which no other process of the variant has: `service-0`, and `service-0.1` for the one that replaces it.
    pub name: String,
    /// The variant's settings, as the scenario has them.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The providers, in order of preference.
    pub providers: Vec<ProviderEndpoint>,
    /// Where it sends its spans: an OTLP/HTTP base URL.
    pub telemetry_url: String,
    /// Root of its own draws.
    pub seed: u64,
    /// What a child is to call in the place of addresses that [`Mount::dependencies`] names.
    pub detours: BTreeMap<String, String>,
}

/// A provider, as a host reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderEndpoint {
    /// The provider's name in the plan.
    pub name: String,
    /// Base URL, up to and including `/v1`.
    pub base_url: String,
    /// The model to ask for.
    pub model: String,
    /// What its tokens cost.
    pub price: Price,
    /// Tokens that a prompt and its answer may come to; `None` for any number.
    pub context_window: Option<u64>,
    /// What it is meant for, in words that requests may name.
    pub tasks: Vec<String>,
    /// Whether whoever runs the service believes that the model goes on from the beginning of an answer.
    pub prefill: bool,
}

/// What a host in process is connected to.
#[derive(Clone)]
pub struct HostIo {
    /// The network that reaches the providers and the collector.
    pub network: Network,
    /// Unix time in microseconds at this moment of the run's clock.
    pub unix_us: u64,
    /// Cancelled when it is to stop, as SIGTERM would. A crash is the end of the future that the host runs in: all that
    /// it spawned must end with it.
    pub shutdown: CancellationToken,
    /// What goes wrong between it and what it depends on.
    pub dependencies: DependencyFaults,
}

/// A target that did not start, or did not stay up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MountError(pub String);

/// A setting that the target does not accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingProblem {
    /// Dotted path of the key, such as `retry.max_attempts`.
    pub key: String,
    /// What is wrong with it, and what to write instead.
    pub problem: String,
}
