//! Every mistake in a scenario file is told with its line, what is wrong, and what to write instead.

use brownout_scenario::Scenario;
use brownout_scenario::plan::Timetable;
use brownout_scenario::units::Micros;

const GOOD: &str = r#"question = "Does it hold?"
duration = "30s"
[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = { kind = "lognormal", p50 = "350ms", p99 = "1.2s" }
[[provider.fault]]
kind = "status"
status = 429
from = "10s"
until = "20s"
[load]
arrivals = { kind = "poisson", rate = "5/s" }
[[variant]]
name = "naive"
service = { preset = "naive", design = "coupled" }
[[expect]]
variant = "naive"
metric = "latency.p99_ms"
at_most = 5000
"#;

/// The good file with `from` replaced, and the error that must come of it: line, words of the message, words of the remedy.
#[track_caller]
fn refuses(from: &str, to: &str, line: usize, message: &str, remedy: &str) {
    assert!(GOOD.contains(from), "the good file has no `{from}`");
    let error = Scenario::parse("x.toml", &GOOD.replacen(from, to, 1)).expect_err("it must be refused");
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.remedy().contains(remedy), "{}", error.remedy());
    assert_eq!(error.line(), line, "{error}");
}

#[test]
fn the_good_file_is_good() {
    let scenario = Scenario::parse("x.toml", GOOD).unwrap();
    assert_eq!(scenario.plan.variants[0].providers[0].faults[0].id, "status#0");
}

#[test]
fn an_unknown_key() {
    refuses(
        "status = 429",
        "status = 429\nretry_aftr = \"2s\"",
        10,
        "unknown field `retry_aftr`",
        "retry_after",
    );
}

#[test]
fn a_wrong_unit() {
    refuses(
        "\"30s\"",
        "\"30 parsecs\"",
        2,
        "`30 parsecs` is not a duration",
        "write a number and its unit",
    );
    refuses("\"5/s\"", "5", 13, "invalid type: integer", "string");
    refuses("\"5/s\"", "\"5\"", 13, "`5` is not a rate", "5/s");
    refuses("p50 = \"350ms\"", "p50 = 350", 6, "invalid type: integer", "string");
}

#[test]
fn a_missing_provider() {
    let without = GOOD.replace("[[provider]]\nname = \"primary\"\nmodel = \"gpt-4o-mini\"\nfirst_token = { kind = \"lognormal\", p50 = \"350ms\", p99 = \"1.2s\" }\n[[provider.fault]]\nkind = \"status\"\nstatus = 429\nfrom = \"10s\"\nuntil = \"20s\"\n", "");
    let error = Scenario::parse("x.toml", &without).expect_err("it must be refused");
    assert!(error.to_string().contains("no provider"), "{error}");
    assert!(error.remedy().contains("[[provider]]"));
}

#[test]
fn an_impossible_percentile_pair() {
    refuses("p99 = \"1.2s\"", "p99 = \"1.2ms\"", 6, "p50 is above p99", "swap them");
}

#[test]
fn a_fault_after_the_end_or_without_length() {
    refuses(
        "from = \"10s\"",
        "from = \"40s\"",
        10,
        "can never happen",
        "begin it earlier",
    );
    refuses(
        "until = \"20s\"",
        "until = \"5s\"",
        11,
        "can never happen",
        "not a length",
    );
    refuses(
        "until = \"20s\"",
        "until = \"50s\"",
        11,
        "after the end of the run",
        "leave until out",
    );
}

#[test]
fn a_fault_that_cannot_be() {
    refuses("status = 429", "status = 200", 9, "not an error status", "400 to 599");
    refuses(
        "kind = \"status\"",
        "kind = \"stats\"",
        8,
        "unknown variant `stats`",
        "latency_spike",
    );
    refuses(
        "status = 429",
        "status = 429\nprobability = 1.5",
        10,
        "not a share",
        "from 0 to 1",
    );
    refuses(
        "status = 429",
        "status = 429\nfirst_token = \"3s\"",
        10,
        "no meaning",
        "remove it",
    );
}

#[test]
fn a_duplicate_variant() {
    refuses(
        "[[expect]]",
        "[[variant]]\nname = \"naive\"\n[[expect]]",
        18,
        "there already",
        "name of its own",
    );
}

#[test]
fn an_expectation_about_nobody_or_about_nothing() {
    refuses(
        "variant = \"naive\"\nmetric",
        "variant = \"niave\"\nmetric",
        18,
        "no variant named `niave`",
        "naive",
    );
    refuses("at_most = 5000", "", 17, "can never fail", "at_most");
    refuses(
        "at_most = 5000",
        "at_most = 1\nat_least = 2",
        17,
        "at_least is above at_most",
        "swap",
    );
    refuses(
        "variant = \"naive\"\nmetric",
        "compare = \"naive\"\nmetric",
        18,
        "does not compare",
        "resilient / naive",
    );
}

#[test]
fn a_model_without_a_price() {
    refuses(
        "gpt-4o-mini",
        "gpt-oss-mega",
        5,
        "price of `gpt-oss-mega`",
        "prompt_usd_per_million",
    );
}

#[test]
fn more_requests_than_can_be_played() {
    refuses("5/s", "5000000/s", 13, "makes 150000000 requests", "change the rate");
}

#[test]
fn clients_that_are_more_than_all_or_leave_what_they_do_not_have() {
    let client = "[load]\nclient = [{ share = 0.6 }, { share = 0.6 }]";
    refuses("[load]", client, 13, "more than all", "shares are parts of 1");
    let leaves = "[load]\nclient = [{ share = 0.1, disconnect = { after_tokens = 3 } }]";
    refuses("[load]", leaves, 13, "needs a stream", "endpoint = \"stream\"");
}

#[test]
fn variants_change_only_what_they_name() {
    let text = GOOD.replace(
        "[[expect]]",
        "[[variant]]\nname = \"slow\"\nprovider = { primary = { first_token = \"9s\" } }\nload = { endpoint = \"stream\" }\n[[expect]]",
    );
    let plan = Scenario::parse("x.toml", &text).unwrap().plan;
    assert_ne!(
        plan.variants[0].providers[0].first_token,
        plan.variants[1].providers[0].first_token
    );
    assert_eq!(
        plan.variants[0].providers[0].faults,
        plan.variants[1].providers[0].faults
    );
    assert_eq!(plan.variants[0].load.arrivals, plan.variants[1].load.arrivals);
    assert_ne!(plan.variants[0].load.endpoint, plan.variants[1].load.endpoint);
}

#[test]
fn a_variant_that_writes_its_faults_anew_takes_the_blocks_away_and_leaves_the_profiles() {
    let variants = "[[variant]]\nname = \"well\"\nprovider = { primary = { fault = [] } }\n[[variant]]\nname = \"as-usual\"\nprovider = { primary = { fault = [], profile = \"calm\" } }\n[[expect]]";
    let plan = Scenario::parse("x.toml", &GOOD.replace("[[expect]]", variants))
        .unwrap()
        .plan;
    let faults = plan.variants.iter().map(|variant| variant.providers[0].faults.len());
    assert_eq!(faults.collect::<Vec<_>>(), [1, 0, 2]);
}

#[test]
fn a_plan_has_the_same_fingerprint_wherever_its_file_lies_and_another_with_another_seed() {
    let here = Scenario::parse("a/x.toml", GOOD).unwrap().plan;
    let there = Scenario::parse("b/x.toml", GOOD).unwrap().plan;
    let other = Scenario::parse("x.toml", &format!("seed = 2\n{GOOD}")).unwrap().plan;
    assert_eq!(here.fingerprint(), there.fingerprint());
    assert_ne!(here.fingerprint(), other.fingerprint());
}

#[test]
fn the_beginning_of_a_plan_keeps_the_windows_that_begin_in_it_and_ends_them_with_itself() {
    let windows = |written: &str| {
        GOOD.replace(
            "from = \"10s\"\nuntil = \"20s\"",
            &format!("from = \"1s\"\nwindows = {written}"),
        )
    };
    let left = |written: &str, until: u64| {
        let plan = Scenario::parse("x.toml", &windows(written)).unwrap().plan;
        let beginning = plan.beginning(Micros::from_secs(until));
        beginning.variants[0].providers[0]
            .faults
            .first()
            .map(|fault| fault.timetable.clone())
    };
    let kept = |pairs: &[(u64, u64)]| {
        let instants = |&(from, until): &(u64, u64)| (Micros::from_secs(from), Micros::from_secs(until));
        Some(Timetable::Windows(pairs.iter().map(instants).collect()))
    };
    let written = "[[\"2s\", \"5s\"], [\"8s\", \"12s\"], [\"20s\", \"22s\"]]";
    assert_eq!(left(written, 10), kept(&[(2, 5), (8, 10)]));
    assert_eq!(left(written, 8), kept(&[(2, 5)]));
    assert_eq!(left(written, 20), kept(&[(2, 5), (8, 12)]));
    assert_eq!(left(written, 2), None, "nothing is left of it");
}
