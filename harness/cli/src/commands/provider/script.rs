//! Which script `brownout provider` plays: that of a scenario, of a file of providers, or one made of its arguments.

use std::fmt::Write;
use std::path::Path;

use brownout_scenario::plan::{Dialect, ProviderPlan};
use brownout_scenario::{Providers, ScenarioError};

use crate::args::{DialectArg, ProviderArgs};
use crate::commands::fail;
use crate::exit::Exit;
use crate::scenarios::{self, LoadError};

/// What is played.
pub(super) struct Chosen {
    pub(super) plan: ProviderPlan,
    pub(super) seed: u64,
}

/// The script that the arguments name.
pub(super) fn chosen(args: &ProviderArgs) -> Result<Chosen, Exit> {
    let (providers, seed, source) = match (&args.scenario, &args.script) {
        (Some(path), _) => of_scenario(path, args.variant.as_deref())?,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot read {}: {error}", path.display());
                fail(Exit::ScenarioInvalid, &message)
            })?;
            of_text(&path.display().to_string(), &text).map_err(|error| invalid(*error))?
        }
        (None, None) => of_text("the arguments", &made_of(args)).map_err(|error| invalid(*error))?,
    };
    let seed = args.seed.unwrap_or(seed);
    let known: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
    let position = match &args.name {
        None => Some(0),
        Some(name) => providers.iter().position(|p| p.name == *name),
    };
    let Some(plan) = position.and_then(|position| providers.get(position)).cloned() else {
        return Err(missing(&source, "provider", &known));
    };
    let asked = args.dialect.map_or(plan.dialect, Dialect::from);
    if asked != plan.dialect {
        let (name, speaks, asked) = (&plan.name, plan.dialect.name(), asked.name());
        let message = format!("--dialect {asked}, but {source} says that {name} speaks {speaks}: leave --dialect out");
        return Err(fail(Exit::Usage, &message));
    }
    Ok(Chosen { plan, seed })
}

type Found = (Vec<ProviderPlan>, u64, String);

fn of_scenario(path: &Path, variant: Option<&str>) -> Result<Found, Exit> {
    let scenario = scenarios::load_providers(path).map_err(|error| {
        error.print();
        Exit::ScenarioInvalid
    })?;
    let plan = scenario.plan;
    let position = match variant {
        None => Some(0),
        Some(name) => plan.variants.iter().position(|v| v.name == name),
    };
    if let Some(variant) = position.and_then(|position| plan.variants.get(position)) {
        return Ok((variant.providers.clone(), plan.seed, scenario.source.name().to_owned()));
    }
    let known: Vec<&str> = plan.variants.iter().map(|v| v.name.as_str()).collect();
    Err(missing(scenario.source.name(), "variant", &known))
}

fn of_text(name: &str, text: &str) -> Result<Found, Box<ScenarioError>> {
    let file = Providers::parse(name, text)?;
    Ok((file.providers, file.seed, name.to_owned()))
}

fn invalid(error: ScenarioError) -> Exit {
    LoadError::Invalid(vec![miette::Report::new(error)]).print();
    Exit::ScenarioInvalid
}

fn missing(source: &str, what: &str, known: &[&str]) -> Exit {
    let message = format!("{source} has no such {what}; there are: {}", known.join(", "));
    fail(Exit::Usage, &message)
}

/// The file that the arguments stand for.
fn made_of(args: &ProviderArgs) -> String {
    let dialect = args.dialect.map_or(Dialect::OpenAi, Dialect::from);
    let model = args.model.as_deref().unwrap_or(match dialect {
        Dialect::OpenAi => "gpt-4o-mini",
        Dialect::Anthropic => "claude-haiku-4-5",
        Dialect::Gemini => "gemini-2.5-flash",
        Dialect::Ollama => "llama3.2",
    });
    let mut text = format!(
        "[[provider]]\nname = \"primary\"\ndialect = \"{}\"\nmodel = {model:?}\n",
        dialect.name()
    );
    match (&args.model_class, &args.profile) {
        (Some(class), _) => _ = writeln!(text, "model_class = {class:?}"),
        // A profile has a class of its own.
        (None, Some(_)) => {}
        (None, None) => text.push_str(
            "first_token = { kind = \"lognormal\", p50 = \"350ms\", p99 = \"1.2s\" }\n\
             inter_token = { kind = \"lognormal\", p50 = \"15ms\", p99 = \"40ms\" }\n",
        ),
    }
    if let Some(profile) = &args.profile {
        let _ = writeln!(text, "profile = {profile:?}");
    }
    text
}

impl From<DialectArg> for Dialect {
    fn from(arg: DialectArg) -> Self {
        match arg {
            DialectArg::Openai => Self::OpenAi,
            DialectArg::Anthropic => Self::Anthropic,
            DialectArg::Gemini => Self::Gemini,
            DialectArg::Ollama => Self::Ollama,
        }
    }
}
