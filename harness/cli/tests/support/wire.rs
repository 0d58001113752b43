//! The reference service behind a wire that a test lays: what a provider says reaches it changed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use brownout::mount::{ReferenceService, provider_client, settings};
use brownout_net::Listener;
use brownout_scenario::units::Micros;
use brownout_service::upstream::Upstream;
use brownout_service::{Clock, Ports, Stores};
use brownout_world::mount::{HostIo, HostSpec, Mount, MountError, Role, Running, SettingProblem};
use serde_json::{Map, Value};

/// The service, with the wire put before its client.
pub(crate) struct Rewired(pub(crate) fn(Arc<dyn Upstream>) -> Arc<dyn Upstream>);

impl Mount for Rewired {
    type Shared = Stores;

    fn check(&self, settings: &Map<String, Value>) -> Result<(), Vec<SettingProblem>> {
        ReferenceService.check(settings)
    }

    fn shortest_patience(&self, settings: &Map<String, Value>) -> Option<Micros> {
        ReferenceService.shortest_patience(settings)
    }

    fn shared(&self, spec: &HostSpec) -> Result<Stores, MountError> {
        ReferenceService.shared(spec)
    }

    fn serve(&self, spec: HostSpec, shared: Stores, io: HostIo, listener: Listener) -> Running {
        let wire = self.0;
        Box::pin(async move {
            let settings = settings(&spec)?;
            let ports = Ports {
                listener,
                upstream: wire(provider_client(&settings, &io)),
                stores: shared.replica(),
                clock: Clock::starting_at(io.unix_us),
                seed: spec.seed,
                shutdown: io.shutdown,
            };
            brownout_service::run(settings, ports)
                .await
                .map_err(|e| MountError(e.to_string()))
        })
    }

    fn work(&self, spec: HostSpec, shared: Stores, io: HostIo) -> Running {
        ReferenceService.work(spec, shared, io)
    }

    fn command(&self, role: Role, spec: &HostSpec, dir: &Path, shared: &Path) -> std::io::Result<Command> {
        ReferenceService.command(role, spec, dir, shared)
    }
}
