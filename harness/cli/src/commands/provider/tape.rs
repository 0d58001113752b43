//! `brownout provider --record` and `--replay`: a real provider's answers, kept and given again.

use std::path::Path;

use brownout_net::RunClock;
use brownout_provider::tape::{Player, Recorder, Upstream};
use tokio_util::sync::CancellationToken;

use super::listen;
use crate::args::ProviderArgs;
use crate::commands::fail;
use crate::commands::play::wait_for_signal;
use crate::exit::Exit;

/// Stands in front of a real provider until it is told to stop.
pub(super) async fn record(args: &ProviderArgs, file: &Path) -> Result<Exit, Exit> {
    let upstream: Upstream = args
        .upstream
        .as_deref()
        .unwrap_or_default()
        .parse()
        .map_err(|error| fail(Exit::Usage, &error))?;
    let listener = listen(args.listen)?;
    let told = upstream.to_string();
    let mut running = Recorder::start(upstream, file, listener, RunClock::start(), &CancellationToken::new())
        .map_err(|error| fail(Exit::ProviderNotStarted, &error))?;
    say!(
        "listening on http://{}, recording {told} to {}",
        running.authority,
        file.display()
    );
    wait_for_signal().await;
    running.stop().await;
    say!(
        "{} exchanges recorded, {} not stored",
        running.exchanges(),
        running.missed()
    );
    Ok(Exit::Pass)
}

/// Gives the answers of a tape until it is told to stop.
pub(super) async fn replay(args: &ProviderArgs, file: &Path) -> Result<Exit, Exit> {
    let listener = listen(args.listen)?;
    let mut running = Player::start(file, listener, RunClock::start(), &CancellationToken::new())
        .map_err(|error| fail(Exit::ProviderNotStarted, &error))?;
    say!(
        "listening on http://{}, replaying {}",
        running.authority,
        file.display()
    );
    wait_for_signal().await;
    running.stop().await;
    say!(
        "{} exchanges replayed, {} were not on the tape",
        running.exchanges(),
        running.missed()
    );
    Ok(Exit::Pass)
}
