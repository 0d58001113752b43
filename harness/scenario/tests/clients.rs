//! What a file says of clients, arrivals and the figures about them, and how it is refused.

use brownout_scenario::plan::{Arrivals, Endpoint, LoadPlan, SlowRead, Watch};
use brownout_scenario::units::{Micros, PerSecond};
use brownout_scenario::{Scenario, ScenarioError};

const CONSTANT: &str = "arrivals = { kind = \"constant\", rate = \"1/s\" }";

fn read(load: &str, expect: &str) -> Result<Scenario, Box<ScenarioError>> {
    let text = format!(
        "question = \"?\"\nduration = \"100s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
         [[variant]]\nname = \"v\"\n[load]\n{load}\n{expect}"
    );
    Scenario::parse("x.toml", &text)
}

#[track_caller]
fn load(text: &str) -> LoadPlan {
    let scenario = read(text, "").unwrap_or_else(|error| panic!("{error}; {}", error.remedy()));
    scenario.plan.variants[0].load.clone()
}

#[track_caller]
fn refuses(load: &str, expect: &str, message: &str, remedy: &str) {
    let error = read(load, expect).expect_err("it must be refused");
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.remedy().contains(remedy), "{}", error.remedy());
}

fn client(keys: &str) -> String {
    format!("{CONSTANT}\n[[load.client]]\nshare = 0.5\n{keys}")
}

#[test]
fn a_kind_of_client_has_a_name_a_key_and_a_pace() {
    let load = load(&client(
        "name = \"noisy\"\nkey = \"sk-noisy\"\nidempotent = true\nread = { bytes_per_second = 100 }\n\
         [[load.client]]\nshare = 0.5\nread = { stops_after_bytes = 2000 }",
    ));
    assert_eq!(load.clients.len(), 2);
    let (first, second) = (&load.clients[0], &load.clients[1]);
    assert_eq!(
        (first.name.as_deref(), first.key.as_deref(), first.idempotent),
        (Some("noisy"), Some("sk-noisy"), true)
    );
    assert_eq!(first.reads, Some(SlowRead::Rate { bytes_per_second: 100 }));
    assert_eq!(
        (second.name.as_deref(), second.key.as_deref(), second.idempotent),
        (None, None, false)
    );
    assert_eq!(second.reads, Some(SlowRead::Stops { after_bytes: 2_000 }));
}

#[test]
fn prompts_have_a_number_and_a_popularity() {
    let load = load(&format!("{CONSTANT}\nprompts = {{ distinct = 200 }}"));
    let prompts = load.prompts.expect("prompts");
    assert_eq!((prompts.distinct, prompts.exponent), (200, 1.0));
    for wrong in ["{}", "{ distinct = 0 }", "{ distinct = 1000001 }"] {
        refuses(
            &format!("{CONSTANT}\nprompts = {wrong}"),
            "",
            "how many different prompts",
            "distinct = 200",
        );
    }
    let steep = format!("{CONSTANT}\nprompts = {{ distinct = 9, exponent = 5.1 }}");
    refuses(&steep, "", "exponent", "from 0");
}

#[test]
fn questions_are_as_many_as_the_set_has_and_no_more() {
    let all = brownout_scenario::questions::meanings().len() as u64;
    let prompts = |keys: &str| format!("{CONSTANT}\nprompts = {{ questions = true{keys} }}");
    let load = load(&prompts(", exponent = 0.5"));
    let questions = load.prompts.expect("prompts");
    assert_eq!(
        (questions.questions, questions.distinct, questions.exponent),
        (true, all, 0.5)
    );
    let most = all.to_string();
    refuses(&prompts(", distinct = 9999"), "", "different questions", &most);
    refuses(&prompts(", distinct = 0"), "", "different questions", &most);
}

#[test]
fn a_conversation_has_an_even_number_of_earlier_turns() {
    let load = load(&format!("{CONSTANT}\nhistory = {{ turns = 12, tokens = 150 }}"));
    assert_eq!(load.history.expect("history").turns, 12);
    for turns in [0, 1, 7, 102] {
        let history = format!("{CONSTANT}\nhistory = {{ turns = {turns} }}");
        refuses(
            &history,
            "",
            &format!("a history of {turns} turns"),
            "an even number from 2 to 100",
        );
    }
    let long = format!("{CONSTANT}\nhistory = {{ turns = 100, tokens = 10001 }}");
    refuses(&long, "", "above a million tokens", "below a million");
}

#[test]
fn a_key_that_would_change_nothing_is_refused_where_it_stands() {
    let questions = format!("{CONSTANT}\nprompts = {{ questions = true }}\nprompt_tokens = 50");
    refuses(
        &questions,
        "",
        "`prompt_tokens` has no meaning where prompts are questions",
        "remove it",
    );
    for key in [
        "history = { turns = 2 }",
        "max_tokens = 50",
        "output = \"json\"",
        "[[load.client]]\nshare = 1\ntask = \"support\"",
    ] {
        let text = format!("{CONSTANT}\nendpoint = \"embeddings\"\n{key}");
        let error = read(&text, "").expect_err(key);
        let named = key.rsplit('\n').next().and_then(|line| line.split(' ').next()).unwrap();
        assert!(error.to_string().contains(&format!("`{named}")), "{error}");
        assert_eq!(error.line(), 12 + key.matches('\n').count(), "{error}");
        assert!(error.remedy().contains("remove it, or choose another endpoint"));
    }
    let text = format!("{CONSTANT}\nendpoint = \"embeddings\"\noutput = \"text\"\nprompt_tokens = 50");
    assert_eq!(load(&text).endpoint, Endpoint::Embeddings);
}

#[test]
fn an_impatient_client_says_after_how_long_it_sends_again() {
    let load = load(&client("again = { after = \"300ms\", probability = 0.5 }"));
    let again = load.clients[0].again.as_ref().expect("again");
    assert!((again.probability.get() - 0.5).abs() < 1e-12);
    assert!(load.clients[1].again.is_none());
}

#[test]
fn what_cannot_be_a_client_is_refused() {
    refuses(
        &client("name = \"a b\""),
        "",
        "cannot be the name of a kind of client",
        "letters, digits",
    );
    refuses(
        &client("key = \"\""),
        "",
        "cannot be sent as an API key",
        "visible ASCII",
    );
    refuses(
        &client("key = \"a\\nb\""),
        "",
        "cannot be sent as an API key",
        "visible ASCII",
    );
    refuses(&client("read = {}"), "", "reads slowly or stops", "exactly one of");
    let both = "read = { bytes_per_second = 1, stops_after_bytes = 2 }";
    refuses(&client(both), "", "reads slowly or stops", "exactly one of");
    refuses(
        &client("read = { bytes_per_second = 0 }"),
        "",
        "never reads its answer",
        "stops_after_bytes = 0",
    );
}

#[test]
fn every_endpoint_and_way_to_watch_a_job_has_a_word() {
    let endpoint = |word: &str| load(&format!("{CONSTANT}\nendpoint = \"{word}\"")).endpoint;
    assert_eq!(endpoint("completions"), Endpoint::Completions);
    assert_eq!(endpoint("completions_stream"), Endpoint::CompletionsStream);
    let load = load(&format!("{CONSTANT}\nendpoint = \"jobs\"\nwatch = \"events\""));
    assert_eq!((load.endpoint, load.watch), (Endpoint::Jobs, Watch::Events));
}

#[test]
fn tokens_can_be_counted_in_either_kind_of_stream() {
    let leaver = "client = [{ share = 1.0, disconnect = { after_tokens = 3 } }]";
    assert!(read(&format!("{CONSTANT}\nendpoint = \"completions_stream\"\n{leaver}"), "").is_ok());
    refuses(
        &format!("{CONSTANT}\nendpoint = \"completions\"\n{leaver}"),
        "",
        "needs a stream",
        "endpoint",
    );
}

#[test]
fn arrivals_that_cannot_be_drawn_are_refused() {
    let steps = "arrivals = { kind = \"steps\", steps = [{ rate = \"1/s\", lasts = \"60s\" }, { rate = \"2/s\", lasts = \"41s\" }] }";
    refuses(
        steps,
        "",
        "steps of 101s in all do not fit",
        "no longer than the duration",
    );
    refuses(
        "arrivals = { kind = \"steps\", steps = [] }",
        "",
        "steps of 0us",
        "at least one",
    );
    let spike = |from: &str, until: &str| {
        format!(
            "arrivals = {{ kind = \"spike\", rate = \"1/s\", peak = \"9/s\", from = \"{from}\", until = \"{until}\" }}"
        )
    };
    refuses(
        &spike("50s", "50s"),
        "",
        "a spike from 50s until 50s",
        "one after the other",
    );
    refuses(
        &spike("90s", "101s"),
        "",
        "does not fit a run of 100s",
        "within the duration",
    );
    let gamma = "arrivals = { kind = \"gamma\", rate = \"5/s\", burstiness = 0.0 }";
    refuses(gamma, "", "a burstiness of 0", "from 0.01 to 100");
    let on_off = "arrivals = { kind = \"on_off\", rate = \"5/s\", on = \"10us\", off = \"1s\" }";
    refuses(on_off, "", "come for 10us and stay away for 1s", "1ms");
    let huge = "arrivals = { kind = \"on_off\", rate = \"200000/s\", on = \"50s\", off = \"50s\" }";
    refuses(huge, "", "makes 10000000 requests", "change the rate");
    assert_eq!(
        load(&spike("10s", "20s")).arrivals,
        Arrivals::Spike {
            rate: PerSecond(1.0),
            peak: PerSecond(9.0),
            from: Micros::from_secs(10),
            until: Micros::from_secs(20)
        }
    );
}

#[test]
fn an_expectation_can_be_about_a_step_or_a_kind_of_client_that_there_is() {
    let expect = |metric: &str, phase: &str| format!("[[expect]]\nmetric = \"{metric}\"\nat_most = 1\n{phase}");
    let named = client("name = \"noisy\"");
    let steps = "arrivals = { kind = \"steps\", steps = [{ rate = \"1/s\", lasts = \"50s\" }, { rate = \"2/s\", lasts = \"50s\" }] }";
    assert!(read(&named, &expect("clients.noisy.requests.failed", "")).is_ok());
    assert!(read(steps, &expect("requests.failed", "phase = \"step-2\"")).is_ok());
    let quiet = expect("clients.quiet.requests.failed", "");
    refuses(
        &named,
        &quiet,
        "no kind of client is named `quiet`",
        "the kinds are: noisy",
    );
    refuses(
        CONSTANT,
        &quiet,
        "no kind of client is named `quiet`",
        "give a [[load.client]] a name",
    );
    let third = expect("requests.failed", "phase = \"step-3\"");
    refuses(steps, &third, "the load has no `step-3`", "step-1 to step-2");
    refuses(CONSTANT, &third, "the load has no `step-3`", "kind = \"steps\"");
    let spike = "arrivals = { kind = \"spike\", rate = \"1/s\", peak = \"9/s\", from = \"10s\", until = \"20s\" }";
    assert!(read(spike, &expect("requests.failed", "phase = \"during\"")).is_ok());
}
