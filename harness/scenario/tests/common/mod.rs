//! A provider of a short run, with whatever a test adds to it.

use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::{Scenario, ScenarioError};

const HEAD: &str = "question = \"?\"\nduration = \"30s\"\n[[provider]]\nname = \"primary\"\nmodel = \"gpt-4o-mini\"\nfirst_token = \"1s\"\n";
const TAIL: &str = "\n[load]\narrivals = { kind = \"constant\", rate = \"1/s\" }\n[[variant]]\nname = \"only\"\n";

/// What comes of a provider with `text` added.
fn read(text: &str) -> Result<ProviderPlan, Box<ScenarioError>> {
    let scenario = Scenario::parse("x.toml", &format!("{HEAD}{text}{TAIL}"))?;
    Ok(scenario.plan.variants[0].providers[0].clone())
}

/// A provider with `text` added.
#[track_caller]
pub(crate) fn plan(text: &str) -> ProviderPlan {
    read(text).unwrap_or_else(|error| panic!("{error}; {}\n{text}", error.remedy()))
}

/// A provider with `text` added is refused: line of `text`, words of the message, words of the remedy.
#[track_caller]
pub(crate) fn refuses(text: &str, line: usize, message: &str, remedy: &str) {
    let error = read(text).expect_err("it must be refused");
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.remedy().contains(remedy), "{}", error.remedy());
    assert_eq!(error.line(), HEAD.lines().count() + line, "{error}");
}
