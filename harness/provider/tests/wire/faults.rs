//! Every fault as a raw socket sees it on HTTP/1.1, and a calm answer right after its window.

use crate::raw::{End, Seen, post};
use crate::{Served, chat};

const CHAT: &str = "/v1/chat/completions";

/// What a fault looks like.
struct Case {
    /// The fault's keys.
    fault: &'static str,
    /// Asked for as a stream, or at once.
    stream: bool,
    /// The status, if one comes.
    status: Option<u16>,
    /// How it ends.
    end: End,
    /// What the body says, and what it does not.
    body: fn(&str) -> bool,
}

fn words(body: &str) -> usize {
    body.matches("t7.").count()
}

fn is_whole_stream(body: &str) -> bool {
    words(body) == 6 && body.contains(r#""finish_reason":"stop""#) && body.ends_with("data: [DONE]\n\n")
}

fn is_whole_answer(body: &str) -> bool {
    words(body) == 6 && serde_json::from_str::<serde_json::Value>(body).is_ok()
}

fn is_cut_after_three(body: &str) -> bool {
    words(body) == 3 && body.ends_with("\n\n") && !body.contains(r#""finish_reason":"stop""#) && !body.contains("DONE")
}

fn is_half(body: &str) -> bool {
    !body.is_empty() && serde_json::from_str::<serde_json::Value>(body).is_err()
}

/// Frames whose data is no JSON, `[DONE]` left out.
fn broken_frames(body: &str) -> usize {
    let data = body
        .split_terminator("\n\n")
        .filter_map(|frame| frame.strip_prefix("data: "));
    let json = |data: &&str| *data != "[DONE]" && serde_json::from_str::<serde_json::Value>(data).is_err();
    data.filter(json).count()
}

const fn case(fault: &'static str, stream: bool, status: Option<u16>, end: End, body: fn(&str) -> bool) -> Case {
    Case {
        fault,
        stream,
        status,
        end,
        body,
    }
}

const AFTER: &str = "after_tokens = 3";

const CASES: [Case; 31] = [
    case("kind = \"status\"\nstatus = 503", true, Some(503), End::Proper, |b| {
        b.contains("server_is_overloaded")
    }),
    case("kind = \"status\"\nstatus = 418", false, Some(418), End::Proper, |b| {
        b.contains("invalid_request_error")
    }),
    case(
        "kind = \"latency_spike\"\nfirst_token = \"30ms\"",
        true,
        Some(200),
        End::Proper,
        is_whole_stream,
    ),
    case(
        "kind = \"stall\"\nAFTER",
        true,
        Some(200),
        End::Silence,
        is_cut_after_three,
    ),
    case("kind = \"stall\"\nAFTER", false, None, End::Silence, str::is_empty),
    case(
        "kind = \"stall\"\nAFTER\nlasts = \"60ms\"",
        true,
        Some(200),
        End::Proper,
        is_whole_stream,
    ),
    case("kind = \"blackhole\"", true, None, End::Silence, str::is_empty),
    case("kind = \"reset_before_headers\"", true, None, End::Rst, str::is_empty),
    case("kind = \"reset_before_headers\"", false, None, End::Rst, str::is_empty),
    case("kind = \"error_event\"\nAFTER", true, Some(200), End::Proper, |b| {
        words(b) == 3
            && b.contains(r#"data: {"error":{"message":"The engine is currently overloaded"#)
            && !b.contains("DONE")
    }),
    case(
        "kind = \"error_event\"\nstatus = 500",
        false,
        Some(500),
        End::Proper,
        |b| b.contains("server_error"),
    ),
    case(
        "kind = \"clean_eof\"\nAFTER",
        true,
        Some(200),
        End::Proper,
        is_cut_after_three,
    ),
    case("kind = \"clean_eof\"", false, Some(200), End::Proper, is_half),
    case(
        "kind = \"fin_without_terminator\"\nAFTER",
        true,
        Some(200),
        End::Fin,
        is_cut_after_three,
    ),
    case("kind = \"fin_without_terminator\"", false, Some(200), End::Fin, is_half),
    case(
        "kind = \"reset_mid_stream\"\nAFTER",
        true,
        Some(200),
        End::Rst,
        is_cut_after_three,
    ),
    case("kind = \"reset_mid_stream\"", false, Some(200), End::Rst, is_half),
    case("kind = \"malformed_frame\"\nAFTER", true, Some(200), End::Proper, |b| {
        is_whole_stream(b) && broken_frames(b) == 1
    }),
    case("kind = \"malformed_frame\"", false, Some(200), End::Proper, is_half),
    case("kind = \"missing_done\"", true, Some(200), End::Proper, |b| {
        words(b) == 6 && b.contains(r#""finish_reason":"stop""#) && !b.contains("DONE")
    }),
    case(
        "kind = \"missing_done\"",
        false,
        Some(200),
        End::Proper,
        is_whole_answer,
    ),
    case("kind = \"duplicate_frame\"\nAFTER", true, Some(200), End::Proper, |b| {
        words(b) == 7 && b.matches("t7.3").count() == 2 && b.ends_with("data: [DONE]\n\n")
    }),
    case(
        "kind = \"duplicate_frame\"",
        false,
        Some(200),
        End::Proper,
        is_whole_answer,
    ),
    case(
        "kind = \"trickle\"\nbytes = 64\npause = \"1ms\"",
        true,
        Some(200),
        End::Proper,
        is_whole_stream,
    ),
    case(
        "kind = \"trickle\"\nbytes = 64\npause = \"1ms\"",
        false,
        Some(200),
        End::Proper,
        is_whole_answer,
    ),
    case("kind = \"html_200\"", true, Some(200), End::Proper, |b| {
        b.starts_with("<!DOCTYPE html>")
    }),
    case("kind = \"empty_200\"", true, Some(200), End::Proper, str::is_empty),
    case(
        "kind = \"empty_200\"\nbody = \"object\"",
        false,
        Some(200),
        End::Proper,
        |b| b == "{}",
    ),
    case("kind = \"content_filter\"\nAFTER", true, Some(200), End::Proper, |b| {
        words(b) == 3 && b.contains(r#""finish_reason":"content_filter""#) && b.ends_with("data: [DONE]\n\n")
    }),
    case("kind = \"content_filter\"", false, Some(200), End::Proper, |b| {
        words(b) == 0 && b.contains(r#""finish_reason":"content_filter""#)
    }),
    case("kind = \"context_length\"", false, Some(400), End::Proper, |b| {
        b.contains("context_length_exceeded")
    }),
];

fn check(case: &Case, seen: &Seen) {
    let Case { fault, stream, .. } = case;
    assert_eq!(
        (seen.status, seen.end),
        (case.status, case.end),
        "{fault} (stream: {stream}): {seen:?}"
    );
    assert!((case.body)(&seen.body), "{fault} (stream: {stream}): {seen:?}");
}

/// The first request suffers, the next, which is just outside the fault's count, does not.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_what_its_name_says_and_the_next_request_is_spared() {
    let played = CASES.iter().map(|case| async move {
        let fault = case.fault.replace("AFTER", AFTER);
        let served = Served::faulty(&format!("{fault}\nfirst = 1"));
        let authority = &served.provider.authority;
        check(case, &post(authority, CHAT, &chat(7, case.stream)).await);
        let spared = post(authority, CHAT, &chat(7, case.stream)).await;
        let whole = if case.stream { is_whole_stream } else { is_whole_answer };
        assert!(spared.end == End::Proper && whole(&spared.body), "{fault}: {spared:?}");
    });
    futures::future::join_all(played).await;
}

/// In time as in number: a request after `until` is spared.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_ends_with_its_window() {
    let played = CASES.iter().map(|case| async move {
        let fault = case.fault.replace("AFTER", AFTER);
        let served = Served::faulty(&format!("{fault}\nuntil = \"3s\""));
        let authority = &served.provider.authority;
        check(case, &post(authority, CHAT, &chat(7, case.stream)).await);
        served.clock.sleep_until(3_000_000).await;
        let spared = post(authority, CHAT, &chat(7, case.stream)).await;
        let whole = if case.stream { is_whole_stream } else { is_whole_answer };
        assert!(spared.end == End::Proper && whole(&spared.body), "{fault}: {spared:?}");
    });
    futures::future::join_all(played).await;
}

#[tokio::test]
async fn garbage_is_a_well_formed_answer_that_breaks_the_schema() {
    let served = Served::faulty("kind = \"garbage_output\"\nfirst = 1");
    let asked = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"[prompt 7]"}],
        "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object",
        "properties":{"city":{"type":"string"}},"required":["city"]}}}}"#;
    let content = |seen: Seen| {
        let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
        body["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
    };
    let authority = &served.provider.authority;
    let unasked = post(authority, CHAT, &chat(7, false)).await;
    assert_eq!(
        content(unasked),
        "t7.0 t7.1 t7.2 t7.3 t7.4 t7.5",
        "no schema, no garbage, and no turn used up"
    );
    let garbage = content(post(authority, CHAT, asked).await);
    assert!(
        serde_json::from_str::<serde_json::Value>(&garbage).is_err(),
        "{garbage}"
    );
    let sound = content(post(authority, CHAT, asked).await);
    let sound: serde_json::Value = serde_json::from_str(&sound).unwrap();
    assert_eq!(sound["city"], "t7.0 t7.1 t7.2 t7.3 t7.4 t7.5");
}

/// However slowly somebody reads, all that was written before the cut is there to be read.
#[tokio::test]
async fn a_cut_waits_for_a_slow_reader() {
    let served = Served::speaking(
        "openai",
        "gpt-4o-mini",
        "[[provider.fault]]\nkind = \"fin_without_terminator\"\nafter_tokens = 15000\n",
    );
    let plan = served.provider.script();
    let long = brownout_scenario::plan::ProviderPlan {
        output_tokens: brownout_scenario::distribution::Distribution::Constant { value: 20_000.0 },
        inter_token: brownout_scenario::distribution::Distribution::Constant { value: 0.0 },
        ..plan.as_ref().clone()
    };
    served
        .provider
        .replace(long, brownout_scenario::seed::SeedTree::new(1))
        .unwrap();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let mut stream = socket
        .connect(served.provider.authority.parse().unwrap())
        .await
        .unwrap();
    let body = chat(7, true).replace("\"stream\"", "\"max_tokens\":20000,\"stream\"");
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: p\r\nauthorization: Bearer k\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, (head + &body).as_bytes())
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    let seen = crate::raw::see(&mut stream).await;
    assert_eq!((seen.end, words(&seen.body)), (End::Fin, 15_000));
    assert_eq!(served.provider.ledger.rows()[0].flushed, 15_000);
}

#[tokio::test]
async fn what_trickles_comes_in_many_small_pieces() {
    let served = Served::faulty("kind = \"trickle\"\nbytes = 100\npause = \"3ms\"\nfirst = 1");
    let authority = &served.provider.authority;
    let slow = post(authority, CHAT, &chat(7, false)).await;
    let quick = post(authority, CHAT, &chat(7, false)).await;
    assert_eq!(
        slow.body,
        quick.body.replace("0001\"", "0000\""),
        "the same but for the attempt"
    );
    assert!(slow.reads >= slow.body.len() / 100, "{} reads", slow.reads);
    assert!(quick.reads <= 2, "{} reads", quick.reads);
}
