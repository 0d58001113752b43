//! `brownout provider`: one simulated provider on its own, for any client in any language; or a real one, recorded or
//! replayed.

mod control;
mod script;
mod tape;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use brownout_net::{Listener, RunClock};
use brownout_provider::{Provider, Totals};
use brownout_scenario::seed::SeedTree;
use tokio_util::sync::CancellationToken;

use super::fail;
use super::play::wait_for_signal;
use crate::args::ProviderArgs;
use crate::exit::Exit;
use script::Chosen;

/// Serves until Ctrl-C or SIGTERM.
pub fn provider(args: &ProviderArgs) -> Exit {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::Unexpected, &error),
    };
    let served = match (&args.record, &args.replay) {
        (Some(file), _) => runtime.block_on(tape::record(args, file)),
        (None, Some(file)) => runtime.block_on(tape::replay(args, file)),
        (None, None) => runtime.block_on(simulate(args)),
    };
    served.unwrap_or_else(|exit| exit)
}

/// Plays a script, and writes the ledger where it was asked to.
async fn simulate(args: &ProviderArgs) -> Result<Exit, Exit> {
    args.control.map_or(Ok(()), control::check)?;
    let Chosen { plan, seed } = script::chosen(args)?;
    let sink = args.ledger.as_deref().map(ledger_file).transpose()?;
    let listener = listen(args.listen)?;
    let (clock, shutdown) = (RunClock::start(), CancellationToken::new());
    let (dialect, model) = (plan.dialect.name(), plan.model().to_owned());
    let provider = Provider::start_standing_alone(plan, SeedTree::new(seed), clock, listener, &shutdown, sink);
    let provider = Arc::new(provider);
    say!("listening on {} ({dialect}, model {model})", provider.base_url);
    if let Some(address) = args.control {
        control::start(address, Arc::clone(&provider), shutdown.clone()).await?;
    }
    wait_for_signal().await;
    provider.ledger.close(clock.now_us());
    shutdown.cancel();
    say!("{}", in_words(&provider.ledger.totals()));
    let Some(path) = &args.ledger else {
        return Ok(Exit::Pass);
    };
    match provider.ledger.flush() {
        Ok(()) => Ok(Exit::Pass),
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn in_words(totals: &Totals) -> String {
    format!(
        "{} attempts ({} failed, {} left by their callers); billed {} prompt and {} completion tokens, {:.6} USD",
        totals.attempts,
        totals.failed,
        totals.hung_up,
        totals.billed_prompt,
        totals.billed,
        totals.price.as_usd()
    )
}

/// Opens the ledger's file before anything is served, so that a wrong path is no surprise at the end.
fn ledger_file(path: &Path) -> Result<Box<dyn Write + Send>, Exit> {
    match File::create(path) {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) => Err(unwritable(path, &error)),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Exit {
    let message = format!("the ledger {} cannot be written: {error}", path.display());
    fail(Exit::Unexpected, &message)
}

/// Takes an address, or says which one to take. Call it inside a runtime.
fn listen(address: SocketAddr) -> Result<Listener, Exit> {
    Listener::bind(address).map_err(|error| {
        let message = format!("cannot listen on {address}: {error}\nname a free address with --listen");
        fail(Exit::ProviderNotStarted, &message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpStream;

    #[tokio::test]
    async fn callers_that_come_at_once_are_let_in_at_once() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut callers = Vec::new();
        for caller in 0..500 {
            let connect = TcpStream::connect(listener.authority());
            let connected = tokio::time::timeout(Duration::from_millis(900), connect).await;
            callers.push(connected.unwrap_or_else(|_| panic!("caller {caller} waits")).unwrap());
        }
    }
}
