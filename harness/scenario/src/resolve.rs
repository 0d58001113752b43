//! From the shapes of a file to a plan: defaults filled in, variants spelled out, every value checked.
//!
//! One file per block: `provider` (with `layers`, `models` and `fault`), `world`, `load`, `expectation`; here is what
//! holds them together.

mod expectation;
mod fault;
mod layers;
mod load;
mod models;
mod provider;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use crate::distribution::Distribution;
use crate::error::{ScenarioError, SourceText};
use crate::file::{File, LoadBlock, ProviderBlock, ProvidersFile, VariantBlock};
use crate::plan::{Limits, Plan, ProviderPlan, ServicePlan, Variant};
use crate::units::Micros;

/// Longest run: bounds memory, and a typing error in a unit.
const LONGEST_RUN: Micros = Micros::from_secs(4 * 3600);
const LONGEST_DRAIN: Micros = Micros::from_secs(60);
/// Bounds memory on the virtual clock; the real one plays fewer, which whoever plays them knows.
/// Shortest time between two scrapes of a process: bounds what is kept of the metrics of a run.
pub const SHORTEST_SCRAPE: Micros = Micros::from_millis(100);
const MOST_PROCESSES: u32 = 64;
/// Bounds how often something can come and go in a run.
const SHORTEST_STRETCH: Micros = Micros::from_millis(1);

pub(crate) type Resolved<T> = Result<T, Box<ScenarioError>>;

/// What every step of resolving may look at.
#[derive(Debug, Clone)]
pub(crate) struct Context<'a> {
    pub(crate) source: &'a SourceText,
    /// The end of the run, which what happens must come before.
    pub(crate) duration: Micros,
    /// Set while a bundled profile is read: the key that asked for it answers for what is wrong with it.
    blame: Option<Blame>,
}

/// A key that asked for a profile, and the profile's name.
#[derive(Debug, Clone)]
struct Blame {
    span: Range<usize>,
    whose: String,
}

impl Context<'_> {
    fn blaming(&self, span: Range<usize>, whose: String) -> Self {
        Self {
            blame: Some(Blame { span, whose }),
            ..self.clone()
        }
    }

    pub(crate) fn fail<T>(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Resolved<T> {
        Err(Box::new(match &self.blame {
            None => self.source.error(span, message, remedy),
            Some(Blame { span, whose }) => {
                self.source
                    .error(span.clone(), format!("{whose}: {}", message.into()), remedy)
            }
        }))
    }
}

/// Providers that stand alone: their time has no end.
pub(crate) fn providers_alone(source: &SourceText, file: &ProvidersFile) -> Resolved<Vec<ProviderPlan>> {
    let context = Context {
        source,
        duration: Micros(u64::MAX),
        blame: None,
    };
    if file.provider.is_empty() {
        return context.fail(
            0..0,
            "the file has no provider",
            "add a [[provider]] with name, model and first_token",
        );
    }
    providers(&context, &file.provider, &BTreeMap::new())
}

pub(crate) fn resolve(name: &str, source: &SourceText, file: &File) -> Resolved<Plan> {
    let context = Context {
        source,
        duration: *file.duration.get_ref(),
        blame: None,
    };
    let warmup = file.warmup.as_ref().map_or(Micros::ZERO, |w| *w.get_ref());
    check_times(&context, file, warmup)?;
    if file.provider.is_empty() {
        return context.fail(
            file.load.span(),
            "the scenario has no provider",
            "add a [[provider]] with name, model and first_token: the service needs somebody to call",
        );
    }
    if file.variant.is_empty() {
        return context.fail(
            file.load.span(),
            "the scenario has no variant",
            "add at least one [[variant]] with a name and a service, such as service = { preset = \"naive\", design = \"coupled\" }",
        );
    }
    let mut names = BTreeSet::new();
    let mut variants = Vec::with_capacity(file.variant.len());
    for block in &file.variant {
        let variant_name = &block.get_ref().name;
        check_name(&context, variant_name, "variant")?;
        if !names.insert(variant_name.get_ref().as_str()) {
            return context.fail(
                variant_name.span(),
                format!("a variant named `{}` is there already", variant_name.get_ref()),
                "give every variant a name of its own: figures and expectations are found by it",
            );
        }
        variants.push(variant(&context, file, block)?);
    }
    let expectations = file
        .expect
        .iter()
        .map(|block| expectation::expectation(&context, &names, &variants, block))
        .collect::<Resolved<_>>()?;
    Ok(Plan {
        scenario: name.to_owned(),
        question: file.question.get_ref().clone(),
        claim: file.claim.clone(),
        seed: file.seed.unwrap_or(1),
        warmup,
        duration: context.duration,
        drain: file.drain.as_ref().map_or(LONGEST_DRAIN, |d| *d.get_ref()),
        scrape: file.scrape.as_ref().map(|every| *every.get_ref()),
        limits: Limits {
            lateness_p99: file.limits.lateness_p99.unwrap_or(Micros::from_millis(25)),
        },
        variants,
        expectations,
    })
}

fn check_times(context: &Context<'_>, file: &File, warmup: Micros) -> Resolved<()> {
    let span = file.duration.span();
    if context.duration == Micros::ZERO || context.duration > LONGEST_RUN {
        return context.fail(
            span,
            format!("a run of {} cannot be played", context.duration),
            format!("write a duration above 0 and up to {LONGEST_RUN}"),
        );
    }
    if let Some(spanned) = file.warmup.as_ref().filter(|_| warmup >= context.duration) {
        return context.fail(
            spanned.span(),
            format!("a warm-up of {warmup} leaves nothing of a run of {}", context.duration),
            "the warm-up is part of the duration: make it shorter",
        );
    }
    if let Some(spanned) = file.drain.as_ref().filter(|d| *d.get_ref() > LONGEST_DRAIN) {
        return context.fail(
            spanned.span(),
            format!("a drain of {} is too long", spanned.get_ref()),
            format!(
                "what is still open {LONGEST_DRAIN} after the last arrival counts as unfinished: write at most that"
            ),
        );
    }
    if let Some(spanned) = file.scrape.as_ref().filter(|every| *every.get_ref() < SHORTEST_SCRAPE) {
        return context.fail(
            spanned.span(),
            format!("metrics cannot be asked for every {}", spanned.get_ref()),
            format!("write at least {SHORTEST_SCRAPE}; Prometheus asks every 15s unless told otherwise"),
        );
    }
    Ok(())
}

/// Names become file names and parts of metric paths.
fn check_name(context: &Context<'_>, name: &Spanned<String>, what: &str) -> Resolved<()> {
    let ok = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.get_ref().is_empty() || !name.get_ref().chars().all(ok) {
        return context.fail(
            name.span(),
            format!("`{}` cannot be the name of a {what}", name.get_ref()),
            "use letters, digits, `-` and `_`: the name becomes part of file names",
        );
    }
    Ok(())
}

/// What to write where a task is named.
const A_TASK: &str = "a task is a word of 1 to 32 letters, digits, dots, hyphens or underscores";

fn is_task(word: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=32).contains(&word.len()) && word.chars().all(fits)
}

fn variant(context: &Context<'_>, file: &File, block: &Spanned<VariantBlock>) -> Resolved<Variant> {
    let raw = block.get_ref();
    for patched in raw.provider.keys() {
        let known = |p: &&Spanned<ProviderBlock>| {
            p.get_ref()
                .name
                .as_ref()
                .is_some_and(|name| name.get_ref() == patched.get_ref())
        };
        if !file.provider.iter().any(|p| known(&p)) {
            return context.fail(
                patched.span(),
                format!("there is no provider named `{}` to change", patched.get_ref()),
                "name one of the scenario's [[provider]] blocks",
            );
        }
    }
    let mut service = service(context, block)?;
    let world = world::world(context, file, block, &mut service)?;
    Ok(Variant {
        name: raw.name.get_ref().clone(),
        service,
        providers: providers(context, &file.provider, &raw.provider)?,
        gateway: world.gateway,
        orchestrator: world.orchestrator,
        events: world.events,
        dependency_faults: world.dependency_faults,
        load: load::load(context, &file.load, raw.load.as_ref().unwrap_or(&LoadBlock::default()))?,
    })
}

fn providers(
    context: &Context<'_>,
    blocks: &[Spanned<ProviderBlock>],
    patches: &BTreeMap<Spanned<String>, ProviderBlock>,
) -> Resolved<Vec<ProviderPlan>> {
    let mut names = BTreeSet::new();
    let mut providers = Vec::with_capacity(blocks.len());
    for block in blocks {
        let resolved = provider::provider(context, block, patches)?;
        if !names.insert(resolved.name.clone()) {
            return context.fail(
                block.span(),
                format!("a provider named `{}` is there already", resolved.name),
                "give every provider a name of its own",
            );
        }
        providers.push(resolved);
    }
    Ok(providers)
}

fn service(context: &Context<'_>, block: &Spanned<VariantBlock>) -> Resolved<ServicePlan> {
    let mut settings = serde_json::Map::new();
    let (mut replicas, mut workers) = (1, None);
    for (key, value) in &block.get_ref().service {
        let processes = || match value.as_integer().and_then(|n| u32::try_from(n).ok()) {
            Some(n) if (1..=MOST_PROCESSES).contains(&n) => Ok(n),
            _ => context.fail(
                block.span(),
                format!("service.{key} is not a number of processes"),
                format!("write a whole number from 1 to {MOST_PROCESSES}"),
            ),
        };
        match key.as_str() {
            "replicas" => replicas = processes()?,
            "queue_workers" => workers = Some(processes()?),
            _ => {
                let json = serde_json::to_value(value).unwrap_or_default();
                settings.insert(key.clone(), json);
            }
        }
    }
    let design = settings
        .get("design")
        .and_then(|d| d.as_str())
        .unwrap_or("coupled")
        .to_owned();
    let workers = workers.unwrap_or(u32::from(design == "queued"));
    Ok(ServicePlan {
        design,
        replicas,
        workers,
        settings,
    })
}

/// A distribution that can be drawn from.
pub(crate) fn checked(context: &Context<'_>, span: &Range<usize>, d: &Distribution) -> Resolved<Distribution> {
    match d.problem() {
        Some((message, remedy)) => context.fail(span.clone(), message, remedy),
        None => Ok(d.clone()),
    }
}

/// The distribution of lengths that follow each other: mostly long enough that there can't be endlessly many.
pub(crate) fn lasting(context: &Context<'_>, span: &Range<usize>, d: &Distribution) -> Resolved<Distribution> {
    let d = checked(context, span, d)?;
    if d.quantile(0.5) < SHORTEST_STRETCH.0 as f64 {
        return context.fail(
            span.clone(),
            format!("half of these lengths are below {SHORTEST_STRETCH}"),
            format!("write lengths of {SHORTEST_STRETCH} and more"),
        );
    }
    Ok(d)
}
