//! What the documents say of keys, defaults, figures and tolerances is what the code says.
//!
//! Both directions where that is possible: what the code knows is documented, what is documented exists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use brownout::scenarios::{LoadError, load};
use brownout_measure::record::VariantRecord;
use brownout_measure::{gate, metric, tolerance};
use brownout_scenario::{prices, profiles};
use brownout_service::settings::{Preset, Secrets, Settings};
use serde_json::Value;

const SCENARIOS: &str = include_str!("../../../docs/scenarios.md");
const METRICS: &str = include_str!("../../../docs/metrics.md");
/// Where keys and words of scenario files are defined.
const FILE: &str = concat!(
    include_str!("../../scenario/src/file.rs"),
    include_str!("../../scenario/src/file/provider.rs"),
    include_str!("../../scenario/src/file/fault.rs"),
    include_str!("../../scenario/src/file/world.rs"),
    include_str!("../../scenario/src/file/load.rs"),
    include_str!("../../scenario/src/file/distribution.rs"),
);
const PLAN: &str = concat!(
    include_str!("../../scenario/src/plan/load.rs"),
    include_str!("../../scenario/src/plan/provider.rs"),
    include_str!("../../scenario/src/plan/world.rs"),
);
/// Where classes of failures and phases of time are named.
const OBSERVE: &str = include_str!("../../scenario/src/observe.rs");
const ATTRIBUTION: &str = include_str!("../../measure/src/attribution.rs");

/// Which section of `docs/scenarios.md` explains which type of the file.
const EXPLAINED_IN: [(&str, &str); 44] = [
    ("File", "Top level"),
    ("ProvidersFile", "Providers without a run"),
    ("LimitsBlock", "`[limits]`"),
    ("ProviderBlock", "`[[provider]]`"),
    ("OnDisconnectBlock", "`[[provider]]`"),
    ("Dialect", "`[[provider]]`"),
    ("Beginnings", "`[[provider]]`"),
    ("ServedBlock", "`also_serves` of a provider"),
    ("ServedTable", "`also_serves` of a provider"),
    ("SlowPeriodsBlock", "Load and memory of a provider"),
    ("CapacityBlock", "Load and memory of a provider"),
    ("PromptCacheBlock", "Load and memory of a provider"),
    ("RateLimitBlock", "`limits` of a provider"),
    ("PriceBlock", "`price` of a provider"),
    ("FaultBlock", "`[[provider.fault]]`"),
    ("HeaderBlock", "`[[provider.fault]]`"),
    ("FaultKind", "`[[provider.fault]]`"),
    ("BodyWord", "`[[provider.fault]]`"),
    ("OutageWord", "`[[provider.fault]]`"),
    ("GatewayBlock", "`[gateway]`"),
    ("HealthCheckBlock", "`[gateway]`"),
    ("OrchestratorBlock", "`[orchestrator]`"),
    ("ScaleBlock", "`[orchestrator]`"),
    ("EventBlock", "`[[event]]`"),
    ("EventWord", "`[[event]]`"),
    ("DependencyFaultBlock", "`[[dependency_fault]]`"),
    ("Dependency", "`[[dependency_fault]]`"),
    ("DependencyWord", "`[[dependency_fault]]`"),
    ("LoadBlock", "`[load]`"),
    ("PromptsBlock", "`[load]`"),
    ("HistoryBlock", "`[load]`"),
    ("Output", "`[load]`"),
    ("AgainBlock", "`[[load.client]]`"),
    ("ArrivalsBlock", "`[load]`"),
    ("StepBlock", "`[load]`"),
    ("Endpoint", "`[load]`"),
    ("Watch", "`[load]`"),
    ("ClientBlock", "`[[load.client]]`"),
    ("ReadBlock", "`[[load.client]]`"),
    ("DisconnectBlock", "`[[load.client]]`"),
    ("HangUp", "`[[load.client]]`"),
    ("VariantBlock", "`[[variant]]`"),
    ("ExpectBlock", "`[[expect]]`"),
    ("DistributionBlock", "Distributions"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A fenced block: its info string and its text.
fn fences(document: &str) -> Vec<(String, String)> {
    let mut fences = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => fences.extend(open.take()),
            (None, Some((_, text))) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    fences
}

/// Headings with the text below them, up to the next heading of any level. Fenced blocks are left out.
fn sections(document: &str) -> BTreeMap<String, String> {
    let (mut sections, mut heading, mut fenced) = (BTreeMap::new(), String::new(), false);
    for line in document.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        } else if !fenced {
            let text: &mut String = sections.entry(heading.clone()).or_default();
            text.extend([line, "\n"]);
        }
    }
    sections
}

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The words in what stands between backticks.
fn code_words(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code(text).flat_map(|code| code.split(move |c| !is_part(c))).collect()
}

/// The cells of every table row of `text`.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    lines.map(|line| line.split('|').map(str::trim).collect()).collect()
}

/// `RunToCompletion` as `run_to_completion`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// Every struct and enum of `source` with the words that a file may use for it: its fields, and its variants in the form
/// that serde reads.
fn vocabulary(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (mut types, mut current, mut renamed) = (BTreeMap::<_, BTreeSet<_>>::new(), None, None);
    for line in source.lines() {
        let declared = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let name = declared.strip_prefix("struct ").or(declared.strip_prefix("enum "));
        if let Some(name) = name.filter(|_| line.ends_with('{')) {
            current = name.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned);
            continue;
        }
        let line = line.trim();
        let Some(name) = current.clone().filter(|_| !line.starts_with("//")) else {
            continue;
        };
        if line == "}" {
            // Variants with fields end in "},": this is the end of the type.
            current = None;
        } else if line.starts_with('#') {
            renamed = line
                .split("rename = \"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .map(str::to_owned);
        } else {
            let words = types.entry(name).or_default();
            let first: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            if first.starts_with(|c: char| c.is_ascii_uppercase()) {
                words.insert(renamed.take().unwrap_or_else(|| snake(&first)));
            }
            let fields = line
                .split(": ")
                .zip(line.split(": ").skip(1))
                .filter_map(|(before, _)| before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next());
            words.extend(fields.filter(|field| !field.is_empty()).map(str::to_owned));
        }
    }
    types
}

/// Paths of the leaves of `value`, dotted.
fn leaves(value: &Value, path: &str, into: &mut BTreeMap<String, Value>) {
    if let Value::Object(map) = value {
        for (key, value) in map {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            leaves(value, &path, into);
        }
    } else {
        into.insert(path.to_owned(), value.clone());
    }
}

fn defaults(preset: Preset) -> BTreeMap<String, Value> {
    let mut defaults = BTreeMap::new();
    leaves(
        &Value::Object(Settings::preset(preset).to_map(Secrets::Excluded)),
        "",
        &mut defaults,
    );
    defaults
}

#[test]
fn every_scenario_in_the_documents_and_among_the_examples_can_be_played() {
    let dir = tempfile::tempdir().unwrap();
    let mut played = 0;
    for (info, text) in fences(SCENARIOS)
        .iter()
        .filter(|(info, _)| info.starts_with("toml scenario"))
    {
        let file = dir.path().join("scenario.toml");
        std::fs::write(&file, text).unwrap();
        let loaded = load(&[file]);
        assert!(loaded.is_ok(), "{info}: {loaded:?}");
        played += 1;
    }
    assert_eq!(played, 3, "fences that begin with `toml scenario`");
    let examples = load(&[root().join("harness/examples")]);
    let examples = examples.map_err(|error| error.print()).unwrap();
    let index = std::fs::read_to_string(root().join("harness/examples/README.md")).unwrap();
    for plan in examples.iter().map(|example| &example.plan) {
        assert!(
            index.contains(&format!("({}.toml)", plan.scenario)),
            "{} is in no index",
            plan.scenario
        );
        assert!(
            index.contains(&plan.question),
            "the index asks another question than {}",
            plan.scenario
        );
    }
}

#[test]
fn the_defaults_that_are_spelled_out_are_the_defaults() {
    let plan = |info: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("scenario.toml");
        let (_, text) = fences(SCENARIOS).into_iter().find(|fence| fence.0 == info).unwrap();
        std::fs::write(&file, text).unwrap();
        load(&[file]).unwrap().remove(0).plan
    };
    assert_eq!(plan("toml scenario short"), plan("toml scenario long"));
}

#[test]
fn errors_look_as_the_documents_show_them() {
    let fences = fences(SCENARIOS);
    let mut shown = 0;
    for pair in fences.windows(2).filter(|pair| pair[0].0 == "toml broken") {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("broken.toml");
        std::fs::write(&file, &pair[0].1).unwrap();
        let Err(LoadError::Invalid(reports)) = load(std::slice::from_ref(&file)) else {
            panic!("nothing is broken")
        };
        let page = pair[1].1.replace(['×', '│'], " ");
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        for report in reports {
            let message = report.to_string().replace(&file.display().to_string(), "broken.toml");
            assert!(page.contains(&message), "`{message}` is not in: {page}");
            let help = report.help().unwrap().to_string();
            assert!(page.contains(&help), "`{help}` is not in: {page}");
            shown += 1;
        }
    }
    assert_eq!(shown, 3);
}

#[test]
fn every_key_and_word_of_a_scenario_file_is_explained_in_its_section() {
    let sections = sections(SCENARIOS);
    let mut known = vocabulary(PLAN);
    known.retain(|name, _| {
        [
            "Beginnings",
            "Dependency",
            "Dialect",
            "Endpoint",
            "HangUp",
            "Output",
            "Watch",
        ]
        .contains(&name.as_str())
    });
    let mut parts = vocabulary(FILE);
    let part = parts.remove("PartBlock").unwrap();
    parts.get_mut("DistributionBlock").unwrap().extend(part);
    known.extend(parts);
    let explained = BTreeMap::from(EXPLAINED_IN);
    let names: BTreeSet<&str> = known.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        explained.keys().copied().collect(),
        "say in EXPLAINED_IN where a type is explained"
    );
    for (name, words) in &known {
        assert!(!words.is_empty(), "{name} could not be read");
        let section = explained[name.as_str()];
        let text = sections
            .get(section)
            .unwrap_or_else(|| panic!("there is no section {section}"));
        for word in words {
            assert!(
                code_words(text).contains(word.as_str()),
                "`{word}` is not explained under {section}"
            );
        }
    }
}

#[test]
fn every_setting_of_the_service_is_explained_with_its_two_defaults() {
    let sections = sections(SCENARIOS);
    let text = &sections["Service settings"];
    let documented: BTreeMap<&str, Vec<&str>> = rows(text)
        .into_iter()
        .filter(|cells| cells.len() == 5 && cells[0].starts_with('`'))
        .map(|cells| (cells[0].trim_matches('`'), cells))
        .collect();
    let (naive, resilient) = (defaults(Preset::Naive), defaults(Preset::Resilient));
    let keys: BTreeSet<&str> = naive.keys().map(String::as_str).collect();
    assert_eq!(keys, documented.keys().copied().collect());
    for (key, cells) in documented {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let expected = [&naive[key], &resilient[key]].map(|value| format!("`{}`", word(value)));
        assert_eq!(cells[2..4], expected, "the defaults of {key}");
    }
    let host = serde_json::json!({
        "auth": "required", "otlp_endpoint": "http://o", "database_url": "postgres://h/d",
        "redis_url": "redis://h/", "namespace": "n", "environment": "e", "instance": "i",
        "providers": [{
            "name": "n", "base_url": "http://u", "model": "m", "api_key": "k",
            "prompt_usd_per_million": 1, "completion_usd_per_million": 1, "context_window": 1, "tasks": ["t"],
        }],
        "keys": [{ "name": "n", "sha256": "ab".repeat(32), "tenant": "t", "budget_usd": 1 }],
    });
    let host = Settings::from_map(host.as_object().unwrap().clone()).unwrap();
    let host = host.to_map(Secrets::Included);
    let entries = ["providers", "keys"].map(|list| host[list][0].as_object().unwrap());
    let given = host.keys().chain(entries.into_iter().flat_map(|entry| entry.keys()));
    let given = given.map(String::as_str);
    for key in given.chain(["database_path", "replicas", "queue_workers"]) {
        assert!(code_words(text).contains(key), "`{key}` is not explained");
    }
}

#[test]
fn the_price_table_is_the_one_that_bills() {
    let sections = sections(SCENARIOS);
    let rows = rows(&sections["`price` of a provider"]);
    for model in prices::known_models() {
        let name = format!("`{model}`");
        let row = rows
            .iter()
            .find(|cells| cells[0] == name)
            .unwrap_or_else(|| panic!("{model} is not listed"));
        let price = prices::list_price(model).unwrap().price;
        let listed = [1, 2, 3, 4].map(|cell: usize| prices::per_million(row[cell].parse().unwrap()));
        let billed = [price.prompt, price.cached, price.cache_write, price.completion];
        assert_eq!(listed, billed, "{model}");
    }
}

#[test]
fn every_profile_and_model_class_is_listed() {
    let sections = sections(SCENARIOS);
    let rows = rows(&sections["Profiles and model classes"]);
    let listed: BTreeSet<&str> = rows.iter().map(|cells| cells[0].trim_matches('`')).collect();
    for (name, _) in profiles::profiles().chain(profiles::model_classes()) {
        assert!(listed.contains(name), "{name}");
    }
}

/// The paths that tables of figures list, placeholders filled in.
fn documented_figures() -> BTreeSet<String> {
    let mut figures = BTreeSet::new();
    let mut lists_paths = false;
    for cells in rows(METRICS) {
        match cells[0] {
            "path" => lists_paths = true,
            "phase" | "distribution" | "figure" | "what" | "n" | "verdict" | "the request" => lists_paths = false,
            _ if lists_paths => {
                let sample = |path: &str| {
                    path.replace("<code>", "200")
                        .replace("<name>", "x")
                        .replace("<phase>", "x")
                };
                figures.extend(code(cells[0]).map(sample));
            }
            _ => {}
        }
    }
    figures
}

#[test]
fn every_figure_in_the_documents_is_one_of_every_record() {
    let figures = documented_figures();
    assert!(figures.len() > 40, "the tables could not be read: {figures:?}");
    for figure in figures {
        let one_of_several = format!("{figure}.count");
        let exists =
            metric::metric_exists(&figure).or_else(|error| metric::metric_exists(&one_of_several).or(Err(error)));
        assert!(exists.is_ok(), "{exists:?}");
    }
}

#[test]
fn every_figure_of_a_record_is_in_the_documents() {
    let record = serde_json::to_value(VariantRecord::default()).unwrap();
    let spans: BTreeSet<&str> = code(METRICS).collect();
    let mut figures = BTreeMap::new();
    leaves(&record, "", &mut figures);
    for (path, _) in figures.iter().filter(|(_, value)| value.is_number()) {
        let (parent, leaf) = path.rsplit_once('.').unwrap_or(("", path));
        let leaf = format!(".{leaf}");
        let documented = spans.contains(path.as_str()) || (spans.contains(parent) && spans.contains(leaf.as_str()));
        assert!(documented, "`{path}` is not in docs/metrics.md");
    }
    for key in record.as_object().unwrap().keys() {
        let begins = |span: &&str| span.split(['.', ' ']).next() == Some(key);
        assert!(spans.iter().any(begins), "`{key}` is not in docs/metrics.md");
    }
}

#[test]
fn every_class_of_failure_and_every_phase_of_time_is_named() {
    let words: BTreeSet<&str> = code(METRICS).collect();
    for class in &vocabulary(OBSERVE)["FailureClass"] {
        assert!(words.contains(format!("errors.{class}").as_str()), "errors.{class}");
    }
    let (_, phases) = ATTRIBUTION.split_once("fn in_words").unwrap();
    let (phases, _) = phases.split_once("\n}\n").unwrap();
    let arms = phases
        .lines()
        .filter_map(|line| line.trim().strip_prefix('"')?.split_once("=>"));
    let phases: Vec<&str> = arms
        .flat_map(|(names, _)| names.split(['"', '|', ' ']))
        .filter(|n| !n.is_empty())
        .collect();
    assert!(phases.len() > 10, "{phases:?}");
    for phase in phases {
        assert!(words.contains(phase), "{phase}");
    }
}

#[test]
fn tolerances_are_as_in_the_table_and_a_baseline_keeps_what_is_listed() {
    let sections = sections(METRICS);
    let text = &sections["Tolerances"];
    let numbers = |cells: Vec<&str>| cells.iter().map(|cell| cell.parse().ok()).collect::<Option<Vec<u64>>>();
    let examples: Vec<Vec<u64>> = rows(text).into_iter().filter_map(numbers).collect();
    assert_eq!(examples.len(), 4);
    for row in examples {
        let n = row[0];
        assert_eq!(
            row[1..],
            [tolerance::median_us(n), tolerance::count(n), tolerance::sum(n, 100)],
            "{n}"
        );
    }
    for figure in gate::metrics(&VariantRecord::default()).keys() {
        let kind = figure.split('.').next().unwrap();
        let is_distribution = figure.rsplit('.').next() == Some("count");
        assert!(
            is_distribution || code_words(text).contains(kind),
            "{figure} is kept, and not listed"
        );
    }
}

/// A heading as the fragment of a link.
fn fragment(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The decisions and their index.
fn decisions() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("docs/adr")).expect("decisions");
    let mut files: Vec<PathBuf> = folder.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn the_readme_lists_every_scenario_once_with_its_question_and_each_expects_something() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let all = load(&[root().join("scenarios")]).unwrap_or_else(|_| panic!("the scenarios can be played"));
    for scenario in &all {
        let plan = &scenario.plan;
        let row = format!("| [`{0}`](scenarios/{0}.toml) | {1} |", plan.scenario, plan.question);
        assert_eq!(
            readme.matches(&row).count(),
            1,
            "write this row into README.md, once:\n{row}"
        );
        assert!(!plan.expectations.is_empty(), "{} expects nothing", plan.scenario);
    }
    let listed = readme.matches("](scenarios/").count();
    assert_eq!(
        listed,
        all.len(),
        "README.md lists a scenario twice, or one that is not there"
    );
}

#[test]
fn every_decision_has_a_number_of_its_own() {
    let mut numbers = BTreeSet::new();
    for file in decisions().iter().filter(|file| !file.ends_with("README.md")) {
        let name = file.file_name().unwrap().to_string_lossy();
        let number: u32 = name.split('-').next().unwrap().parse().expect(&name);
        assert!(numbers.insert(number), "{name}: there is another decision {number}");
        let text = std::fs::read_to_string(file).unwrap();
        assert!(
            text.starts_with(&format!("# {number}. ")),
            "{name} has another number in its heading"
        );
    }
    let all: BTreeSet<u32> = (1..=numbers.len() as u32).collect();
    assert_eq!(numbers, all, "none is left out");
}

#[test]
fn every_link_leads_somewhere_and_every_document_is_in_the_index() {
    let docs = root().join("docs");
    let index = std::fs::read_to_string(docs.join("README.md")).unwrap();
    let mut pages = vec![root().join("README.md"), root().join("harness/examples/README.md")];
    pages.extend(decisions());
    for page in std::fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().path()) {
        let name = page.file_name().unwrap().to_string_lossy().into_owned();
        if page.extension().is_some_and(|extension| extension == "md") {
            assert!(
                name == "README.md" || index.contains(&format!("({name})")),
                "{name} is in no index"
            );
            pages.push(page);
        }
    }
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(path)
            };
            assert!(file.exists(), "{}: {target} leads nowhere", page.display());
            let found = || {
                sections(&std::fs::read_to_string(&file).unwrap())
                    .keys()
                    .any(|h| fragment(h) == anchor)
            };
            assert!(
                anchor.is_empty() || found(),
                "{}: {target} has no such heading",
                page.display()
            );
        }
    }
}
