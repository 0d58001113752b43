//! Sixteen ways in which a provider fails, one request each: a primary that fails so, a fallback that is well, at most two
//! retries, thirty seconds. Each request ends as the whole right answer, in the name of the model that gave it, or in an
//! error that its client can see; never half an answer that looks whole, and never late. With rescue, whatever broke off is
//! completed, but for what a content filter withholds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::time::Duration;

use brownout_net::{Network, RunClock};
use brownout_provider::Provider;
use brownout_scenario::Scenario;
use brownout_scenario::observe::LedgerRow;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use brownout_service::settings::Settings;
use brownout_service::{Clock, Ports, Stores, run, upstream};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Tokens of every answer.
const TOKENS: u64 = 60;
/// No request takes longer.
const LONGEST: Duration = Duration::from_secs(45);
/// A silent primary is left by then.
const LEFT_WITHIN: Duration = Duration::from_secs(15);

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// As the whole right answer, of this provider.
    Answered(&'static str),
    /// With an error that the client can see.
    Told,
}
use Ends::{Answered, Told};

/// A kind of failure.
struct Case {
    name: &'static str,
    /// The faults of the primary.
    faults: &'static str,
    /// More keys of the primary, and of the fallback.
    keys: (&'static str, &'static str),
    /// How a stream ends that is not rescued, and a whole answer.
    ends: (Ends, Ends),
    /// How often the primary is asked.
    asked: usize,
}

impl Case {
    const fn new(name: &'static str, faults: &'static str, ends: (Ends, Ends)) -> Self {
        Self {
            name,
            faults,
            keys: ("", ""),
            ends,
            asked: 1,
        }
    }
}

const FALLBACK: (Ends, Ends) = (Answered("fallback"), Answered("fallback"));
/// Nothing was shown of a whole answer, so somebody else can give it; a stream has begun.
const BROKEN_OFF: (Ends, Ends) = (Told, Answered("fallback"));

/// Those that one request meets alone. The outage is the sixteenth.
const CASES: [Case; 15] = [
    Case::new("429 for good", "kind = \"status\"\nstatus = 429", FALLBACK),
    Case::new(
        "429 for good, with Retry-After",
        "kind = \"status\"\nstatus = 429\nretry_after = \"20s\"",
        FALLBACK,
    ),
    Case::new("500 once", "kind = \"status\"\nstatus = 500\nfirst = 1", FALLBACK),
    Case::new("503 for good", "kind = \"status\"\nstatus = 503", FALLBACK),
    Case::new("reset before headers", "kind = \"reset_before_headers\"", FALLBACK),
    Case::new("accepts and never answers", "kind = \"blackhole\"", FALLBACK),
    Case::new(
        "first token after 20 s",
        "kind = \"latency_spike\"\nfirst_token = \"20s\"",
        FALLBACK,
    ),
    Case::new(
        "cut at two thirds",
        "kind = \"reset_mid_stream\"\nafter_tokens = 40",
        BROKEN_OFF,
    ),
    Case::new("stalls", "kind = \"stall\"\nafter_tokens = 40", BROKEN_OFF),
    Case::new(
        "one malformed frame",
        "kind = \"malformed_frame\"\nafter_tokens = 40",
        BROKEN_OFF,
    ),
    // A whole answer has a length: only a stream needs a word at its end.
    Case::new("no terminator", "kind = \"missing_done\"", (Told, Answered("primary"))),
    Case {
        keys: ("context_window = 8_000", "context_window = 128_000"),
        ..Case::new("context length", "kind = \"context_length\"", FALLBACK)
    },
    Case::new(
        "content filter",
        "kind = \"content_filter\"\nafter_tokens = 40",
        (Told, Told),
    ),
    Case {
        keys: ("", "beginnings = \"refused\""),
        ..Case::new(
            "cut, and a fallback that refuses a prefill",
            "kind = \"reset_mid_stream\"\nafter_tokens = 20",
            BROKEN_OFF,
        )
    },
    Case::new(
        "accounting: model and usage are the answering one's",
        "kind = \"error_event\"\nafter_tokens = 0",
        FALLBACK,
    ),
];

/// A primary that fails, a fallback that is well, and a service before them.
struct World {
    network: Network,
    providers: [Provider; 2],
    began: tokio::time::Instant,
    end: CancellationToken,
}

impl World {
    fn begin(case: &Case, settings: &Value) -> Self {
        let (network, end, clock) = (Network::memory(), CancellationToken::new(), RunClock::start());
        let [primary, fallback] = plans(case);
        let keys = |plan: &ProviderPlan| {
            json!({ "name": plan.name, "base_url": format!("http://{}.sim/v1", plan.name), "model": plan.model(),
                "api_key": "sk", "prefill": !plan.beginnings.is_usual(), "context_window": plan.models[0].context_window.unwrap_or(100_000) })
        };
        let mut map = json!({
            "retry": { "max_attempts": 3 }, "deadline": { "total": "30s", "attempt": "12s" },
            // The router knows the windows: here they are to be run into.
            "route": { "check_window": false },
            "providers": [keys(&primary), keys(&fallback)],
        });
        map.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        let settings = Settings::from_map(map.as_object().unwrap().clone()).unwrap();
        let providers = [primary, fallback].map(|plan| {
            let listener = network.listen(&format!("{}.sim", plan.name)).unwrap();
            Provider::start_streaming(plan, SeedTree::new(7), clock, listener, &end)
        });
        let ports = Ports {
            listener: network.listen("service.sim").unwrap(),
            upstream: upstream::over_connector(upstream::connect_within(
                network.connector(),
                settings.deadline.connect,
            )),
            stores: Stores::memory(&settings),
            clock: Clock::starting_at(0),
            seed: 7,
            shutdown: end.clone(),
        };
        tokio::spawn(run(settings, ports));
        Self {
            network,
            providers,
            began: tokio::time::Instant::now(),
            end,
        }
    }

    /// Asks, and reads to the end. A request by hand, so that nothing on the way is forgiving.
    async fn ask(&self, prompt: u64, path: &str) -> Reply {
        let began = tokio::time::Instant::now();
        let body =
            json!({ "messages": [{ "role": "user", "content": format!("[prompt {prompt}] hello") }] }).to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: service.sim\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut connection = self.network.connect("service.sim").await.unwrap();
        connection.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset is an end like another; what came before it counts.
        let _ = connection.read_to_end(&mut answer).await;
        Reply::read(&String::from_utf8(answer).unwrap(), began.elapsed())
    }

    /// What the primary and the fallback saw.
    fn ledgers(&self) -> [Vec<LedgerRow>; 2] {
        self.providers.each_ref().map(|provider| provider.ledger.rows())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

fn plans(case: &Case) -> [ProviderPlan; 2] {
    let provider = |name: &str, model: &str, keys: &str| {
        format!(
            "[[provider]]\nname = \"{name}\"\nmodel = \"{model}\"\n{keys}\noutput_tokens = {TOKENS}\n\
             first_token = \"300ms\"\ninter_token = {{ kind = \"lognormal\", p50 = \"20ms\", p99 = \"60ms\" }}\n"
        )
    };
    let text = format!(
        "question = \"?\"\nduration = \"120s\"\n{}[[provider.fault]]\n{}\n{}[load]\n\
         arrivals = {{ kind = \"constant\", rate = \"1/s\" }}\nendpoint = \"stream\"\n[[variant]]\nname = \"v\"\n",
        provider("primary", "gpt-4o-mini", case.keys.0),
        case.faults,
        provider("fallback", "gpt-4o", case.keys.1),
    );
    let scenario = Scenario::parse("failures.toml", &text).unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
    let providers = scenario.plan.variants[0].providers.clone();
    providers.try_into().unwrap()
}

/// What a client got.
#[derive(Debug)]
struct Reply {
    took: Duration,
    text: String,
    /// The last word of an answer that says it is whole: who gave it, and what it used.
    whole: Option<(Value, Value)>,
    told: bool,
}

impl Reply {
    fn read(raw: &str, took: Duration) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or((raw, ""));
        let mut reply = Self {
            took,
            text: String::new(),
            whole: None,
            told: !head.starts_with("HTTP/1.1 200"),
        };
        if reply.told {
            return reply;
        }
        if let Ok(answer) = serde_json::from_str::<Value>(body) {
            answer["content"]
                .as_str()
                .unwrap_or_default()
                .clone_into(&mut reply.text);
            reply.whole = Some((answer.clone(), answer["usage"].clone()));
            return reply;
        }
        let (mut event, mut usage) = ("", Value::Null);
        for line in body.lines() {
            if let Some(name) = line.strip_prefix("event: ") {
                event = name;
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data: Value = serde_json::from_str(data).unwrap();
                match event {
                    "delta" => reply.text.push_str(data["text"].as_str().unwrap_or_default()),
                    "usage" => usage = data,
                    "done" => reply.whole = Some((data, usage.clone())),
                    _ => reply.told = true,
                }
            }
        }
        reply
    }
}

/// Plays in virtual time.
fn play<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(work)
}

/// The right answer, from a world in which nothing fails before it.
fn right_answer() -> String {
    let calm = Case::new("calm", "kind = \"status\"\nstatus = 500\nfrom = \"119s\"", FALLBACK);
    play(async {
        let reply = World::begin(&calm, &json!({})).ask(1, "/chat").await;
        assert_eq!(reply.whole.unwrap().0["provider"], "primary");
        reply.text
    })
}

/// How long a provider had been waited for when it was left: until it ended, or its caller was gone.
fn waited_for(row: &LedgerRow) -> Duration {
    let left = row.hung_up.map_or(row.ended, |at| at.min(row.ended));
    left.since(row.arrived).into()
}

fn judge(case: &Case, path: &str, ends: Ends, reply: &Reply, ledgers: &[Vec<LedgerRow>; 2], right: &str) {
    let said = format!("{} on {path}: {reply:#?}\n{ledgers:#?}", case.name);
    assert!(reply.took <= LONGEST, "{said}");
    assert_eq!(ledgers[0].len(), case.asked, "{said}");
    assert!(ledgers.iter().flatten().count() <= 4, "{said}");
    assert!(waited_for(&ledgers[0][0]) <= LEFT_WITHIN, "{said}");
    match ends {
        Answered(provider) => {
            let (done, usage) = reply.whole.as_ref().unwrap_or_else(|| panic!("{said}"));
            assert!(!reply.told && reply.text == right, "{said}");
            assert_eq!(done["provider"], provider, "{said}");
            let row = ledgers.iter().flatten().rfind(|row| row.provider == provider).unwrap();
            assert!(done["model"].as_str().unwrap().starts_with(&row.model), "{said}");
            assert_eq!(usage["completion_tokens"], row.billed, "{said}");
            assert_eq!(usage["prompt_tokens"], row.billed_prompt, "{said}");
        }
        Told => {
            assert!(reply.told && reply.whole.is_none(), "{said}");
            assert!(right.starts_with(&reply.text), "{said}");
        }
    }
}

#[test]
fn every_failure_ends_as_the_right_answer_or_as_an_error_that_is_told() {
    let right = right_answer();
    for case in &CASES {
        for (path, ends) in [("/chat/stream", case.ends.0), ("/chat", case.ends.1)] {
            play_case(case, "off", path, ends, &right);
        }
    }
}

#[test]
fn with_rescue_every_failure_but_a_content_filter_ends_as_the_right_answer_of_who_gave_it() {
    let right = right_answer();
    for case in &CASES {
        let ends = match case.ends.0 {
            Told if case.name != "content filter" => Answered("fallback"),
            ends => ends,
        };
        for rescue in ["splice", "hold_back"] {
            play_case(case, rescue, "/chat/stream", ends, &right);
        }
    }
}

#[test]
fn a_fallback_that_goes_on_is_paid_for_the_rest_alone() {
    let right = right_answer();
    let case = Case {
        keys: ("", "beginnings = \"continued\""),
        ..Case::new("cut", "kind = \"reset_mid_stream\"\nafter_tokens = 40", BROKEN_OFF)
    };
    play(async {
        let world = World::begin(&case, &json!({ "rescue": "splice" }));
        let reply = world.ask(1, "/chat/stream").await;
        let ledgers = world.ledgers();
        judge(&case, "/chat/stream", Answered("fallback"), &reply, &ledgers, &right);
        let rest = &ledgers[1][0];
        assert_eq!((rest.begun + rest.billed, rest.begun > 30), (TOKENS, true), "{rest:#?}");
    });
}

fn play_case(case: &Case, rescue: &str, path: &str, ends: Ends, right: &str) {
    play(async {
        let world = World::begin(case, &json!({ "rescue": rescue }));
        let reply = world.ask(1, path).await;
        // What was hung up on is noticed a moment later.
        tokio::time::sleep(Duration::from_secs(1)).await;
        judge(case, path, ends, &reply, &world.ledgers(), right);
    });
}

#[test]
fn an_outage_of_a_minute_is_seen_by_no_user_and_by_the_provider_a_few_times() {
    let outage = Case::new("outage", "kind = \"status\"\nstatus = 503\nuntil = \"60s\"", FALLBACK);
    play(async {
        let world = World::begin(&outage, &json!({}));
        for prompt in 1..=20 {
            let reply = world.ask(prompt, "/chat/stream").await;
            let (done, _) = reply.whole.as_ref().unwrap_or_else(|| panic!("{prompt}: {reply:#?}"));
            assert_eq!(done["provider"], "fallback", "{prompt}");
            assert!(reply.took < Duration::from_secs(5), "{prompt}: {reply:#?}");
            let next = world.began + Duration::from_secs(3) * prompt as u32;
            tokio::time::sleep_until(next).await;
        }
        let asked = world.ledgers()[0].len();
        assert!(
            (5..=8).contains(&asked),
            "{asked}: five open the breaker, then a look now and then"
        );
        // And when it is over the primary is found again.
        tokio::time::sleep(Duration::from_secs(30)).await;
        let reply = world.ask(21, "/chat/stream").await;
        assert_eq!(reply.whole.unwrap().0["provider"], "primary");
    });
}

#[test]
fn whoever_says_when_to_come_back_is_not_asked_before() {
    let busy = "kind = \"status\"\nstatus = 429\nretry_after = \"4s\"\nfirst = 2";
    let case = Case::new("429 twice", busy, FALLBACK);
    play(async {
        let world = World::begin(&case, &json!({ "fallback": false }));
        let reply = world.ask(1, "/chat").await;
        assert_eq!(reply.whole.unwrap().0["provider"], "primary");
        let rows = &world.ledgers()[0];
        assert_eq!(rows.len(), 3);
        for pair in rows.windows(2) {
            let pause: Duration = pair[1].arrived.since(pair[0].arrived).into();
            assert!(pause >= Duration::from_secs(4), "{pause:?}");
        }
    });
}

#[test]
fn a_wrong_request_is_asked_once() {
    for status in [400, 405, 422] {
        let faults = format!("kind = \"status\"\nstatus = {status}");
        let case = Case::new("wrong", Box::leak(faults.into_boxed_str()), (Told, Told));
        play(async {
            let world = World::begin(&case, &json!({}));
            let reply = world.ask(1, "/chat").await;
            assert!(reply.told);
            assert_eq!(world.ledgers().map(|rows| rows.len()), [1, 0], "{status}");
        });
    }
}
