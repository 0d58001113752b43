//! What a provider block may say beside its faults: models, prices, latency, capacity, and files of providers alone.

mod common;

use brownout_scenario::Providers;
use brownout_scenario::distribution::Distribution;
use brownout_scenario::plan::{Capacity, Dialect, PromptCache, Timetable};
use brownout_scenario::units::{Micros, Picodollars, Share};
use common::{plan, refuses};

#[test]
fn what_is_left_out_has_its_default() {
    let plan = plan("");
    let model = &plan.models[0];
    assert_eq!(
        (model.name.as_str(), model.family.as_str()),
        ("gpt-4o-mini", "gpt-4o-mini")
    );
    assert_eq!((plan.models.len(), model.context_window), (1, None));
    assert_eq!(
        (plan.prefill, plan.tool_calls, plan.bill_broken),
        (Micros::ZERO, Share::ALL, true)
    );
    assert_eq!(plan.reasoning_tokens, Distribution::Constant { value: 0.0 });
    assert_eq!(
        (plan.capacity, plan.prompt_cache, plan.slow_periods),
        (None, None, None)
    );
}

#[test]
fn what_is_written_arrives_in_the_plan() {
    let plan = plan(
        r#"
prefill = "250us"
reasoning_tokens = 40
tool_calls = 0.5
slow_periods = { every = "60s", lasts = { kind = "gamma", mean = "5s", shape = 2.0 }, factor = 4.0 }
capacity = { slots = 8 }
prompt_cache = {}
bill_broken = false
limits = { input_tokens_per_minute = 1000, output_tokens_per_minute = 500 }
"#,
    );
    assert_eq!((plan.prefill, plan.bill_broken), (Micros(250), false));
    assert_eq!(plan.reasoning_tokens, Distribution::Constant { value: 40.0 });
    assert!((plan.tool_calls.get() - 0.5).abs() < 1e-9);
    let slow = plan.slow_periods.unwrap();
    assert_eq!(slow.lasts, Distribution::Gamma { mean: 5e6, shape: 2.0 });
    assert_eq!(plan.capacity, Some(Capacity { slots: 8, queue: 0 }));
    assert_eq!(
        plan.prompt_cache,
        Some(PromptCache {
            min_tokens: 1_024,
            granularity: 128,
            ttl: Micros::from_secs(300)
        })
    );
    let limits = plan.limits.unwrap();
    assert_eq!(
        (
            limits.input_tokens_per_minute,
            limits.output_tokens_per_minute,
            limits.requests_per_minute
        ),
        (Some(1000), Some(500), None)
    );
}

#[test]
fn further_models_are_names_or_tables() {
    let plan = plan(
        r#"
family = "small"
context_window = 128_000
also_serves = [
    "gpt-4o",
    { model = "ours", family = "small", context_window = 8_000, price = { prompt_usd_per_million = 1.0, completion_usd_per_million = 2.0 } },
]
"#,
    );
    let told: Vec<_> = plan
        .models
        .iter()
        .map(|m| (m.name.as_str(), m.family.as_str(), m.context_window, m.price.prompt.0))
        .collect();
    assert_eq!(
        told,
        [
            ("gpt-4o-mini", "small", Some(128_000), 150_000),
            ("gpt-4o", "gpt-4o", None, 2_500_000),
            ("ours", "small", Some(8_000), 1_000_000),
        ]
    );
    assert_eq!(
        plan.serves("ours").map(|model| model.price.cache_write),
        Some(Picodollars(1_000_000))
    );
}

#[test]
fn further_models_that_cannot_be_are_refused() {
    refuses(
        "also_serves = [\"gpt-4o\", \"gpt-4o\"]",
        1,
        "serves `gpt-4o` already",
        "once",
    );
    refuses(
        "also_serves = [\"gpt-4o-mini\"]",
        1,
        "serves `gpt-4o-mini` already",
        "once",
    );
    refuses(
        "also_serves = [\"mega\"]",
        1,
        "price of `mega` is not known",
        "prompt_usd_per_million",
    );
    refuses(
        "also_serves = [\n\"gpt-4o\",\n{ model = \"gpt-5\", famly = \"x\" }]",
        3,
        "unknown field `famly`",
        "family",
    );
    refuses(
        "also_serves = [\n5]",
        2,
        "invalid type: integer",
        "the name of a model, or a table",
    );
    refuses(
        "also_serves = [\"a b\"]",
        1,
        "cannot be the name of a model",
        "without blanks",
    );
    let many: Vec<String> = (0..65).map(|n| format!("\"m{n}\"")).collect();
    refuses(
        &format!("also_serves = [{}]", many.join(", ")),
        1,
        "65 further models are too many",
        "at most 64",
    );
}

#[test]
fn a_model_of_ones_own_machine_is_free_unless_a_price_is_given() {
    let local = plan("dialect = \"ollama\"\nalso_serves = [\"llama3.2:1b\"]");
    assert!(
        local
            .models
            .iter()
            .all(|model| model.price.completion == Picodollars(0))
    );
    let priced =
        plan("dialect = \"ollama\"\nprice = { prompt_usd_per_million = 0.1, completion_usd_per_million = 0.2 }");
    assert_eq!(priced.models[0].price.completion, Picodollars(200_000));
    assert_eq!(priced.dialect, Dialect::Ollama);
}

#[test]
fn values_out_of_bounds_are_refused() {
    for (bad, message, remedy) in [
        ("capacity = { slots = 0 }", "0 slots", "slots from 1"),
        ("context_window = 0", "window of 0 tokens", "128_000"),
        ("family = \"\"", "family of models", "printable ASCII"),
        ("prefill = \"2s\"", "too long", "the time of one token"),
        (
            "slow_periods = { every = \"1s\", lasts = \"1s\", factor = 0.0 }",
            "0 times as long",
            "up to 1000",
        ),
        (
            "slow_periods = { every = \"1s\", lasts = \"1s\", factor = nan }",
            "NaN times as long",
            "up to 1000",
        ),
        (
            "slow_periods = { every = \"1s\", lasts = \"1s\", factor = 1001.0 }",
            "1001 times as long",
            "up to 1000",
        ),
        (
            "slow_periods = { every = \"0s\", lasts = \"1s\", factor = 2.0 }",
            "below 1ms",
            "1ms and more",
        ),
        (
            "prompt_cache = { granularity = 0 }",
            "steps of 0 tokens",
            "granularity of 1",
        ),
        ("prompt_cache = { ttl = \"0s\" }", "forgets at once", "ttl above 0"),
        (
            "limits = { input_tokens_per_minute = 0 }",
            "limit nothing or admit nothing",
            "above 0",
        ),
        (
            "limits = { burst = 0.5 }",
            "limit nothing or admit nothing",
            "requests_per_minute",
        ),
        ("tool_calls = 2.0", "not a share", "from 0 to 1"),
        (
            "output_tokens = { kind = \"gamma\", mean = 100, shape = 0.0 }",
            "shape of a gamma",
            "1.0",
        ),
        (
            "output_tokens = { kind = \"mixture\", parts = [{ weight = nan, of = 3 }] }",
            "no number",
            "from 0 on",
        ),
        (
            "price = { prompt_usd_per_million = 1.0, cache_write_usd_per_million = -1.0, completion_usd_per_million = 1.0 }",
            "a price is below 0",
            "such as 0.15",
        ),
    ] {
        refuses(bad, 1, message, remedy);
    }
}

#[test]
fn providers_alone_have_no_end_of_time() {
    let text = "seed = 9\n[[provider]]\nname = \"a\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n[[provider.fault]]\nkind = \"blackhole\"\nfrom = \"40h\"\n[[provider]]\nname = \"b\"\ndialect = \"anthropic\"\nmodel = \"claude-haiku-4-5\"\nmodel_class = \"mid\"\n";
    let read = Providers::parse("p.toml", text).unwrap();
    let names: Vec<&str> = read.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!((read.seed, names), (9, vec!["a", "b"]));
    let fault = &read.providers[0].faults[0];
    assert_eq!(
        (fault.from, fault.until),
        (Micros::from_secs(40 * 3600), Micros(u64::MAX))
    );
    assert_eq!(fault.timetable, Timetable::Throughout);
}

#[test]
fn files_of_providers_alone_have_nothing_else() {
    let of = |text: &str| *Providers::parse("p.toml", text).expect_err("it must be refused");
    assert!(
        of("seed = 1\n")
            .to_string()
            .contains("p.toml:1: the file has no provider")
    );
    let scenario = of("seed = 1\nduration = \"3s\"\n");
    assert_eq!(
        (scenario.line(), scenario.remedy()),
        (2, "expected `seed` or `provider`")
    );
    let twice = "[[provider]]\nname = \"a\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n".repeat(2);
    assert!(of(&twice).to_string().contains("`a` is there already"));
    let hidden = "[[provider]]\nname = \"a\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n[[provider.fault]]\nkind = \"blackhole\"\n[[provider.fault]]\nkind = \"html_200\"\n";
    assert!(
        of(hidden)
            .to_string()
            .contains("html_200#1 from 0us to the end of time can never happen")
    );
}

#[test]
fn a_list_that_is_written_as_one_table_is_told_how_to_become_one() {
    let error = Providers::parse("p.toml", "[[provider.fault]]\nkind = \"blackhole\"\n").expect_err("no provider");
    assert!(error.to_string().contains("a list of tables belongs"), "{error}");
    assert!(
        error.remedy().contains("needs its [[provider]] above it"),
        "{}",
        error.remedy()
    );
}
