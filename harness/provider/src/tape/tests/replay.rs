//! What a player gives, and when: on the paused clock to the microsecond.

use std::future::Future;
use std::path::{Path, PathBuf};

use brownout_net::{Network, RunClock};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use super::studio::Studio;
use super::{Caller, Heard};
use crate::tape::format::End;
use crate::tape::{Player, Running, file};

/// Runs on a runtime of its own, on the real clock.
fn live<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// Runs on a runtime of its own, on the paused clock.
fn paused<T>(work: impl Future<Output = T>) -> T {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap().block_on(work)
}

/// A player on a network of its own in memory, and a caller of it.
async fn play(tape: &Path) -> (Running, Caller) {
    let network = Network::memory();
    let listener = network.listen("tape.test").unwrap();
    let player = Player::start(tape, listener, RunClock::start(), &CancellationToken::new()).unwrap();
    let caller = Caller::connect(&network, &player.authority).await;
    (player, caller)
}

/// A tape with these lines below its header.
fn tape_of(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("day.tape");
    let text = [&["{\"brownout_tape\":1}"], lines].concat().join("\n");
    std::fs::write(&path, text + "\n").unwrap();
    (folder, path)
}

/// SHA-256 of no bytes.
const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// A line that answers `GET /` with `response`.
fn line(response: &str) -> String {
    let request = format!(r#"{{"method":"GET","path":"/","body_hash":"{NOTHING}"}}"#);
    format!(r#"{{"request":{request},"response":{{"status":200,"headers":[],{response}}}}}"#)
}

/// Without what belongs to the connection.
fn own(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [CONTENT_LENGTH, DATE, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

fn rounded_up(us: u64) -> u64 {
    us.div_ceil(1_000) * 1_000
}

const PATHS: [&str; 4] = ["/v1/unary", "/v1/limited", "/v1/stream", "/v1/breaks"];
const BODY: &str = r#"{"model":"m","stream":true}"#;

/// Records one exchange with each path.
async fn recorded() -> (Studio, Vec<Heard>) {
    let mut studio = Studio::open();
    let mut all = Vec::new();
    for path in PATHS {
        studio
            .stage
            .events
            .add_permits(if path.ends_with('y') || path.ends_with('d') {
                0
            } else {
                2
            });
        all.push(studio.caller().await.hear(path, BODY).await);
    }
    studio.recorder.stop().await;
    assert_eq!(studio.recorder.exchanges(), 4);
    (studio, all)
}

#[test]
fn a_replay_equals_its_recording_in_status_headers_bytes_order_and_times() {
    let (studio, recorded) = live(recorded());
    paused(async {
        let network = Network::memory();
        let listener = network.listen("tape.test").unwrap();
        let clock = RunClock::start();
        let player = Player::start(&studio.tape, listener, clock, &CancellationToken::new()).unwrap();
        let stored = file::read(&studio.tape).unwrap();
        for ((path, recorded), (_, stored)) in PATHS.iter().zip(&recorded).zip(&stored) {
            let began = clock.now_us();
            assert_eq!(began % 1_000, 0);
            let mut caller = Caller::connect(&network, &player.authority).await;
            let heard = caller.hear(path, BODY).await;
            assert_eq!(heard.status, recorded.status, "{path}");
            assert_eq!(own(&heard.headers), own(&recorded.headers), "{path}");
            assert_eq!(
                heard.headers.get(CONTENT_LENGTH),
                recorded.headers.get(CONTENT_LENGTH),
                "{path}"
            );
            assert_eq!(heard.text(), recorded.text(), "{path}");
            assert_eq!(heard.is_broken, recorded.is_broken, "{path}");
            assert_eq!(stored.end == End::Broken, recorded.is_broken, "{path}");
            assert_eq!(heard.head_at_us, rounded_up(stored.head_at_us), "{path}");
            let due = stored
                .pieces
                .iter()
                .map(|(at_us, bytes)| (rounded_up(*at_us), bytes.clone()));
            assert_eq!(heard.pieces, due.collect::<Vec<_>>(), "{path}");
            assert_eq!(heard.ended_at_us, rounded_up(stored.ended_at_us), "{path}");
        }
        assert_eq!((player.exchanges(), player.missed()), (4, 0));
    });
}

#[test]
fn a_replay_over_tcp_gives_the_same_bytes_not_before_their_time() {
    live(async {
        let (studio, recorded) = recorded().await;
        let listener = studio.network.listen("").unwrap();
        let player = Player::start(&studio.tape, listener, RunClock::start(), &CancellationToken::new()).unwrap();
        let stored = file::read(&studio.tape).unwrap();
        for ((path, recorded), (_, stored)) in PATHS.iter().zip(&recorded).zip(&stored) {
            let heard = Caller::connect(&studio.network, &player.authority)
                .await
                .hear(path, BODY)
                .await;
            assert_eq!(
                (heard.status, own(&heard.headers)),
                (recorded.status, own(&recorded.headers))
            );
            assert_eq!((heard.text(), heard.is_broken), (recorded.text(), recorded.is_broken));
            assert!(heard.ended_at_us >= stored.pieces.last().unwrap().0, "{path}");
        }
    });
}

#[test]
fn pieces_leave_at_their_times_and_the_end_at_its_own() {
    let pieces = r#""pieces":[{"at_us":20000,"text":"a"},{"at_us":50000,"base64":"/w=="},{"at_us":51000,"text":"b"}]"#;
    let whole = line(&format!(
        r#""head_at_us":5000,{pieces},"end":"complete","ended_at_us":90000"#
    ));
    let broken = line(&format!(
        r#""head_at_us":5000,"length":9,{pieces},"end":"broken","ended_at_us":70000"#
    ));
    let (_folder, tape) = tape_of(&[&whole, &broken]);
    paused(async {
        for (ended_at_us, is_broken, length) in [(90_000, false, None), (70_000, true, Some("9"))] {
            let (_player, mut caller) = play(&tape).await;
            if is_broken {
                caller.hear("/", "").await;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            let heard = caller.hear("/", "").await;
            let times: Vec<_> = heard
                .pieces
                .iter()
                .map(|(at_us, bytes)| (*at_us, bytes.to_vec()))
                .collect();
            assert_eq!(
                times,
                [(20_000, b"a".to_vec()), (50_000, vec![0xff]), (51_000, b"b".to_vec())]
            );
            assert_eq!(
                (heard.head_at_us, heard.ended_at_us, heard.is_broken),
                (5_000, ended_at_us, is_broken)
            );
            assert_eq!(
                heard.headers.get(CONTENT_LENGTH).map(|value| value.to_str().unwrap()),
                length
            );
        }
    });
}

#[test]
fn what_came_just_before_a_break_is_delivered_before_it() {
    let broken = line(r#""head_at_us":0,"pieces":[{"at_us":0,"text":"last words"}],"end":"broken","ended_at_us":0"#);
    let (_folder, tape) = tape_of(&[&broken]);
    paused(async {
        let heard = play(&tape).await.1.hear("/", "").await;
        assert_eq!((heard.text().as_str(), heard.is_broken), ("last words", true));
    });
}

#[test]
fn several_recordings_are_given_in_turn_and_the_last_one_again_and_again() {
    let answer = |text| {
        line(&format!(
            r#""head_at_us":0,"pieces":[{{"at_us":0,"text":"{text}"}}],"end":"complete","ended_at_us":0"#
        ))
    };
    let (_folder, tape) = tape_of(&[&answer("one"), &answer("two"), &answer("three")]);
    paused(async {
        let (player, mut caller) = play(&tape).await;
        let mut texts = Vec::new();
        for _ in 0..5 {
            texts.push(caller.hear("/", "").await.text());
        }
        assert_eq!(texts, ["one", "two", "three", "three", "three"]);
        assert_eq!(player.exchanges(), 5);
    });
}

#[test]
fn equal_requests_match_whatever_the_order_of_their_keys_and_whoever_sends_them() {
    let studio = live(async {
        let mut studio = Studio::open();
        let mut caller = studio.caller().await;
        caller
            .headers
            .push(("authorization", "Bearer sk-real-0123456789".to_owned()));
        let body = r#"{"model":"m","user":"sk-real-0123456789","messages":[{"role":"user","content":"anything"}]}"#;
        caller.hear("/v1/unary?key=AIza-real-key&alt=json", body).await;
        studio.recorder.stop().await;
        studio
    });
    paused(async {
        let (player, mut caller) = play(&studio.tape).await;
        let same = r#"{ "messages": [{"content": "anything", "role": "user"}], "user": "dummy-key", "model": "m" }"#;
        caller.headers.push(("authorization", "Bearer dummy-key".to_owned()));
        for path in ["/v1/unary?alt=json&key=another", "/v1/unary?alt=json"] {
            assert_eq!(caller.hear(path, same).await.status, 200);
        }
        let other = same.replace("anything", "nothing");
        assert_eq!(caller.hear("/v1/unary?alt=json", &other).await.status, 404);
        assert_eq!((player.exchanges(), player.missed()), (2, 1));
    });
}

#[test]
fn a_dummy_key_that_occurs_in_the_text_by_chance_does_no_harm() {
    let studio = live(async {
        let mut studio = Studio::open();
        studio
            .caller()
            .await
            .hear("/v1/unary", r#"{"content":"say anything"}"#)
            .await;
        studio.recorder.stop().await;
        studio
    });
    paused(async {
        let (_player, mut caller) = play(&studio.tape).await;
        caller.headers.push(("x-api-key", "anything".to_owned()));
        let heard = caller.hear("/v1/unary", r#"{"content":"say anything"}"#).await;
        assert_eq!(heard.status, 200);
    });
}

#[test]
fn a_request_that_is_not_on_the_tape_is_told_what_was_asked_and_how_to_record_it() {
    let (_folder, tape) = tape_of(&[&line(r#""head_at_us":0,"pieces":[],"end":"complete","ended_at_us":0"#)]);
    paused(async {
        let (_player, mut caller) = play(&tape).await;
        for (path, body, said) in [
            (
                "/v1/chat?key=AIza-secret",
                "{}",
                "no answer to POST /v1/chat (body 44136fa355b3); it has nothing of this",
            ),
            (
                "/",
                "{}",
                "POST / (body 44136fa355b3); it has nothing of this method, path and query",
            ),
        ] {
            let heard = caller.hear(path, body).await;
            let (kind, message) = heard.error();
            assert_eq!((heard.status.as_u16(), kind.as_str()), (404, "not_recorded"));
            assert!(message.contains(said) && message.contains("--record FILE"), "{message}");
            assert!(message.contains("day.tape") && !message.contains("AIza"), "{message}");
        }
        let heard = caller.hear("/", "").await;
        assert_eq!((heard.status.as_u16(), heard.text()), (200, String::new()));
    });
}
