//! A provider on the wiremock engine that stands alone, so that its memory can be told from its callers'.
//!
//! `wiremock-engine SCRIPT LEDGER`: plays the one `[[provider]]` of the file until SIGINT, and writes the ledger. For the
//! load program `unary`; whoever wants a provider on a port takes `brownout provider`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;

use brownout_net::RunClock;
use brownout_provider::Provider;
use brownout_scenario::Providers;
use brownout_scenario::seed::SeedTree;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [script, ledger] = words.as_slice() else {
        let _ = writeln!(io::stderr(), "wiremock-engine SCRIPT LEDGER");
        return ExitCode::from(2);
    };
    match serve(script, ledger).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(script: &str, ledger: &str) -> Result<(), Box<dyn Error>> {
    let mut file = Providers::parse(script, &std::fs::read_to_string(script)?)?;
    let plan = file.providers.remove(0);
    let sink = BufWriter::new(File::create(ledger)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (clock, seed) = (RunClock::start(), SeedTree::new(file.seed));
    let provider = Provider::start_wiremock_standing_alone(plan, seed, clock, listener, Some(Box::new(sink))).await?;
    let mut out = io::stdout();
    writeln!(out, "listening on {}", provider.base_url)?;
    tokio::signal::ctrl_c().await?;
    provider.ledger.close(clock.now_us());
    provider.ledger.flush()?;
    let totals = provider.ledger.totals();
    writeln!(
        out,
        "{} attempts ({} failed), {} tokens billed",
        totals.attempts, totals.failed, totals.billed
    )?;
    Ok(())
}
