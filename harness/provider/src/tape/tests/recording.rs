//! What passes a recorder, and what is on its tape afterwards.

use std::time::Duration;

use brownout_net::RunClock;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::Caller;
use super::studio::{GAP, LONG, Studio};
use crate::tape::{Player, Recorder, TapeError};

#[tokio::test]
async fn the_upstream_gets_the_request_and_the_caller_the_answer() {
    let studio = Studio::open();
    for path in ["/v1/unary?a=1&b=2", "/v1/limited"] {
        let mut caller = studio.caller().await;
        caller.headers.push(("x-stainless-lang", "rust".to_owned()));
        let recorded = caller.hear(path, r#"{"b":1, "a":2}"#).await;
        let direct = Caller::connect(&studio.network, &studio.provider)
            .await
            .hear(path, r#"{"b":1, "a":2}"#)
            .await;
        assert_eq!(recorded.status, direct.status);
        assert_eq!(recorded.headers, direct.headers);
        assert_eq!(recorded.text(), direct.text());
        let seen = studio.stage.seen.lock().unwrap().clone();
        let (line, headers, body) = &seen[seen.len() - 2];
        assert_eq!(*line, format!("POST {path}"));
        assert_eq!(headers["x-stainless-lang"], "rust");
        assert_eq!(headers["host"], studio.provider);
        assert!(!headers.contains_key("accept-encoding"), "{headers:?}");
        assert_eq!(body, r#"{"b":1, "a":2}"#);
    }
    assert_eq!((studio.recorder.exchanges(), studio.recorder.missed()), (2, 0));
}

#[tokio::test]
async fn a_stream_passes_as_it_comes_and_its_times_are_stored() {
    let studio = Studio::open();
    let mut hearing = studio.caller().await.ask("/v1/stream", "{}").await;
    let mut heard = Vec::new();
    // The next event leaves only when this one is here: a recorder that held one back would wait for good.
    while let Some(piece) = hearing.piece().await {
        heard.push(piece.unwrap());
        studio.stage.events.add_permits(1);
    }
    assert_eq!(
        heard,
        ["data: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n"].map(Bytes::from)
    );
    studio.has_stored(1).await;
    let stored = studio.stored().remove(0);
    let response = &stored["response"];
    let pieces = response["pieces"].as_array().unwrap();
    let texts: Vec<_> = pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["data: 1\n\n", "data: 2\n\n", "data: [DONE]\n\n"]);
    let times: Vec<_> = pieces.iter().map(|piece| piece["at_us"].as_u64().unwrap()).collect();
    let gap = GAP.as_micros() as u64;
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= gap), "{times:?}");
    assert!(response["head_at_us"].as_u64().unwrap() <= times[0]);
    assert!(response["ended_at_us"].as_u64().unwrap() >= times[2]);
    assert_eq!(response["end"], "complete");
}

#[tokio::test]
async fn an_answer_that_breaks_off_upstream_breaks_off_here_and_on_the_tape() {
    let studio = Studio::open();
    studio.stage.events.add_permits(2);
    let heard = studio.caller().await.hear("/v1/breaks", "{}").await;
    assert!(heard.is_broken);
    assert_eq!(heard.text(), "data: 1\n\ndata: 2\n\n");
    studio.has_stored(1).await;
    let response = studio.stored().remove(0)["response"].take();
    assert_eq!(response["end"], "broken");
    assert_eq!(response["pieces"].as_array().unwrap().len(), 2);
    assert_eq!(response["note"], "the upstream broke off");
}

#[tokio::test]
async fn what_came_just_before_the_upstream_broke_off_reaches_the_caller() {
    let studio = Studio::open();
    let mut listener = studio.network.listen("").unwrap();
    let upstream = format!("http://{}", listener.authority()).parse().unwrap();
    tokio::spawn(async move {
        let mut stream = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        // One write, one read: the last words and the end arrive together.
        let answer = "HTTP/1.1 200 OK\r\nconnection: x-of-the-hop\r\nx-of-the-hop: 1\r\nkeep-alive: timeout=5\r\n\
                      transfer-encoding: chunked\r\n\r\na\r\nlast words\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let (tape, network) = (folder.path().join("day.tape"), &studio.network);
    let listener = network.listen("").unwrap();
    let recorder = Recorder::start(upstream, &tape, listener, RunClock::start(), &CancellationToken::new()).unwrap();
    let heard = Caller::connect(network, &recorder.authority).await.hear("/", "").await;
    assert_eq!((heard.text().as_str(), heard.is_broken), ("last words", true));
    for of_the_hop in ["connection", "x-of-the-hop", "keep-alive"] {
        assert!(!heard.headers.contains_key(of_the_hop), "{:?}", heard.headers);
    }
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_the_request_upstream_and_what_was_seen_is_stored() {
    let studio = Studio::open();
    let mut caller = studio.caller().await;
    let mut hearing = caller.ask("/v1/stream", "{}").await;
    hearing.piece().await.unwrap().unwrap();
    assert_eq!(studio.stage.dropped.available_permits(), 0);
    drop(hearing);
    caller.hang_up().await;
    studio.stage.dropped.acquire().await.unwrap().forget();
    studio.has_stored(1).await;
    let response = studio.stored().remove(0)["response"].take();
    assert_eq!(response["end"], "broken");
    assert_eq!(response["pieces"][0]["text"], "data: 1\n\n");
    assert_eq!(response["pieces"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_interrupted_recording_keeps_all_that_it_has() {
    let mut studio = Studio::open();
    studio.caller().await.hear("/v1/unary", "{}").await;
    let mut caller = studio.caller().await;
    let mut hearing = caller.ask("/v1/stream", "{}").await;
    hearing.piece().await.unwrap().unwrap();
    studio.recorder.stop().await;
    assert_eq!(studio.recorder.exchanges(), 2);
    let stored = studio.stored();
    let ends: Vec<_> = stored.iter().map(|exchange| &exchange["response"]["end"]).collect();
    assert_eq!(ends, ["complete", "broken"]);
    assert!(hearing.heard_out().await.is_broken);
    assert!(studio.network.connect(&studio.recorder.authority).await.is_err());
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502_and_not_on_the_tape() {
    let studio = Studio::open();
    let nobody = studio.network.listen("").unwrap().authority().to_owned();
    let folder = tempfile::tempdir().unwrap();
    let tape = folder.path().join("empty.tape");
    let start = |path: &std::path::Path, listener| {
        let upstream = format!("http://{nobody}").parse().unwrap();
        Recorder::start(upstream, path, listener, RunClock::start(), &CancellationToken::new())
    };
    let recorder = start(&tape, studio.network.listen("").unwrap()).unwrap();
    let mut caller = Caller::connect(&studio.network, &recorder.authority).await;
    let heard = caller.hear("/v1/unary?key=AIza-very-secret", "{}").await;
    assert_eq!(heard.status, 502);
    let (kind, message) = heard.error();
    assert_eq!(kind, "upstream_unreachable");
    assert!(message.contains(&nobody) && message.contains("refused"), "{message}");
    assert!(!message.contains("AIza"), "{message}");
    assert_eq!((recorder.exchanges(), recorder.missed()), (0, 1));
    let listener = studio.network.listen("").unwrap();
    let played = Player::start(&tape, listener, RunClock::start(), &CancellationToken::new());
    assert!(matches!(played, Err(TapeError::Empty { .. })), "{played:?}");
    let again = start(&tape, studio.network.listen("").unwrap());
    assert!(matches!(again, Err(TapeError::Taken { .. })), "{again:?}");
}

#[tokio::test]
async fn an_answer_above_the_bound_passes_whole_and_is_stored_as_broken() {
    let studio = Studio::open();
    let heard = studio.caller().await.hear("/v1/long", "{}").await;
    let bytes: usize = heard.pieces.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!((bytes, heard.is_broken), (LONG, false));
    studio.has_stored(1).await;
    let response = studio.stored().remove(0)["response"].take();
    assert_eq!(response["end"], "broken");
    assert_eq!(response["length"], LONG as u64);
    let stored = response["pieces"].as_array().unwrap().iter();
    let stored: usize = stored.map(|piece| piece["text"].as_str().unwrap().len()).sum();
    assert!((1..=64 << 20).contains(&stored), "{stored}");
}

#[tokio::test]
async fn a_body_above_the_bound_is_refused_and_goes_nowhere() {
    let studio = Studio::open();
    let heard = studio
        .caller()
        .await
        .hear("/v1/unary", &"x".repeat((32 << 20) + 1))
        .await;
    assert_eq!(heard.status, 413);
    assert_eq!(heard.error().0, "request_too_large");
    assert!(studio.stage.seen.lock().unwrap().is_empty());
    assert_eq!(studio.recorder.exchanges(), 0);
}

#[tokio::test]
async fn the_end_of_the_token_ends_a_recorder() {
    let studio = Studio::open();
    let folder = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let upstream = format!("http://{}", studio.provider).parse().unwrap();
    let listener = studio.network.listen("").unwrap();
    let tape = folder.path().join("day.tape");
    let recorder = Recorder::start(upstream, &tape, listener, RunClock::start(), &shutdown).unwrap();
    assert!(studio.network.connect(&recorder.authority).await.is_ok());
    shutdown.cancel();
    while studio.network.connect(&recorder.authority).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
