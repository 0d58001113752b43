//! A provider's place on the network, and the engine that will serve there.

use std::net::{Ipv4Addr, TcpListener};

use brownout_net::{Listener, Network, RunClock};
use brownout_provider::{EngineKind, Needs, Provider, choose};
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use tokio_util::sync::CancellationToken;

use crate::error::WorldError;

/// A provider's place on the network, taken before the service starts so that it can be told the address; the provider
/// opens when the run begins, so that its windows are the run's.
pub(super) struct Seat {
    pub(super) authority: String,
    pub(super) reason: String,
    socket: Socket,
}

enum Socket {
    Streaming(Listener),
    Wiremock(TcpListener),
}

impl Seat {
    /// Takes it; `needs` decide what serves there.
    pub(super) fn take(plan: &ProviderPlan, needs: Needs, network: &Network) -> Result<Self, WorldError> {
        let fail = |source| WorldError::Provider {
            provider: plan.name.clone(),
            source,
        };
        let (engine, reason) = choose(plan, needs);
        let (authority, socket) = match engine {
            EngineKind::Streaming => {
                let listener = network.listen(&format!("provider-{}", plan.name)).map_err(fail)?;
                (listener.authority().to_owned(), Socket::Streaming(listener))
            }
            EngineKind::Wiremock => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fail)?;
                (
                    listener.local_addr().map_err(fail)?.to_string(),
                    Socket::Wiremock(listener),
                )
            }
        };
        Ok(Self {
            authority,
            reason,
            socket,
        })
    }

    /// Opens the provider.
    pub(super) async fn open(
        self,
        plan: &ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        shutdown: &CancellationToken,
    ) -> Result<Provider, WorldError> {
        let plan = plan.clone();
        let name = plan.name.clone();
        match self.socket {
            Socket::Streaming(listener) => Ok(Provider::start_streaming(plan, seed, clock, listener, shutdown)),
            Socket::Wiremock(listener) => {
                Provider::start_wiremock(plan, seed, clock, listener)
                    .await
                    .map_err(|error| WorldError::Provider {
                        provider: name,
                        source: std::io::Error::other(error),
                    })
            }
        }
    }
}
