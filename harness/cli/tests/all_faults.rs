//! Everything that can go wrong at a provider goes wrong at once, and the books balance all the same.

mod support;

use std::fmt::Write;
use std::sync::Arc;

use brownout::mount::ReferenceService;
use brownout_scenario::{Plan, Scenario};
use support::play;

/// One in fifty attempts suffers each of these, on top of limits, slots, slow periods, thinking and cached prompts.
const FAULTS: [&str; 21] = [
    "kind = \"status\"\nstatus = 429\nretry_after = \"1s\"",
    "kind = \"status\"\nstatus = 503\nretry_after_text = \"soon\"",
    "kind = \"latency_spike\"\nfirst_token = \"4s\"",
    "kind = \"stall\"",
    "kind = \"stall\"\nafter_tokens = 5\nlasts = { kind = \"lognormal\", p50 = \"2s\", p99 = \"9s\" }",
    "kind = \"blackhole\"",
    "kind = \"reset_before_headers\"",
    "kind = \"error_event\"",
    "kind = \"clean_eof\"",
    "kind = \"fin_without_terminator\"",
    "kind = \"reset_mid_stream\"",
    "kind = \"malformed_frame\"",
    "kind = \"missing_done\"",
    "kind = \"duplicate_frame\"",
    "kind = \"trickle\"\nbytes = 300\npause = \"5ms\"",
    "kind = \"html_200\"",
    "kind = \"empty_200\"",
    "kind = \"empty_200\"\nbody = \"object\"",
    "kind = \"garbage_output\"",
    "kind = \"content_filter\"\nafter_tokens = 4",
    "kind = \"context_length\"",
];

fn scenario(endpoint: &str, bill_broken: bool) -> Plan {
    let mut text = format!(
        r#"
question = "Do the books balance on the worst of days?"
seed = 5
duration = "120s"

[[provider]]
name = "primary"
model = "gpt-4o-mini"
first_token = {{ kind = "lognormal", p50 = "200ms", p99 = "900ms" }}
inter_token = {{ kind = "lognormal", p50 = "10ms", p99 = "30ms" }}
prefill = "20us"
output_tokens = {{ kind = "uniform", min = 10, max = 60 }}
reasoning_tokens = {{ kind = "uniform", min = 0, max = 20 }}
slow_periods = {{ every = "20s", lasts = "5s", factor = 2.5 }}
capacity = {{ slots = 12, queue = 6 }}
prompt_cache = {{ min_tokens = 64, granularity = 16, ttl = "30s" }}
limits = {{ requests_per_minute = 700, tokens_per_minute = 900000, burst = 0.05 }}
on_disconnect = {{ stop = {{ lag = "80ms" }} }}
bill_broken = {bill_broken}
"#
    );
    for fault in FAULTS {
        let _ = write!(text, "[[provider.fault]]\n{fault}\nprobability = 0.02\n");
    }
    text.push_str("[[provider.fault]]\nkind = \"refuse_connection\"\nfrom = \"40s\"\nuntil = \"43s\"\n");
    text.push_str(
        "[[provider.fault]]\nkind = \"outage\"\nfrom = \"60s\"\nprobability = 0.9\n\
         down = { kind = \"lognormal\", p50 = \"2s\", p99 = \"8s\" }\n\
         up = { kind = \"lognormal\", p50 = \"9s\", p99 = \"30s\" }\n",
    );
    let _ = write!(
        text,
        "[load]\narrivals = {{ kind = \"poisson\", rate = \"6/s\" }}\nendpoint = \"{endpoint}\"\nprompt_tokens = 200\n\
         patience = \"25s\"\n[[load.client]]\nshare = 0.1\ndisconnect = {{ after = {{ kind = \"uniform\", min = \"10ms\", max = \"2s\" }} }}\n"
    );
    for preset in ["naive", "resilient"] {
        let _ = write!(
            text,
            "[[variant]]\nname = \"{preset}\"\nservice = {{ preset = \"{preset}\", design = \"coupled\" }}\n"
        );
    }
    Scenario::parse("all-faults.toml", &text)
        .unwrap_or_else(|e| panic!("{e:?}"))
        .plan
}

fn assert_balanced(endpoint: &str, bill_broken: bool) {
    let plan = scenario(endpoint, bill_broken);
    let record = play(&plan, &Arc::new(ReferenceService));
    for variant in &record.results.variants {
        let (name, books) = (&variant.name, &variant.books);
        assert!(
            books.balanced && books.joined,
            "{endpoint} {name}: {:#?}",
            books.discrepancies
        );
        let requests = &variant.requests;
        assert_eq!(
            requests.due,
            requests.not_sent + requests.answered + requests.failed + requests.aborted
        );
        assert!(
            requests.answered > 200 && requests.failed > 20,
            "{endpoint} {name}: {requests:?}"
        );
        assert_eq!(variant.tokens.billed, variant.tokens.used + variant.tokens.wasted);
        assert!(variant.cost_usd > 0.0);
        let struck = &variant.attempts.by_fault;
        for (position, fault) in plan.variants[0].providers[0].faults.iter().enumerate() {
            let times = struck.get(&format!("primary/{}", fault.id)).copied().unwrap_or(0);
            let spared = match fault.effect.name() {
                // Nobody sees it who could count; the service asks for no schema.
                "refuse_connection" | "garbage_output" => true,
                "missing_done" | "duplicate_frame" => endpoint == "chat",
                _ => false,
            };
            assert_eq!(
                times == 0,
                spared,
                "{endpoint} {name}: {} (at {position}) struck {times} attempts",
                fault.id
            );
        }
    }
    assert_eq!(
        record.results_fingerprint,
        play(&plan, &Arc::new(ReferenceService)).results_fingerprint,
        "equal to the last byte"
    );
}

#[test]
fn the_books_balance_over_streams_that_suffer_everything() {
    assert_balanced("stream", true);
}

#[test]
fn the_books_balance_over_whole_answers_that_suffer_everything() {
    assert_balanced("chat", true);
}

#[test]
fn the_books_balance_where_broken_answers_cost_nothing() {
    assert_balanced("stream", false);
}
