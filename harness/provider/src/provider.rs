//! A provider that runs: where it is reached, what it saw, and what must live as long as it does.
//!
//! Which engine to start is [`crate::choose`]'s advice and the caller's decision.

use std::net::TcpListener;
use std::sync::Arc;

use brownout_net::{Listener, RunClock};
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::desk::Desk;
use crate::engine::wiremock::{self, Responder};
use crate::engine::{EngineKind, streaming};
use crate::ledger::Ledger;

/// A running provider. It ends when it is dropped, or with the token that it was started with.
///
/// At the end of a run close the ledger first: what is cut by the provider's own end would else count as hung up.
#[derive(Debug)]
pub struct Provider {
    /// Host and port, or the name on the in-memory network.
    pub authority: String,
    /// What an OpenAI SDK takes for its base URL: `http://AUTHORITY/v1`.
    pub base_url: String,
    /// What it saw and billed.
    pub ledger: Ledger,
    /// What puts it on the wire.
    pub engine: EngineKind,
    _running: DropGuard,
}

impl Provider {
    /// Starts a provider on the streaming engine. Call it inside the runtime that plays the run.
    pub fn start_streaming(
        plan: ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        listener: Listener,
        shutdown: &CancellationToken,
    ) -> Self {
        let authority = listener.authority().to_owned();
        let desk = Arc::new(Desk::new(plan, seed, clock));
        let ledger = desk.ledger().clone();
        let own = shutdown.child_token();
        tokio::spawn(streaming::run(desk, listener, own.clone()));
        Self::running(authority, ledger, EngineKind::Streaming, own)
    }

    /// Starts a provider on wiremock. Real clock only: the server has a thread and a runtime of its own.
    pub async fn start_wiremock(plan: ProviderPlan, seed: SeedTree, clock: RunClock, listener: TcpListener) -> Self {
        let responder = Responder::new(plan, seed, clock);
        let ledger = responder.ledger();
        let own = CancellationToken::new();
        let (authority, _) = wiremock::start(responder, listener, wiremock::ROTATE_EVERY, own.clone()).await;
        Self::running(authority, ledger, EngineKind::Wiremock, own)
    }

    fn running(authority: String, ledger: Ledger, engine: EngineKind, own: CancellationToken) -> Self {
        Self {
            base_url: format!("http://{authority}/v1"),
            authority,
            ledger,
            engine,
            _running: own.drop_guard(),
        }
    }
}
