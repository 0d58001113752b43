//! What comes with the crate resolves, keeps to what it may say, and lies under what a block says itself.

mod common;

use brownout_scenario::Providers;
use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{Dialect, FaultEffect, ProviderPlan, Timetable};
use brownout_scenario::profiles::{model_classes, profiles};
use brownout_scenario::units::Micros;
use common::{plan, refuses};

/// A provider that stands alone, of nothing but what is bundled.
fn bundled(keys: &str, dialect: Dialect) -> ProviderPlan {
    let text = format!(
        "[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\ndialect = \"{}\"\n{keys}\n",
        dialect.name()
    );
    let read = Providers::parse("p.toml", &text);
    read.unwrap_or_else(|error| panic!("{keys}: {error}"))
        .providers
        .remove(0)
}

#[test]
fn every_profile_and_every_class_makes_a_provider_in_every_dialect() {
    for dialect in Dialect::ALL {
        for (name, text) in profiles() {
            let plan = bundled(&format!("profile = \"{name}\""), dialect);
            assert_eq!(plan.faults.len(), text.matches("[[fault]]").count(), "{name}");
        }
        for (name, _) in model_classes() {
            let plan = bundled(&format!("model_class = \"{name}\""), dialect);
            assert!(plan.faults.is_empty(), "{name}");
            assert!(
                plan.first_token.quantile(0.5) > 0.0 && plan.inter_token.quantile(0.5) > 0.0,
                "{name}"
            );
        }
    }
}

#[test]
fn what_is_bundled_names_neither_a_provider_nor_a_model_nor_a_price() {
    for (name, text) in profiles().chain(model_classes()) {
        let block: toml::Table = toml::from_str(text).unwrap();
        for key in ["name", "model", "also_serves", "price", "dialect", "profile"] {
            assert!(!block.contains_key(key), "{name} has {key}");
        }
    }
}

/// The share of the calls that fail, and the share that fail by 429, over the faults that have a probability.
fn failing(plan: &ProviderPlan) -> (f64, f64) {
    let (mut left, mut limited) = (1.0, 0.0);
    for fault in plan.faults.iter().filter(|f| f.timetable == Timetable::Throughout) {
        let hit = left * fault.probability.get();
        if matches!(fault.effect, FaultEffect::Status { status: 429, .. }) {
            limited += hit;
        }
        left -= hit;
    }
    (1.0 - left, limited)
}

#[test]
fn profiles_fail_as_often_as_their_sources_say() {
    for (name, all, limited) in [
        ("calm", 0.013, 0.01),
        ("typical", 0.02, 0.006),
        ("bad-day", 0.05, 0.03),
        ("outage", 0.013, 0.01),
    ] {
        let found = failing(&bundled(&format!("profile = \"{name}\""), Dialect::OpenAi));
        assert!(
            (found.0 - all).abs() < 0.001 && (found.1 - limited).abs() < 0.001,
            "{name}: {found:?}"
        );
    }
    assert!(bundled("profile = \"bad-day\"", Dialect::OpenAi).slow_periods.is_some());
}

#[test]
fn hosted_classes_have_the_spread_of_healthy_providers_and_a_slow_mode() {
    for name in ["hosted", "small-fast", "mid", "frontier", "reasoning"] {
        let plan = bundled(&format!("model_class = \"{name}\""), Dialect::OpenAi);
        let (p50, p95) = (plan.first_token.quantile(0.5), plan.first_token.quantile(0.95));
        assert!((1.1..1.75).contains(&(p95 / p50)), "{name}: {}", p95 / p50);
        let gaps = plan.inter_token.quantile(0.99) / plan.inter_token.quantile(0.5);
        assert!((gaps - 1.4176).abs() < 0.03, "{name}: {gaps}");
        assert!(plan.first_token.quantile(0.999) > 10.0 * p50, "{name}");
    }
}

#[test]
fn own_keys_win_over_the_profile_and_the_profile_over_the_class() {
    let plan = plan(
        "profile = \"bad-day\"\ninter_token = \"3ms\"\nslow_periods = { every = \"9s\", lasts = \"1s\", factor = 2.0 }\n",
    );
    assert_eq!(plan.first_token, Distribution::Constant { value: 1e6 });
    assert_eq!(plan.inter_token, Distribution::Constant { value: 3e3 });
    assert!((plan.slow_periods.unwrap().factor - 2.0).abs() < 1e-9);
    let chosen = bundled("profile = \"calm\"\nmodel_class = \"local-8b-h100\"", Dialect::OpenAi);
    assert_eq!(chosen.prefill, Micros(250), "the block's class, not the profile's");
}

#[test]
fn faults_of_the_block_come_before_those_of_its_profile() {
    let text = "profile = \"calm\"\n[[provider.fault]]\nkind = \"status\"\nstatus = 500\nprobability = 0.5\n";
    let ids: Vec<String> = plan(text).faults.into_iter().map(|fault| fault.id).collect();
    assert_eq!(ids, ["status#0", "status#1", "status#2"]);
}

#[test]
fn an_unknown_name_is_told_the_known_ones() {
    refuses(
        "profile = \"bad_day\"",
        1,
        "there is no profile `bad_day`",
        "calm, typical, bad-day, outage",
    );
    refuses(
        "model_class = \"huge\"",
        1,
        "there is no model_class `huge`",
        "hosted, small-fast, mid, frontier",
    );
}

#[test]
fn the_key_that_asked_for_a_profile_answers_for_it() {
    refuses(
        "output_tokens = 5\nprofile = \"outage\"\n[[provider.fault]]\nkind = \"blackhole\"",
        2,
        "profile `outage`: outage#1 from 0us to 30s can never happen",
        "blackhole#0",
    );
}
