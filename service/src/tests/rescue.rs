//! A stream that breaks off after its first piece, and what another attempt can do about it.

use std::time::Duration;

use serde_json::{Value, json};

use super::disconnect::accounts;
use super::provider::{End, Fate, Provider, Reply, ending, stream_of, word};
use super::support::{Answer, Host, ms, secs};

/// The words of the answer.
const WORDS: [&str; 6] = [
    "The quick",
    " brown fox",
    " jumps over",
    " the lazy",
    " dog and",
    " sleeps.",
];

/// The first `n` words, 10 ms apart, and then `end`.
fn part(n: usize, end: End) -> Reply {
    Reply::Stream(WORDS[..n].iter().map(|text| (ms(10), word(text))).collect(), end)
}

fn complete() -> Reply {
    stream_of(ms(10), ms(10), &WORDS)
}

/// The complete answer, in another model's name.
fn by_another(words: &[&str]) -> Reply {
    let Reply::Stream(frames, end) = stream_of(ms(10), ms(10), words) else {
        unreachable!("it is a stream")
    };
    let renamed = frames
        .into_iter()
        .map(|(pause, frame)| (pause, frame.replace("m-1", "m-2")));
    Reply::Stream(renamed.collect(), end)
}

fn text(answer: &Answer) -> String {
    let deltas = answer.events().into_iter().filter(|(name, _)| name == "delta");
    deltas
        .map(|(_, data)| data["text"].as_str().unwrap().to_owned())
        .collect()
}

fn last(answer: &Answer) -> (String, Value) {
    answer.events().pop().unwrap()
}

fn two(prefill: bool) -> Value {
    json!({
        "providers": [
            { "name": "a", "base_url": "http://a.sim/v1", "model": "m" },
            { "name": "b", "base_url": "http://b.sim/v1", "model": "m2", "prefill": prefill },
        ],
    })
}

#[tokio::test(start_paused = true)]
async fn every_way_to_break_off_is_continued_to_the_complete_answer_in_the_name_of_who_gave_it() {
    let frames = |last: &str| {
        let mut frames: Vec<(Duration, String)> = WORDS[..4].iter().map(|text| (ms(10), word(text))).collect();
        frames.push((ms(10), last.to_owned()));
        Reply::Stream(frames, End::Clean)
    };
    let broken = [
        part(4, End::Broken),
        part(4, End::Clean),
        part(4, End::Silence),
        part(6, End::Clean),
        frames("data: {\"choices\":[{\n\n"),
        frames("data: {\"error\":{\"message\":\"x\",\"type\":\"server_error\"}}\n\n"),
    ];
    for first in broken {
        let script = first.clone();
        let provider = Provider::new(move |n, _| if n == 0 { script.clone() } else { by_another(&WORDS) });
        let answer = Host::new(&provider, two(false)).stream().await;
        assert_eq!(text(&answer), WORDS.concat(), "{first:?}");
        let (name, done) = last(&answer);
        assert_eq!(
            (name.as_str(), &done["model"], &done["provider"]),
            ("done", &json!("m-2"), &json!("b"))
        );
        assert_eq!(provider.hosts(), ["a.sim", "b.sim"]);
        // The mirror: switched off, the client is told.
        let script = first.clone();
        let provider = Provider::new(move |n, _| if n == 0 { script.clone() } else { complete() });
        let answer = Host::new(&provider, json!({ "rescue": "off" })).stream().await;
        assert_eq!(
            (last(&answer).0.as_str(), provider.seen().len()),
            ("error", 1),
            "{first:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_differs_by_a_byte_is_never_glued_on() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            part(3, End::Broken)
        } else {
            by_another(&["The quick", " brown fax", " jumps over", " it."])
        }
    });
    let host = Host::new(&provider, two(false));
    let answer = host.stream().await;
    assert_eq!(text(&answer), WORDS[..3].concat());
    let (name, problem) = last(&answer);
    assert_eq!(
        (name.as_str(), &problem["detail"]),
        ("error", &json!("the model provider could not answer"))
    );
    assert_eq!(provider.seen().len(), 2, "another attempt would differ as well");
    let metrics = host.get("/metrics").await.body;
    assert!(
        metrics.contains("service_rescues_total{outcome=\"in_vain\"} 1"),
        "{metrics}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_falls_silent_is_hung_up_on_before_the_next_is_asked() {
    let provider = Provider::new(|n, _| if n == 0 { part(3, End::Silence) } else { complete() });
    let answer = Host::new(&provider, json!({})).stream().await;
    assert_eq!(text(&answer), WORDS.concat());
    assert_eq!(provider.fates()[0], Fate::HungUp(ms(10_030)));
    assert_eq!(provider.times(), [0, 10_030]);
}

#[tokio::test(start_paused = true)]
async fn rescue_draws_on_the_attempts_and_the_deadline_of_the_call() {
    let provider = Provider::new(|_, _| part(3, End::Broken));
    let host = Host::new(
        &provider,
        json!({ "retry": { "max_attempts": 3, "base": "1ms", "cap": "1ms" } }),
    );
    let answer = host.stream().await;
    assert_eq!((last(&answer).0.as_str(), provider.seen().len()), ("error", 3));
    let provider = Provider::new(|_, _| part(3, End::Silence));
    let host = Host::new(&provider, json!({ "deadline": { "total": "15s" } }));
    let answer = host.stream().await;
    assert_eq!((last(&answer).0.as_str(), host.elapsed_ms()), ("error", 15_000));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_goes_on_is_given_the_beginning_and_asked_for_the_rest_only() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            part(3, End::Broken)
        } else {
            by_another(&WORDS[3..])
        }
    });
    let answer = Host::new(&provider, two(true)).stream().await;
    assert_eq!(text(&answer), WORDS.concat());
    let asked = &provider.seen()[1].body;
    let turn = json!({ "role": "assistant", "content": WORDS[..3].concat() });
    assert_eq!((&asked["messages"][1], &asked["max_tokens"]), (&turn, &json!(47)));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_refuses_a_beginning_is_asked_without_and_nobody_is_told_of_the_refusal() {
    let provider = Provider::new(|n, seen| match n {
        0 => part(3, End::Broken),
        _ if seen.body["messages"].as_array().unwrap().len() > 1 => Reply::Status(400, None),
        _ => by_another(&WORDS),
    });
    let host = Host::new(&provider, two(true));
    let answer = host.stream().await;
    assert_eq!((text(&answer), last(&answer).0.as_str()), (WORDS.concat(), "done"));
    assert_eq!(provider.hosts(), ["a.sim", "b.sim", "b.sim"]);
    // Nor is it what is told when the answer without it fails too.
    let provider = Provider::new(|n, seen| match n {
        0 => part(3, End::Clean),
        _ if seen.body["messages"].as_array().unwrap().len() > 1 => Reply::Status(400, None),
        _ => Reply::Status(503, None),
    });
    let mut settings = two(true);
    settings["retry"] = json!({ "max_attempts": 2 });
    let answer = Host::new(&provider, settings).stream().await;
    assert_eq!(last(&answer).1["detail"], "the answer broke off before its end");
}

#[tokio::test(start_paused = true)]
async fn a_model_that_begins_again_instead_of_going_on_does_not_say_anything_twice() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            part(4, End::Broken)
        } else {
            by_another(&WORDS)
        }
    });
    let answer = Host::new(&provider, two(true)).stream().await;
    assert_eq!(text(&answer), WORDS.concat());
}

#[tokio::test(start_paused = true)]
async fn what_is_held_back_goes_out_when_it_is_complete_and_any_attempt_can_replace_another() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            part(4, End::Broken)
        } else {
            stream_of(ms(10), ms(10), &["Something", " else."])
        }
    });
    let host = Host::new(&provider, json!({ "rescue": "hold_back" }));
    let answer = host.stream().await;
    assert_eq!(answer.event_names(), ["delta", "usage", "done"]);
    assert_eq!((text(&answer).as_str(), host.elapsed_ms()), ("Something else.", 60));
}

#[tokio::test(start_paused = true)]
async fn heartbeats_keep_a_stream_alive_while_it_is_held_back() {
    let provider = Provider::new(|_, _| stream_of(secs(2), secs(4), &WORDS));
    let host = Host::new(&provider, json!({ "rescue": "hold_back", "heartbeat": "3s" }));
    let answer = host.stream().await;
    assert_eq!(answer.event_names(), ["delta", "usage", "done"]);
    assert!(
        answer.body.lines().filter(|line| line.starts_with(':')).count() >= 5,
        "{}",
        answer.body
    );
}

#[tokio::test(start_paused = true)]
async fn chunks_carry_the_name_of_the_model_whose_words_they_are() {
    for cache in [json!({}), json!({ "exact": true, "coalesce": true })] {
        let mut settings = two(false);
        settings["cache"] = cache;
        chunks_carry_names(settings).await;
    }
}

async fn chunks_carry_names(settings: Value) {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            part(3, End::Broken)
        } else {
            by_another(&WORDS)
        }
    });
    let answer = Host::new(&provider, settings).complete(json!({ "stream": true })).await;
    let chunks: Vec<Value> = answer
        .data()
        .iter()
        .filter_map(|data| serde_json::from_str(data).ok())
        .collect();
    let named = |name: &str| chunks.iter().filter(|chunk| chunk["model"] == name).count();
    assert_eq!(
        (named("m-1"), named("m-2")),
        (1 + 3, 3 + 1),
        "the role and three words; three words and the finish"
    );
    let roles = chunks
        .iter()
        .filter(|chunk| chunk["choices"][0]["delta"]["role"].is_string())
        .count();
    assert_eq!(roles, 1, "one answer, one beginning");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_before_its_end_marker_is_repeated_and_adds_nothing() {
    let mut frames: Vec<(Duration, String)> = WORDS.iter().map(|text| (ms(10), word(text))).collect();
    frames.extend(ending().into_iter().take(1));
    let first = Reply::Stream(frames, End::Clean);
    let provider = Provider::new(move |n, _| if n == 0 { first.clone() } else { complete() });
    let answer = Host::new(&provider, json!({})).stream().await;
    assert_eq!((text(&answer), last(&answer).0.as_str()), (WORDS.concat(), "done"));
}

#[tokio::test(start_paused = true)]
async fn a_model_is_not_asked_for_a_rest_when_no_tokens_are_left_for_one() {
    let provider = Provider::new(|n, _| {
        if n == 0 {
            part(6, End::Clean)
        } else {
            by_another(&WORDS)
        }
    });
    let host = Host::new(&provider, two(true));
    let answer = host.complete(json!({ "stream": true, "max_tokens": 6 })).await;
    assert!(answer.body.ends_with("data: [DONE]\n\n"), "{}", answer.body);
    let asked = &provider.seen()[1].body;
    assert_eq!(
        (asked["messages"].as_array().unwrap().len(), &asked["max_tokens"]),
        (1, &json!(6)),
        "all of it again, held against what is there"
    );
}

#[tokio::test(start_paused = true)]
async fn a_beginning_that_is_refused_for_what_it_says_is_not_asked_about_without_it() {
    let provider = Provider::new(|n, _| match n {
        0 => part(3, End::Broken),
        _ => Reply::Refusal(400, r#"{"error":{"message":"x","code":"content_filter"}}"#),
    });
    let answer = Host::new(&provider, two(true)).stream().await;
    assert_eq!(
        (last(&answer).0.as_str(), provider.hosts()),
        ("error", vec!["a.sim".to_owned(), "b.sim".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_beginning_that_is_refused_is_an_attempt() {
    let provider = Provider::new(|n, seen| match n {
        0 => part(3, End::Broken),
        _ if seen.body["messages"].as_array().unwrap().len() > 1 => Reply::Status(400, None),
        _ => Reply::Status(503, None),
    });
    let mut settings = two(true);
    settings["retry"] = json!({ "max_attempts": 3, "base": "1ms", "cap": "1ms" });
    Host::new(&provider, settings).stream().await;
    assert_eq!(provider.hosts(), ["a.sim", "b.sim", "b.sim"], "no fourth");
}

#[tokio::test(start_paused = true)]
async fn the_accounts_have_what_all_attempts_used_and_the_client_is_told_of_the_one_that_answered() {
    let provider = Provider::new(|n, _| if n == 0 { part(3, End::Broken) } else { complete() });
    let host = Host::new(&provider, json!({}));
    let answer = host.stream().await;
    let told = answer.events().into_iter().find(|(name, _)| name == "usage").unwrap();
    assert_eq!(told.1["completion_tokens"], 2);
    // Three pieces before the break, and the two tokens that were reported.
    assert_eq!(accounts(&host).await.completion_tokens, 3 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_packed_beginning_counts_by_its_length_for_what_is_left() {
    let packed = "word ".repeat(30);
    let first = Reply::Stream(vec![(ms(10), word(&packed))], End::Broken);
    let provider = Provider::new(move |n, _| if n == 0 { first.clone() } else { by_another(&[" end"]) });
    Host::new(&provider, two(true)).stream().await;
    // 150 bytes are no fewer than 25 tokens, of 50.
    assert_eq!(provider.seen()[1].body["max_tokens"], 25);
}
