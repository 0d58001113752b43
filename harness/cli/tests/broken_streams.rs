//! No stream that a provider breaks off ends, at the client, like one that is complete: over every fault that breaks
//! streams, on both stream routes, read as bytes off the wire.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use brownout_net::{Network, RunClock};
use brownout_provider::Provider;
use brownout_scenario::Scenario;
use brownout_scenario::plan::ProviderPlan;
use brownout_scenario::seed::SeedTree;
use brownout_service::settings::Settings;
use brownout_service::{Clock, Ports, Stores, run, upstream};
use proptest::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// Faults that leave a stream without its proper end. `AFTER` is where `after_tokens` goes.
const BREAKING: [&str; 8] = [
    "kind = \"stall\"\nAFTER",
    "kind = \"error_event\"\nAFTER",
    "kind = \"clean_eof\"\nAFTER",
    "kind = \"fin_without_terminator\"\nAFTER",
    "kind = \"reset_mid_stream\"\nAFTER",
    "kind = \"malformed_frame\"\nAFTER",
    "kind = \"missing_done\"",
    "kind = \"html_200\"",
];

/// Faults that a complete answer survives.
const HARMLESS: [&str; 3] = [
    "kind = \"latency_spike\"\nfirst_token = \"3s\"",
    "kind = \"trickle\"\nbytes = 7\npause = \"1ms\"",
    "kind = \"stall\"\nAFTER\nlasts = \"4s\"",
];

/// How a world is set up.
#[derive(Debug, Clone)]
struct World {
    fault: &'static str,
    after_tokens: u32,
    output_tokens: u32,
    seed: u64,
    design: &'static str,
}

fn world(faults: &'static [&'static str]) -> impl Strategy<Value = World> {
    let design = prop_oneof![Just("coupled"), Just("blocking")];
    (0..faults.len(), 0..40_u32, 1..40_u32, any::<u64>(), design).prop_map(
        |(fault, after_tokens, output_tokens, seed, design)| World {
            fault: faults[fault],
            after_tokens: after_tokens.min(output_tokens),
            output_tokens,
            seed,
            design,
        },
    )
}

impl World {
    fn provider(&self) -> ProviderPlan {
        let fault = self
            .fault
            .replace("AFTER", &format!("after_tokens = {}", self.after_tokens));
        let text = format!(
            "question = \"?\"\nduration = \"60s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o-mini\"\noutput_tokens = {}\n\
             first_token = \"200ms\"\ninter_token = {{ kind = \"lognormal\", p50 = \"10ms\", p99 = \"40ms\" }}\n\
             [[provider.fault]]\n{fault}\n[load]\narrivals = {{ kind = \"constant\", rate = \"1/s\" }}\n\
             endpoint = \"stream\"\n[[variant]]\nname = \"v\"\n",
            self.output_tokens
        );
        let scenario = Scenario::parse("broken.toml", &text).unwrap_or_else(|error| panic!("{error:?}"));
        scenario.plan.variants[0].providers[0].clone()
    }

    /// Everything that a client gets who asks on `path`.
    async fn ask(&self, path: &str) -> String {
        let network = Network::memory();
        let end = CancellationToken::new();
        let listener = network.listen("provider.sim").unwrap();
        let clock = RunClock::start();
        let provider = Provider::start_streaming(self.provider(), SeedTree::new(self.seed), clock, listener, &end);
        let settings = json!({
            "design": self.design,
            "providers": [{ "name": "p", "base_url": provider.base_url, "model": "gpt-4o-mini", "api_key": "sk" }],
        });
        let settings = Settings::from_map(settings.as_object().unwrap().clone()).unwrap();
        let ports = Ports {
            listener: network.listen("service.sim").unwrap(),
            upstream: upstream::over_connector(network.connector()),
            stores: Stores::memory(&settings),
            clock: Clock::starting_at(0),
            seed: self.seed,
            shutdown: end.clone(),
        };
        let serving = tokio::spawn(run(settings, ports));
        let answer = ask(&network, path).await;
        end.cancel();
        serving.abort();
        answer
    }
}

/// A request by hand, so that nothing between the wire and the test is forgiving.
async fn ask(network: &Network, path: &str) -> String {
    let body = r#"{"messages":[{"role":"user","content":"[prompt 1] hello"}]"#;
    let more = match path {
        "/chat/stream" => "}",
        _ => r#","model":"default","stream":true}"#,
    };
    let length = body.len() + more.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: service.sim\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let mut connection = network.connect("service.sim").await.unwrap();
    connection
        .write_all(format!("{head}{body}{more}").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    // A reset is an end like another; what came before it counts.
    let _ = connection.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Whether a client of `path` takes this for a whole answer.
fn looks_complete(path: &str, answer: &str) -> bool {
    let end = if path == "/chat/stream" {
        "event: done"
    } else {
        "data: [DONE]"
    };
    answer.starts_with("HTTP/1.1 200") && answer.contains(end)
}

/// Whether the answer says that it is none.
fn tells(path: &str, answer: &str) -> bool {
    let told = if path == "/chat/stream" {
        "event: error"
    } else {
        "data: {\"error\":"
    };
    !answer.starts_with("HTTP/1.1 200") || answer.contains(told)
}

const ROUTES: [&str; 2] = ["/chat/stream", "/v1/chat/completions"];

/// Plays in virtual time.
fn play<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    runtime.unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_stream_never_ends_like_a_whole_one(world in world(&BREAKING)) {
        for path in ROUTES {
            let answer = play(world.ask(path));
            prop_assert!(!looks_complete(path, &answer), "{path} {world:?}\n{answer}");
            prop_assert!(tells(path, &answer), "{path} {world:?}\n{answer}");
        }
    }

    #[test]
    fn a_stream_that_is_only_slow_ends_whole(world in world(&HARMLESS)) {
        for path in ROUTES {
            let answer = play(world.ask(path));
            prop_assert!(looks_complete(path, &answer), "{path} {world:?}\n{answer}");
            prop_assert!(!tells(path, &answer), "{path} {world:?}\n{answer}");
            let last = format!("t1.{}\"", world.output_tokens - 1);
            prop_assert!(answer.contains(&last), "{path} {world:?}: {last} is missing\n{answer}");
        }
    }
}
