//! Scenario files, plans, the seed tree and the samplers.
//!
//! In reading order: [`units`] (time, money, rates), [`distribution`] and [`seed`] (every draw), [`plan`] (what will be
//! played), [`schedule`] (which request falls due when), [`prices`], [`tracer`] (text that joins both ends), [`trace`] (ids that do),
//! [`questions`] (texts as people write them), [`conversation`] (what was said before), [`structured`]
//! (the JSON that is asked for),
//! [`observe`] (what is seen while it is played). A file becomes a plan through [`Scenario`], or [`Providers`] where there
//! is no run: `file` holds the shapes serde reads, [`profiles`] the ones that are bundled, `resolve` turns them into a plan,
//! block by block, [`error`] into a message with line and remedy.
//!
//! Deliberately absent: a runtime, a clock, ambient randomness, knowledge of the service's own settings and of which
//! figures a run record has (whoever knows them finds the place in the file through [`SourceText`]).

pub mod conversation;
pub mod distribution;
pub mod embedding;
pub mod error;
mod file;
pub mod observe;
pub mod plan;
pub mod prices;
pub mod profiles;
pub mod questions;
mod resolve;
pub mod schedule;
pub mod seed;
pub mod structured;
pub mod trace;
pub mod tracer;
pub mod units;

pub use error::{ScenarioError, SourceText};
pub use plan::Plan;
pub use resolve::SHORTEST_SCRAPE;

/// A scenario file, read and resolved.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What will be played.
    pub plan: Plan,
    /// The file, for errors that only others can find.
    pub source: SourceText,
}

impl Scenario {
    /// Reads `text`, which came from the file `path`; the scenario is named after the file's stem.
    pub fn parse(path: &str, text: &str) -> Result<Self, Box<ScenarioError>> {
        let (source, file) = read(path, text)?;
        let stem = std::path::Path::new(path)
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or("scenario");
        let plan = resolve::resolve(stem, &source, &file)?;
        Ok(Self { plan, source })
    }
}

/// A file of providers that stand alone, read and resolved: no load, no variants, and a run without an end.
#[derive(Debug, Clone)]
pub struct Providers {
    /// Root of every draw.
    pub seed: u64,
    /// The providers, in the order of the file; never empty.
    pub providers: Vec<plan::ProviderPlan>,
    /// The file, for errors that only others can find.
    pub source: SourceText,
}

impl Providers {
    /// Reads `text`, which came from the file `path`: `seed` and `[[provider]]` blocks, and nothing else.
    pub fn parse(path: &str, text: &str) -> Result<Self, Box<ScenarioError>> {
        let (source, file): (_, file::ProvidersFile) = read(path, text)?;
        let providers = resolve::providers_alone(&source, &file)?;
        Ok(Self {
            seed: file.seed.unwrap_or(1),
            providers,
            source,
        })
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &str, text: &str) -> Result<(SourceText, T), Box<ScenarioError>> {
    let source = SourceText {
        name: path.to_owned(),
        text: text.to_owned(),
    };
    let file = toml::from_str(text).map_err(|e| {
        let span = e.span().unwrap_or(0..0);
        let (message, remedy) = explain(e.message());
        Box::new(source.error(span, message, remedy))
    })?;
    Ok((source, file))
}

/// Splits serde's message into what is wrong and what to write instead.
fn explain(message: &str) -> (String, String) {
    if message == "invalid type: map, expected a sequence" {
        return (
            "this is one table, where a list of tables belongs".to_owned(),
            "write two brackets, such as [[provider]]; a [[provider.fault]] needs its [[provider]] above it".to_owned(),
        );
    }
    if let Some((wrong, expected)) = message.split_once(", expected ") {
        return (wrong.to_owned(), format!("expected {expected}"));
    }
    if let Some((wrong, remedy)) = message.split_once(": write ") {
        return (wrong.to_owned(), format!("write {remedy}"));
    }
    (
        message.to_owned(),
        "docs/scenarios.md lists every key with its unit".to_owned(),
    )
}
