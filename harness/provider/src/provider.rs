//! A provider that runs: where it is reached, what it saw, and what must live as long as it does.
//!
//! Which engine to start is [`crate::choose`]'s advice and the caller's decision.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;

use brownout_net::{Listener, RunClock};
use brownout_scenario::plan::{Dialect, ProviderPlan};
use brownout_scenario::seed::SeedTree;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::desk::{Desk, OtherDialect};
use crate::engine::wiremock::{self, NotWhole, Script};
use crate::engine::{EngineKind, streaming};
use crate::ledger::{Ledger, Retention};

/// Rows that the ledger of a provider that stands alone keeps in memory.
const KEPT_ROWS: usize = 65_536;

/// A running provider. It ends when it is dropped, or with the token that it was started with.
///
/// At the end of a run close the ledger first: what is cut by the provider's own end would else count as hung up.
#[derive(Debug)]
pub struct Provider {
    /// Host and port, or the name on the in-memory network.
    pub authority: String,
    /// What an SDK of the dialect takes for its base URL: for OpenAI `http://AUTHORITY/v1`, for the others without a path.
    pub base_url: String,
    /// What it saw and billed.
    pub ledger: Ledger,
    /// What puts it on the wire.
    pub engine: EngineKind,
    desk: Arc<Desk>,
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
        let desk = Desk::new(plan, seed, clock);
        Self::stream(desk, listener, shutdown)
    }

    /// The same for a provider that stands alone for long: its ledger keeps the last rows, and rows that are final go to
    /// `sink`, as JSON lines.
    pub fn start_standing_alone(
        plan: ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        listener: Listener,
        shutdown: &CancellationToken,
        sink: Option<Box<dyn Write + Send>>,
    ) -> Self {
        let desk = Desk::keeping(plan, seed, clock, Retention::Last(KEPT_ROWS), sink);
        Self::stream(desk, listener, shutdown)
    }

    /// Starts a provider on wiremock. Real clock only: the server has a thread and a runtime of its own.
    ///
    /// Fails if a fault of the plan is more than wiremock can play.
    pub async fn start_wiremock(
        plan: ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        listener: TcpListener,
    ) -> Result<Self, NotWhole> {
        let script = Script::new(plan, seed, clock)?;
        Ok(Self::mount(script, listener).await)
    }

    /// The same for a provider that stands alone for long: its ledger keeps the last rows, and rows that are final go to
    /// `sink`, as JSON lines.
    pub async fn start_wiremock_standing_alone(
        plan: ProviderPlan,
        seed: SeedTree,
        clock: RunClock,
        listener: TcpListener,
        sink: Option<Box<dyn Write + Send>>,
    ) -> Result<Self, NotWhole> {
        let script = Script::keeping(plan, seed, clock, Retention::Last(KEPT_ROWS), sink)?;
        Ok(Self::mount(script, listener).await)
    }

    /// What is played.
    pub fn script(&self) -> Arc<ProviderPlan> {
        self.desk.script()
    }

    /// Plays another script from now on, with fresh limits, slots and counts. What is being answered is not touched.
    pub fn replace(&self, plan: ProviderPlan, seed: SeedTree) -> Result<(), ReplaceError> {
        if self.engine == EngineKind::Wiremock {
            NotWhole::check(&plan)?;
        }
        Ok(self.desk.replace(plan, seed)?)
    }

    fn stream(desk: Desk, listener: Listener, shutdown: &CancellationToken) -> Self {
        let authority = listener.authority().to_owned();
        let desk = Arc::new(desk);
        let own = shutdown.child_token();
        tokio::spawn(streaming::run(Arc::clone(&desk), listener, own.clone()));
        Self::running(authority, desk, EngineKind::Streaming, own)
    }

    async fn mount(script: Script, listener: TcpListener) -> Self {
        let own = CancellationToken::new();
        let (authority, _) = wiremock::start(script.clone(), listener, wiremock::ROTATE_EVERY, own.clone()).await;
        Self::running(authority, script.desk(), EngineKind::Wiremock, own)
    }

    fn running(authority: String, desk: Arc<Desk>, engine: EngineKind, own: CancellationToken) -> Self {
        Self {
            base_url: base_url(desk.script().dialect, &authority),
            authority,
            ledger: desk.ledger().clone(),
            engine,
            desk,
            _running: own.drop_guard(),
        }
    }
}

/// Why a running provider cannot play another script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplaceError {
    /// It speaks another dialect.
    #[error(transparent)]
    OtherDialect(#[from] OtherDialect),
    /// It asks for more than the engine can play.
    #[error(transparent)]
    NotWhole(#[from] NotWhole),
}

/// What an SDK of `dialect` takes for its base URL, for a provider at `authority`.
pub fn base_url(dialect: Dialect, authority: &str) -> String {
    match dialect {
        Dialect::OpenAi => format!("http://{authority}/v1"),
        Dialect::Anthropic | Dialect::Gemini | Dialect::Ollama => format!("http://{authority}"),
    }
}
