//! `brownout provider`: one simulated provider on its own, for any client in any language.

use std::path::PathBuf;

use brownout_net::{Listener, RunClock};
use brownout_provider::Provider;
use brownout_scenario::Scenario;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use tokio_util::sync::CancellationToken;

use super::fail;
use super::play::wait_for_signal;
use crate::args::{DialectArg, ProviderArgs};
use crate::exit::Exit;
use crate::scenarios;

/// What is served when no scenario is named.
const CALM: &str = r#"
question = "What does a calm provider answer?"
duration = "4h"
[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = { kind = "lognormal", p50 = "350ms", p99 = "1.2s" }
inter_token = { kind = "lognormal", p50 = "15ms", p99 = "40ms" }
output_tokens = 200
[load]
arrivals = { kind = "constant", rate = "1/s" }
[[variant]]
name = "calm"
"#;

/// Serves until Ctrl-C or SIGTERM, then writes the ledger where it was asked to.
pub fn provider(args: &ProviderArgs) -> Exit {
    let DialectArg::Openai = args.dialect;
    let (plan, seed) = match chosen(args) {
        Ok(chosen) => chosen,
        Err(exit) => return exit,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(Exit::Unexpected, &error),
    };
    runtime.block_on(async {
        let bound = tokio::net::TcpListener::bind(args.listen)
            .await
            .and_then(Listener::over);
        let listener = match bound {
            Ok(listener) => listener,
            Err(error) => {
                let message = format!(
                    "cannot listen on {}: {error}\nname a free address with --listen",
                    args.listen
                );
                return fail(Exit::ProviderNotStarted, &message);
            }
        };
        say!("listening on http://{}/v1 (model {})", listener.authority(), plan.model);
        let (clock, shutdown) = (RunClock::start(), CancellationToken::new());
        let provider = Provider::start_streaming(plan.clone(), SeedTree::new(seed), clock, listener, &shutdown);
        wait_for_signal().await;
        provider.ledger.close(clock.now_us());
        shutdown.cancel();
        args.ledger
            .as_ref()
            .map_or(Exit::Pass, |path| write_ledger(&provider, path))
    })
}

fn write_ledger(provider: &Provider, path: &PathBuf) -> Exit {
    let written =
        std::fs::File::create(path).and_then(|file| provider.ledger.write_jsonl(std::io::BufWriter::new(file)));
    match written {
        Ok(()) => Exit::Pass,
        Err(error) => fail(
            Exit::Unexpected,
            &format!("the ledger {} cannot be written: {error}", path.display()),
        ),
    }
}

fn chosen(args: &ProviderArgs) -> Result<(ProviderPlan, u64), Exit> {
    let scenario = match &args.scenario {
        None => Scenario::parse("calm", CALM).map_err(|e| fail(Exit::Unexpected, &e))?,
        Some(path) => scenarios::load(std::slice::from_ref(path))
            .map_err(|error| {
                error.print();
                Exit::ScenarioInvalid
            })?
            .remove(0),
    };
    let plan = &scenario.plan;
    let missing = |what: &str, known: Vec<&str>| {
        let message = format!(
            "{} has no such {what}; there are: {}",
            scenario.source.name(),
            known.join(", ")
        );
        fail(Exit::Usage, &message)
    };
    let variant = match &args.variant {
        None => plan.variants.first(),
        Some(name) => plan.variants.iter().find(|v| v.name == *name),
    };
    let variant = variant.ok_or_else(|| missing("variant", plan.variants.iter().map(|v| v.name.as_str()).collect()))?;
    let provider = match &args.name {
        None => variant.providers.first(),
        Some(name) => variant.providers.iter().find(|p| p.name == *name),
    };
    let provider =
        provider.ok_or_else(|| missing("provider", variant.providers.iter().map(|p| p.name.as_str()).collect()))?;
    Ok((provider.clone(), args.seed.unwrap_or(plan.seed)))
}
