//! The target's processes: tasks in this process on the virtual clock, children on the real one.
//!
//! Both are told the same, end the same way, and hand back the addresses on which the target answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use brownout_net::Network;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::children::Child;
use crate::mount::{HostIo, HostSpec, Mount, MountError, Role};

/// Longest a host may take to end once it is told to.
const LONGEST_FAREWELL: Duration = Duration::from_secs(6);

/// How many processes of each kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    pub(crate) replicas: u32,
    pub(crate) workers: u32,
}

/// Where the hosts live.
#[derive(Clone)]
pub(crate) enum Place {
    /// In this process, over `Network::memory`.
    InProcess {
        /// Unix time in microseconds, now.
        unix_us: u64,
    },
    /// In processes of their own, with their files in this folder.
    Children {
        /// The variant's folder.
        dir: PathBuf,
    },
}

/// The hosts of a variant.
pub(crate) struct Hosts {
    /// Where the replicas answer.
    pub(crate) authorities: Vec<String>,
    shutdown: CancellationToken,
    tasks: JoinSet<Result<(), MountError>>,
    children: Vec<Child>,
}

impl Hosts {
    /// Starts them all; on an error nothing is left running.
    pub(crate) async fn start<M: Mount>(
        mount: &Arc<M>,
        spec: &HostSpec,
        numbers: Numbers,
        place: &Place,
        network: &Network,
    ) -> Result<Self, MountError> {
        let mut hosts = Self {
            authorities: Vec::new(),
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            children: Vec::new(),
        };
        match place {
            Place::InProcess { unix_us } => hosts.in_process(mount, spec, numbers, network, *unix_us)?,
            Place::Children { dir } => {
                for named in named_specs(spec, numbers) {
                    let (role, spec) = named;
                    let child = Child::start(mount.as_ref(), role, &spec, dir).await?;
                    hosts.authorities.extend(child.authority().map(str::to_owned));
                    hosts.children.push(child);
                }
            }
        }
        Ok(hosts)
    }

    fn in_process<M: Mount>(
        &mut self,
        mount: &Arc<M>,
        spec: &HostSpec,
        numbers: Numbers,
        network: &Network,
        unix_us: u64,
    ) -> Result<(), MountError> {
        let shared = mount.shared(spec)?;
        for (role, spec) in named_specs(spec, numbers) {
            let io = HostIo {
                network: network.clone(),
                unix_us,
                shutdown: self.shutdown.clone(),
            };
            let running = match role {
                Role::Serve => {
                    let listener = network.listen(&spec.name).map_err(|e| MountError(e.to_string()))?;
                    self.authorities.push(listener.authority().to_owned());
                    mount.serve(spec, shared.clone(), io, listener)
                }
                Role::Work => mount.work(spec, shared.clone(), io),
            };
            self.tasks.spawn(running);
        }
        Ok(())
    }

    /// Tells every host to stop and waits for it, within a bound.
    pub(crate) async fn stop(mut self) -> Result<(), MountError> {
        let mut lost = Ok(());
        for child in &mut self.children {
            lost = lost.and(child.is_up());
        }
        self.shutdown.cancel();
        // All lifelines first, so that the slowest farewell is the whole wait.
        let farewells: Vec<_> = self
            .children
            .into_iter()
            .map(|child| child.stop(LONGEST_FAREWELL))
            .collect();
        futures::future::join_all(farewells).await;
        lost?;
        let all_ended = async {
            let mut result = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                let ended = ended.unwrap_or_else(|e| Err(MountError(format!("the service panicked: {e}"))));
                result = result.and(ended);
            }
            result
        };
        // A host that does not end in time is dropped with its tasks: what it measured is at the collector already.
        tokio::time::timeout(LONGEST_FAREWELL, all_ended)
            .await
            .unwrap_or(Ok(()))
    }
}

fn named_specs(spec: &HostSpec, numbers: Numbers) -> Vec<(Role, HostSpec)> {
    let named = |role, name: String| (role, HostSpec { name, ..spec.clone() });
    let replicas = (0..numbers.replicas).map(|n| named(Role::Serve, format!("service-{n}")));
    let workers = (0..numbers.workers).map(|n| named(Role::Work, format!("worker-{n}")));
    replicas.chain(workers).collect()
}
