//! Finds, reads and validates scenarios: files, folders, and those that are built in.
//!
//! This is where the three who know a part of a scenario meet: the file's own grammar, the service's settings and the
//! record's figures. Each problem is reported at its place in the file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use brownout_scenario::plan::{Dialect, EventKind, Variant};
use brownout_scenario::{Scenario, ScenarioError};
use brownout_service::cache::CacheStoreKind;
use brownout_service::settings::Settings;
use brownout_world::Mount;
use miette::Report;

use crate::built_in::{self, ALL, HEADLINE};
use crate::mount::ReferenceService;

/// Scenarios that cannot be played.
#[derive(Debug)]
pub enum LoadError {
    /// A path that names no scenario.
    NotFound(PathBuf),
    /// A file that cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// A folder without scenarios.
    Empty(PathBuf),
    /// Two files whose results would have one name.
    Twice(String),
    /// What is wrong with the files.
    Invalid(Vec<Report>),
}

impl LoadError {
    /// Says it on standard error.
    pub fn print(&self) {
        match self {
            Self::NotFound(path) => complain!(
                "error: there is no scenario {}\nWrite the path of a .toml file or of a folder, or one of the built-in names: {}",
                path.display(),
                ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
            ),
            Self::Unreadable(path, error) => complain!("error: {} cannot be read: {error}", path.display()),
            Self::Empty(path) => complain!("error: the folder {} holds no .toml file", path.display()),
            Self::Twice(name) => complain!(
                "error: two scenarios are called {name}\nResults are found by the name of the file: rename one of them, or play them apart"
            ),
            Self::Invalid(reports) => {
                for report in reports {
                    complain!("{report:?}");
                }
            }
        }
    }
}

/// The scenarios at `paths`; the headline suite when there is none.
pub fn load(paths: &[PathBuf]) -> Result<Vec<Scenario>, LoadError> {
    if paths.is_empty() {
        let headline = HEADLINE.map(PathBuf::from);
        return load_with(&headline, built_in, deeper_problems);
    }
    load_with(paths, read, deeper_problems)
}

/// All scenarios that are built in.
pub fn load_built_in() -> Result<Vec<Scenario>, LoadError> {
    let all: Vec<PathBuf> = ALL.iter().map(|(name, _)| PathBuf::from(name)).collect();
    load_with(&all, built_in, deeper_problems)
}

/// The scenario at `path` for the sake of its providers: whether a target could play it does not matter.
pub fn load_providers(path: &Path) -> Result<Scenario, LoadError> {
    let mut loaded = load_with(&[path.to_owned()], read, |_| Vec::new())?;
    if loaded.is_empty() {
        return Err(LoadError::Empty(path.to_owned()));
    }
    Ok(loaded.remove(0))
}

/// Names or paths, and the texts of scenarios.
type Texts = Vec<(String, String)>;

fn load_with(
    paths: &[PathBuf],
    read: fn(&Path) -> Result<Texts, LoadError>,
    deeper: fn(&Scenario) -> Vec<ScenarioError>,
) -> Result<Vec<Scenario>, LoadError> {
    let mut texts = Texts::new();
    for path in paths {
        texts.extend(read(path)?);
    }
    let mut scenarios = Vec::with_capacity(texts.len());
    let mut problems = Vec::new();
    for (path, text) in &texts {
        match Scenario::parse(path, text) {
            Err(error) => problems.push(Report::new(*error)),
            Ok(scenario) => {
                problems.extend(deeper(&scenario).into_iter().map(Report::new));
                scenarios.push(scenario);
            }
        }
    }
    let mut names = BTreeSet::new();
    if let Some(twice) = scenarios.iter().find(|s| !names.insert(&s.plan.scenario)) {
        return Err(LoadError::Twice(twice.plan.scenario.clone()));
    }
    if problems.is_empty() {
        Ok(scenarios)
    } else {
        Err(LoadError::Invalid(problems))
    }
}

fn read(path: &Path) -> Result<Texts, LoadError> {
    let file = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|e| LoadError::Unreadable(path.to_owned(), e))?;
        Ok((path.display().to_string(), text))
    };
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| LoadError::Unreadable(path.to_owned(), e))?;
        let mut files: Vec<PathBuf> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| p.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        if files.is_empty() {
            return Err(LoadError::Empty(path.to_owned()));
        }
        return files.iter().map(|path| file(path)).collect();
    }
    if path.exists() {
        return Ok(vec![file(path)?]);
    }
    built_in(path)
}

/// The built-in scenario of that name.
fn built_in(name: &Path) -> Result<Texts, LoadError> {
    let named = ALL.iter().find(|(known, _)| name.as_os_str() == *known);
    named
        .map(|(name, text)| vec![(built_in::path(name), (*text).to_owned())])
        .ok_or_else(|| LoadError::NotFound(name.to_owned()))
}

/// Problems that the grammar of the file cannot see.
fn deeper_problems(scenario: &Scenario) -> Vec<ScenarioError> {
    let mut problems = Vec::new();
    for (position, variant) in scenario.plan.variants.iter().enumerate() {
        let position = position.to_string();
        for problem in ReferenceService
            .check(&variant.service.settings)
            .err()
            .unwrap_or_default()
        {
            let mut path = vec!["variant", &position, "service"];
            // `keys[1].name` is three steps.
            let steps = problem.key.split(['.', '[']);
            path.extend(steps.map(|step| step.trim_end_matches(']')));
            let span = scenario.source.locate(&path);
            let message = format!("service.{}: {}", problem.key, problem.problem);
            problems.push(
                scenario
                    .source
                    .error(span, message, "docs/scenarios.md lists the keys of the service"),
            );
        }
    }
    problems.extend(idle_keys(scenario));
    problems.extend(flushes_without_a_cache(scenario));
    problems.extend(foreign_dialect(scenario));
    for (position, expectation) in scenario.plan.expectations.iter().enumerate() {
        if let Err(error) = brownout_measure::expect::check(expectation) {
            let span = scenario.source.locate(&["expect", &position.to_string(), "metric"]);
            problems.push(scenario.source.error(
                span,
                error.to_string(),
                "docs/metrics.md says what each figure means",
            ));
        }
    }
    problems
}

/// Keys that a scenario writes and that do nothing beside its others. Presets have values for them, so the settings alone
/// cannot tell.
fn idle_keys(scenario: &Scenario) -> Vec<ScenarioError> {
    let mut problems = Vec::new();
    for (position, variant) in scenario.plan.variants.iter().enumerate() {
        let written = &variant.service.settings;
        // Settings that are wrong were refused as such.
        let Ok(settings) = Settings::from_map(written.clone()) else {
            continue;
        };
        let (hedge, shed, deadline) = (&settings.hedge, &settings.shed, &settings.deadline);
        let is_beyond = deadline
            .first_token
            .zip(deadline.total)
            .is_some_and(|(first, total)| first > total);
        let idle = [
            (
                "hedge",
                "budget_ratio",
                hedge.after.is_none(),
                "without hedge.after",
                "write hedge.after too",
            ),
            (
                "shed",
                "queue",
                shed.concurrent.is_none(),
                "without shed.concurrent",
                "write shed.concurrent too",
            ),
            (
                "shed",
                "wait",
                shed.concurrent.is_none(),
                "without shed.concurrent",
                "write shed.concurrent too",
            ),
            (
                "deadline",
                "first_token",
                is_beyond,
                "beyond deadline.total",
                "make it shorter",
            ),
        ];
        for (table, key, is_idle, why, remedy) in idle {
            let is_on = written
                .get(table)
                .and_then(|table| table.get(key))
                .is_some_and(|value| value != "off");
            if is_idle && is_on {
                let path = ["variant", &position.to_string(), "service", table, key];
                problems.push(scenario.source.error(
                    scenario.source.locate(&path),
                    format!("service.{table}.{key}: does nothing {why}"),
                    format!("{remedy}, or take it out"),
                ));
            }
        }
    }
    problems
}

/// Variants whose cache is to be emptied, and is none that could be: what each process keeps in its memory is its own.
fn flushes_without_a_cache(scenario: &Scenario) -> Vec<ScenarioError> {
    let in_vain = |variant: &Variant| {
        let is_flushed = variant.events.iter().any(|event| event.what == EventKind::Flush);
        let cache = Settings::from_map(variant.service.settings.clone()).map(|settings| settings.cache);
        is_flushed && cache.is_ok_and(|cache| !cache.exact || cache.store != CacheStoreKind::Shared)
    };
    let variants = (0..)
        .zip(&scenario.plan.variants)
        .filter(|(_, variant)| in_vain(variant));
    let refused = variants.map(|(position, variant): (usize, _)| {
        let path = ["variant", &position.to_string(), "service", "cache"];
        scenario.source.error(
            scenario.source.locate(&path),
            format!("{} has no shared cache that the event `flush` could empty", variant.name),
            "write cache = { exact = true, store = \"shared\" } in its service, or give it events of its own: event = []",
        )
    });
    refused.collect()
}

/// A provider that the reference service cannot talk to.
fn foreign_dialect(scenario: &Scenario) -> Option<ScenarioError> {
    let variant = scenario.plan.variants.first()?;
    let position = variant.providers.iter().position(|p| p.dialect != Dialect::OpenAi)?;
    let dialect = variant.providers[position].dialect.name();
    let span = scenario.source.locate(&["provider", &position.to_string(), "dialect"]);
    Some(scenario.source.error(
        span,
        format!("the reference service speaks openai only, and this provider {dialect}"),
        "write dialect = \"openai\", or serve the provider to clients of your own: brownout provider --scenario FILE",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problems of a small scenario with these lines: where, and what.
    fn problems(more: &str) -> Vec<(usize, String)> {
        let text = format!(
            "question = \"?\"\nduration = \"9s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
             [load]\narrivals = {{ kind = \"constant\", rate = \"1/s\" }}\n{more}"
        );
        let scenario = Scenario::parse("x.toml", &text).map_err(|e| e.to_string()).unwrap();
        let problems = deeper_problems(&scenario).into_iter();
        problems.map(|e| (e.line(), e.to_string())).collect()
    }

    #[test]
    fn a_flush_is_refused_where_there_is_nothing_that_it_could_empty() {
        let flushed = |service: &str| {
            problems(&format!(
                "[[event]]\nkind = \"flush\"\nat = \"5s\"\n[[variant]]\nname = \"v\"\n{service}\n"
            ))
        };
        let shared = "service = { preset = \"resilient\", cache = { store = \"shared\" } }";
        assert_eq!(flushed(shared), []);
        assert_eq!(flushed("event = []"), []);
        for (service, line) in [
            ("service = { preset = \"resilient\" }", 14),
            ("service = { preset = \"naive\", cache = { store = \"shared\" } }", 14),
            ("", 12),
        ] {
            let found = flushed(service);
            assert_eq!(found.len(), 1, "{service}");
            assert_eq!(found[0].0, line, "{found:?}");
            assert!(found[0].1.contains("v has no shared cache"), "{found:?}");
        }
    }

    #[test]
    fn keys_that_do_nothing_beside_the_others_are_refused_if_they_were_written() {
        let found = |service: &str| problems(&format!("[[variant]]\nname = \"v\"\nservice = {{ {service} }}\n"));
        for (service, words) in [
            (
                "hedge = { budget_ratio = 0.1 }",
                "hedge.budget_ratio: does nothing without hedge.after",
            ),
            (
                "shed = { concurrent = \"off\", queue = 9 }",
                "shed.queue: does nothing without shed.concurrent",
            ),
            (
                "shed = { concurrent = \"off\", wait = \"1s\" }",
                "shed.wait: does nothing without shed.concurrent",
            ),
            (
                "deadline = { first_token = \"9s\", total = \"8s\" }",
                "deadline.first_token: does nothing beyond",
            ),
        ] {
            let found = found(&format!("preset = \"resilient\", {service}"));
            assert_eq!(found.len(), 1, "{service}: {found:?}");
            assert!(found[0].1.contains(words), "{found:?}");
        }
        for fine in [
            "preset = \"naive\"",
            "preset = \"resilient\", deadline = { total = \"2s\" }",
            "preset = \"resilient\", hedge = { after = \"1s\", budget_ratio = 0.1 }",
        ] {
            assert_eq!(found(fine), [], "{fine}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_entry_of_a_list_is_told_at_its_line() {
        let key =
            |name: &str, digit: &str| format!("    {{ name = \"{name}\", sha256 = \"{}\" }},\n", digit.repeat(64));
        let keys = key("north", "1") + &key("north", "2");
        let found = problems(&format!(
            "[[variant]]\nname = \"v\"\nservice = {{ keys = [\n{keys}] }}\n"
        ));
        let problem = "x.toml:13: service.keys[1].name: is the name of another key too: write another name";
        assert_eq!(found, [(13, problem.to_owned())]);
    }

    #[test]
    fn a_provider_that_the_service_cannot_talk_to_is_refused_and_can_stand_alone() {
        let text = include_str!("../../../scenarios/pool-exhaustion.toml");
        let text = text.replace("[[provider]]", "[[provider]]\ndialect = \"ollama\"");
        let path = std::env::temp_dir().join(format!("foreign-{}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let LoadError::Invalid(problems) = load(std::slice::from_ref(&path)).unwrap_err() else {
            panic!("not refused for what it is")
        };
        assert!(
            problems[0].to_string().contains("this provider ollama"),
            "{:?}",
            problems[0]
        );
        assert_eq!(
            load_providers(&path).unwrap().plan.variants[0].providers[0].dialect,
            Dialect::Ollama
        );
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn every_built_in_scenario_can_be_played() {
        assert_eq!(load(&[]).map_err(|e| e.print()).unwrap().len(), HEADLINE.len());
        assert_eq!(load_built_in().map_err(|e| e.print()).unwrap().len(), ALL.len());
    }

    #[test]
    fn a_built_in_scenario_is_found_by_its_name() {
        assert_eq!(
            load(&["rate-limited".into()]).map_err(|e| e.print()).unwrap()[0]
                .plan
                .scenario,
            "rate-limited"
        );
    }
}
