//! Ablation: which variants have to be played to know what each cure is worth, made from the two ends of a scenario.
//!
//! The ends are the variants `naive` and `resilient`, or the first and the last. For every cure in which their settings
//! differ there are two more: the one end with this cure alone, the other without it. What a cure is, the service says;
//! what is played, and how it is measured, is the same as for any variant. Does not play anything.

use brownout_measure::ablation;
use brownout_measure::record::{AblationRecord, RunRecord, VariantRecord};
use brownout_scenario::Plan;
use brownout_scenario::plan::Variant;
use brownout_service::settings::{Change, Secrets, Settings, differing_cures};
use brownout_world::Mount;
use serde_json::{Map, Value};

use crate::mount::ReferenceService;

/// Why a scenario cannot be ablated.
#[derive(Debug, thiserror::Error)]
pub enum AblationError {
    /// There is nothing to compare.
    #[error(
        "{0} has one variant, and cures are what two differ in: add a second [[variant]], such as one with preset = \
         \"naive\" and one with preset = \"resilient\", or leave --ablate out"
    )]
    OneVariant(String),
    /// More differs than settings.
    #[error(
        "{base} and {full} of {scenario} differ in {what} too, so no difference could be put down to a cure: let them \
         differ in settings of the service only, or choose two that do with --variant"
    )]
    OtherWorld {
        /// The scenario.
        scenario: String,
        /// One end.
        base: String,
        /// The other.
        full: String,
        /// What else they differ in.
        what: &'static str,
    },
    /// Nothing differs.
    #[error("{base} and {full} of {scenario} have the same settings: there is no cure to take away")]
    Same {
        /// The scenario.
        scenario: String,
        /// One end.
        base: String,
        /// The other.
        full: String,
    },
}

/// What is to be played besides a scenario's own variants.
#[derive(Debug)]
pub struct Ablation {
    base: String,
    full: String,
    cures: Vec<Cure>,
    /// The variants, in a plan that expects nothing.
    pub plan: Plan,
}

/// A cure and its two variants; one is absent where its settings contradict each other.
#[derive(Debug)]
struct Cure {
    name: String,
    keys: Vec<String>,
    alone: Option<String>,
    without: Option<String>,
}

impl Ablation {
    /// What has to be played to know what each cure is worth.
    pub fn of(plan: &Plan) -> Result<Self, AblationError> {
        let (base, full) = ends(plan)?;
        let (from, to) = (complete(base), complete(full));
        let gained = differing_cures(&from, &to);
        let lost = differing_cures(&to, &from);
        if gained.is_empty() {
            return Err(AblationError::Same {
                scenario: plan.scenario.clone(),
                base: base.name.clone(),
                full: full.name.clone(),
            });
        }
        let mut more = Plan {
            variants: Vec::with_capacity(2 * gained.len()),
            expectations: Vec::new(),
            ..plan.clone()
        };
        let mut add = |end: &Variant, word: &str, cure: &str, keys: &[Change]| {
            let variant = changed(end, &format!("{}-{word}-{}", end.name, plain(cure)), keys);
            let name = variant.name.clone();
            let is_playable = ReferenceService.check(&variant.service.settings).is_ok();
            is_playable.then(|| {
                more.variants.push(variant);
                name
            })
        };
        let cures = gained.iter().map(|(cure, keys)| Cure {
            name: cure.clone(),
            keys: keys.iter().map(|(key, _)| key.clone()).collect(),
            alone: add(base, "with", cure, keys),
            without: lost.get(cure).and_then(|keys| add(full, "without", cure, keys)),
        });
        Ok(Self {
            base: base.name.clone(),
            full: full.name.clone(),
            cures: cures.collect(),
            plan: more,
        })
    }

    /// What came of it.
    pub fn rows(&self, played: &RunRecord) -> Vec<AblationRecord> {
        let variants = &played.results.variants;
        let figures = |name: &Option<String>| {
            let name = name.as_ref()?;
            let found: Option<&VariantRecord> = variants.iter().find(|variant| variant.name == *name);
            found.map(ablation::figures)
        };
        let row = |cure: &Cure| AblationRecord {
            cure: cure.name.clone(),
            keys: cure.keys.clone(),
            base: self.base.clone(),
            full: self.full.clone(),
            alone: figures(&cure.alone),
            without: figures(&cure.without),
        };
        self.cures.iter().map(row).collect()
    }
}

/// The variant without cures and the one with all of them.
fn ends(plan: &Plan) -> Result<(&Variant, &Variant), AblationError> {
    let named = |name: &str| plan.variants.iter().find(|variant| variant.name == name);
    let outermost = || plan.variants.first().zip(plan.variants.last());
    let ends = named("naive").zip(named("resilient")).or_else(outermost);
    let Some((base, full)) = ends.filter(|_| plan.variants.len() > 1) else {
        return Err(AblationError::OneVariant(plan.scenario.clone()));
    };
    let differing = [
        ("the design", base.service.design != full.service.design),
        (
            "the number of processes",
            (base.service.replicas, base.service.workers) != (full.service.replicas, full.service.workers),
        ),
        ("the providers", base.providers != full.providers),
        ("the load", base.load != full.load),
        ("the load balancer", base.gateway != full.gateway),
        ("the orchestrator", base.orchestrator != full.orchestrator),
        ("the events", base.events != full.events),
        ("what fails around it", base.dependency_faults != full.dependency_faults),
    ];
    match differing.into_iter().find(|(_, differs)| *differs) {
        None => Ok((base, full)),
        Some((what, _)) => Err(AblationError::OtherWorld {
            scenario: plan.scenario.clone(),
            base: base.name.clone(),
            full: full.name.clone(),
            what,
        }),
    }
}

/// All settings of a variant, its preset's included, as they are to be played: whole, with what is secret.
fn complete(variant: &Variant) -> Map<String, Value> {
    // A scenario whose settings are wrong was refused when it was read.
    Settings::from_map(variant.service.settings.clone())
        .map(|settings| settings.to_map(Secrets::Included))
        .unwrap_or_default()
}

fn changed(end: &Variant, name: &str, keys: &[Change]) -> Variant {
    let mut variant = end.clone();
    name.clone_into(&mut variant.name);
    for (key, value) in keys {
        match value {
            Some(value) => set(&mut variant.service.settings, key, value.clone()),
            None => unset(&mut variant.service.settings, key),
        }
    }
    variant
}

/// Sets a dotted key.
fn set(map: &mut Map<String, Value>, key: &str, value: Value) {
    let Some((table, rest)) = key.split_once('.') else {
        map.insert(key.to_owned(), value);
        return;
    };
    let table = map.entry(table).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(table) = table {
        set(table, rest, value);
    }
}

/// Takes a dotted key away: no preset has what can be absent.
fn unset(map: &mut Map<String, Value>, key: &str) {
    let Some((table, rest)) = key.split_once('.') else {
        map.remove(key);
        return;
    };
    if let Some(Value::Object(table)) = map.get_mut(table) {
        unset(table, rest);
    }
}

/// A cure's name as a part of a variant's.
fn plain(cure: &str) -> String {
    cure.replace(['.', ' '], "-")
}

#[cfg(test)]
mod tests {
    use brownout_scenario::Scenario;

    use super::*;

    fn plan(variants: &str) -> Plan {
        let world = r#"
            question = "?"
            duration = "10s"
            [[provider]]
            name = "primary"
            model = "gpt-4o-mini"
            first_token = "100ms"
            [load]
            arrivals = { kind = "constant", rate = "1/s" }
        "#;
        Scenario::parse("small.toml", &format!("{world}{variants}"))
            .map_err(|e| e.to_string())
            .unwrap()
            .plan
    }

    fn variant(name: &str, more: &str) -> String {
        format!("[[variant]]\nname = \"{name}\"\nservice = {{ preset = \"{name}\" }}\n{more}\n")
    }

    #[test]
    fn every_cure_is_played_alone_and_taken_away() {
        let plan = plan(&(variant("naive", "") + &variant("resilient", "")));
        let ablation = Ablation::of(&plan).unwrap();
        let names: Vec<&str> = ablation
            .plan
            .variants
            .iter()
            .map(|variant| variant.name.as_str())
            .collect();
        assert!(
            names.contains(&"naive-with-retry") && names.contains(&"resilient-without-retry"),
            "{names:?}"
        );
        let of = |name: &str| {
            let found = ablation
                .plan
                .variants
                .iter()
                .find(|variant| variant.name == name)
                .unwrap();
            Settings::from_map(found.service.settings.clone()).unwrap()
        };
        let (with, without) = (of("naive-with-retry"), of("resilient-without-retry"));
        let (naive, resilient) = (complete(&plan.variants[0]), complete(&plan.variants[1]));
        let of = |map: &Map<String, Value>| map["retry"].clone();
        assert_eq!(of(&with.to_map(Secrets::Excluded)), of(&resilient));
        assert_eq!(of(&without.to_map(Secrets::Excluded)), of(&naive));
        assert!(!with.fallback && without.fallback, "nothing else has changed");
    }

    #[test]
    fn one_end_with_all_cures_is_the_other() {
        let sum = "0".repeat(64);
        let keys = format!("auth = \"required\", keys = [{{ name = \"north\", sha256 = \"{sum}\" }}]");
        let ends = [
            ("preset = \"naive\"".to_owned(), "preset = \"resilient\"".to_owned()),
            (
                "preset = \"naive\", retry = { max_attempts = 7 }".to_owned(),
                format!(
                    "preset = \"resilient\", {keys}, cache = {{ warm = [\"Why?\"] }}, otlp_endpoint = \"http://spans:4318\""
                ),
            ),
            (
                format!("{keys}, environment = \"production\""),
                "diet = { max_tokens = 9 }".to_owned(),
            ),
        ];
        for (naive, resilient) in ends {
            let of = |name: &str, service: &str| format!("[[variant]]\nname = \"{name}\"\nservice = {{ {service} }}\n");
            let plan = plan(&(of("naive", &naive) + &of("resilient", &resilient)));
            let [base, full] = &plan.variants[..] else {
                panic!("two variants");
            };
            for (from, to) in [(base, full), (full, base)] {
                let (all, wanted) = (complete(from), complete(to));
                let changes: Vec<Change> = differing_cures(&all, &wanted).into_values().flatten().collect();
                let mut reached = complete(&changed(from, "all", &changes));
                reached.insert("preset".to_owned(), wanted["preset"].clone());
                assert_eq!(reached, wanted, "{} to {}", from.name, to.name);
            }
            let ablation = Ablation::of(&plan).unwrap();
            let cures: Vec<&String> = ablation.cures.iter().map(|cure| &cure.name).collect();
            let expected = differing_cures(&complete(base), &complete(full));
            assert_eq!(cures, expected.keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn with_one_variant_or_two_worlds_there_is_nothing_to_ablate_and_the_message_says_what_to_do() {
        let refused = |variants: &str| Ablation::of(&plan(variants)).unwrap_err().to_string();
        let one = refused(&variant("naive", ""));
        assert!(one.contains("add a second [[variant]]"), "{one}");
        let slower = variant("resilient", "provider = { primary = { first_token = \"1s\" } }");
        let worlds = refused(&(variant("naive", "") + &slower));
        assert!(worlds.contains("differ in the providers too"), "{worlds}");
        let same = refused("[[variant]]\nname = \"a\"\n[[variant]]\nname = \"b\"\n");
        assert!(same.contains("the same settings"), "{same}");
    }
}
