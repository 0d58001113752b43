//! Clients of every kind against a small service with a mind of its own, on a paused clock: what they send, how they read
//! and how they wait for a job.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use brownout_load::{Audience, play};
use brownout_net::{Network, RunClock, serve};
use brownout_scenario::observe::{FailureClass, Outcome, RequestObservation};
use brownout_scenario::units::Micros;
use brownout_scenario::{Plan, Scenario, tracer};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn plan(load: &str) -> Plan {
    let text = format!(
        "question = \"?\"\nduration = \"1s\"\ndrain = \"60s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
         [[variant]]\nname = \"v\"\n[load]\narrivals = {{ kind = \"constant\", rate = \"1/s\" }}\n{load}\n"
    );
    Scenario::parse("x.toml", &text).unwrap().plan
}

/// What came to the service: method and path, body, and all headers.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    body: String,
    headers: http::HeaderMap,
}

/// Plays the one request of `load` against `answer`, which is told what was asked and how often something was before.
async fn seen<F, A>(load: &str, answer: F) -> (RequestObservation, Vec<Asked>)
where
    F: Fn(usize, Asked) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let (mut seen, asked) = all_seen(load, answer).await;
    assert_eq!(seen.len(), 1);
    (seen.remove(0), asked)
}

/// The same of a client that may send more than one.
async fn all_seen<F, A>(load: &str, answer: F) -> (Vec<RequestObservation>, Vec<Asked>)
where
    F: Fn(usize, Asked) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let plan = plan(load);
    let network = Network::memory();
    let listener = network.listen("service").unwrap();
    let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
    let asked = Arc::clone(&log);
    let service = service_fn(move |request: Request<Incoming>| {
        let (asked, answer) = (Arc::clone(&asked), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let this = Asked {
                line: format!("{} {}", head.method, head.uri.path()),
                body: String::from_utf8_lossy(&body).into_owned(),
                headers: head.headers,
            };
            let before = {
                let mut asked = asked.lock().unwrap();
                asked.push(this.clone());
                asked.len() - 1
            };
            Ok::<_, Infallible>(answer(before, this).await)
        }
    });
    tokio::spawn(serve(listener, service, CancellationToken::new(), Duration::ZERO));
    let audience = Audience {
        network,
        authority: "service".to_owned(),
        clock: RunClock::start(),
    };
    let load = &plan.variants[0].load;
    let seen = play(&plan, load, audience, CancellationToken::new(), |_| {}).await;
    let asked = log.lock().unwrap().clone();
    (seen, asked)
}

fn whole(status: u16, text: impl Into<String>) -> Response<Body> {
    let body = Full::new(Bytes::from(text.into())).boxed_unsync();
    Response::builder().status(status).body(body).unwrap()
}

/// A body of these pieces, each `gap` after the one before.
fn pieces(gap: Duration, pieces: Vec<String>) -> Response<Body> {
    let frames = stream::iter(pieces).then(move |piece| async move {
        sleep(gap).await;
        Ok(Frame::data(Bytes::from(piece)))
    });
    Response::new(StreamBody::new(frames).boxed_unsync())
}

fn word(index: u64) -> String {
    let mut word = String::new();
    tracer::push_word(&mut word, tracer::prompt_of("[prompt 1]"), index);
    word
}

fn answer(tokens: u64) -> String {
    tracer::answer_text(tracer::prompt_of("[prompt 1]"), tokens)
}

fn chunk(index: u64) -> String {
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        word(index)
    )
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed(class)
}

const TENTH: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn an_openai_completion_is_asked_for_and_read_as_the_sdk_does() {
    let (request, asked) = seen("endpoint = \"completions\"", |_, _| async {
        let content = answer(5);
        whole(
            200,
            format!(
                "{{\"id\":\"x\",\"object\":\"chat.completion\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
                 \"content\":\"{content}\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":5,\
                 \"total_tokens\":12}}}}"
            ),
        )
    })
    .await;
    assert_eq!((request.outcome, request.delivered.tokens), (Outcome::Answered, 5));
    assert_eq!(request.reported.unwrap().completion_tokens, 5);
    assert_eq!(asked[0].line, "POST /v1/chat/completions");
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(
        (&body["model"], &body["messages"][0]["role"]),
        (&"default".into(), &"user".into())
    );
    assert!(body.get("stream").is_none() && asked[0].headers.get("authorization").is_none());
}

#[tokio::test(start_paused = true)]
async fn openai_chunks_are_words_up_to_done_and_comments_are_none() {
    let (request, asked) = seen("endpoint = \"completions_stream\"", |_, _| async {
        let mut parts = vec![
            ": heartbeat\n\n".to_owned(),
            "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n".to_owned(),
        ];
        parts.extend((0..4).map(chunk));
        parts.push("data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n".to_owned());
        parts.push("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4}}\n\n".to_owned());
        parts.push("data: [DONE]\n\n".to_owned());
        pieces(TENTH, parts)
    })
    .await;
    assert_eq!((request.outcome, request.delivered.tokens), (Outcome::Answered, 4));
    assert_eq!(
        request.first_token,
        Some(Micros::from_millis(300)),
        "the heartbeat and the role are no words"
    );
    assert_eq!(request.gaps, [Micros::from_millis(100); 3]);
    assert_eq!(request.reported.unwrap().completion_tokens, 4);
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(
        (&body["stream"], &body["stream_options"]["include_usage"]),
        (&true.into(), &true.into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_openai_stream_without_done_is_truncated_and_one_with_an_error_frame_has_failed() {
    let stop = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    let error = "data: {\"error\":{\"message\":\"the model broke off\",\"type\":\"server_error\"}}\n\n";
    for (last, class) in [(stop, FailureClass::Truncated), (error, FailureClass::ErrorEvent)] {
        let (request, _) = seen("endpoint = \"completions_stream\"", move |_, _| async move {
            pieces(TENTH, vec![chunk(0), chunk(1), last.to_owned()])
        })
        .await;
        assert_eq!((request.outcome, request.delivered.tokens), (failed(class), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_of_client_sends_its_key_with_every_request_and_an_idempotency_key_with_the_first() {
    let load = "endpoint = \"jobs\"\nclient = [{ share = 1.0, key = \"sk-a\", idempotent = true }]";
    let (request, asked) = seen(load, |before, _| async move {
        match before {
            0 => whole(202, "{\"id\":\"j\",\"status\":\"queued\"}"),
            _ => whole(
                200,
                format!(
                    "{{\"status\":\"succeeded\",\"result\":{{\"content\":\"{}\"}}}}",
                    answer(2)
                ),
            ),
        }
    })
    .await;
    assert_eq!(request.outcome, Outcome::Answered);
    let header = |n: usize, name: &str| asked[n].headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    for n in 0..2 {
        assert_eq!(header(n, "authorization").as_deref(), Some("Bearer sk-a"));
    }
    assert_eq!(header(0, "idempotency-key").as_deref(), Some("request-1"));
    assert_eq!(header(1, "idempotency-key"), None);
}

/// JSON of the schema that clients ask for, with three words.
fn json_answer() -> String {
    format!("{{\"answer\":\"{}\",\"confidence\":7,\"topic\":\"other\"}}", answer(3))
}

#[tokio::test(start_paused = true)]
async fn json_is_asked_for_on_every_endpoint_and_checked() {
    let good = json_answer();
    for (content, fits) in [
        (good.as_str(), true),
        ("t1.0 t1.1", false),
        (&good[..good.len() - 1], false),
    ] {
        for endpoint in ["chat", "completions"] {
            let load = format!("endpoint = \"{endpoint}\"\noutput = \"json\"");
            let content = serde_json::Value::from(content);
            let (request, asked) = seen(&load, move |_, _| {
                let usage = "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}";
                let body = match endpoint {
                    "chat" => format!("{{\"content\":{content},{usage}}}"),
                    _ => format!("{{\"choices\":[{{\"message\":{{\"content\":{content}}}}}],{usage}}}"),
                };
                async move { whole(200, body) }
            })
            .await;
            let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
            let format = &body["response_format"];
            assert_eq!(format["type"], "json_schema");
            assert_eq!(format["json_schema"]["schema"]["required"][0], "answer");
            if fits {
                assert_eq!(request.outcome, Outcome::Answered);
                assert_eq!((request.delivered.tokens, request.delivered.schema), (3, 5));
                assert_eq!(request.delivered.foreign, 0);
            } else {
                assert_eq!(request.outcome, failed(FailureClass::InvalidOutput));
                assert!(request.reported.is_some());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn json_that_comes_in_pieces_is_checked_when_it_is_complete() {
    for (left_out, outcome) in [(0, Outcome::Answered), (1, failed(FailureClass::InvalidOutput))] {
        let (request, _) = seen("endpoint = \"stream\"\noutput = \"json\"", move |_, _| async move {
            let text = json_answer();
            let text = &text[..text.len() - left_out];
            let delta = |part: &[u8]| {
                let part = serde_json::json!({ "text": String::from_utf8_lossy(part) });
                format!("event: delta\ndata: {part}\n\n")
            };
            let mut parts: Vec<String> = text.as_bytes().chunks(5).map(delta).collect();
            parts.push("event: done\ndata: {}\n\n".to_owned());
            pieces(TENTH, parts)
        })
        .await;
        assert_eq!((request.outcome, request.delivered.tokens), (outcome, 3));
        assert_eq!(request.gaps.len(), 2, "the JSON around the words is no word");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_said_before_is_in_front_of_the_question() {
    let load =
        "endpoint = \"chat\"\nhistory = { turns = 4, tokens = 30 }\nprompts = { questions = true, distinct = 1 }";
    let (_, asked) = seen(load, |_, _| async { whole(500, "{}") }).await;
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    let roles: Vec<&str> = messages
        .iter()
        .map(|message| message["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
    let texts: Vec<&str> = messages
        .iter()
        .map(|message| message["content"].as_str().unwrap())
        .collect();
    let lengths = texts[..4]
        .iter()
        .map(|text| tracer::prompt_length(text).or_else(|| tracer::answer_length(text)));
    assert!(lengths.into_iter().all(|length| length == Some(30)), "{texts:?}");
    assert_eq!(
        tracer::named(texts[4]),
        Some(brownout_scenario::questions::meanings()[0].prompt)
    );
}

#[tokio::test(start_paused = true)]
async fn an_impatient_client_sends_it_again_and_waits_for_both() {
    let load = "client = [{ share = 1.0, idempotent = true, again = { after = \"300ms\" } }]";
    let answered_after = |wait: u64| async move {
        all_seen(load, move |_, _| async move {
            sleep(Duration::from_millis(wait)).await;
            whole(200, format!("{{\"content\":\"{}\"}}", answer(2)))
        })
        .await
    };
    let (requests, asked) = answered_after(200).await;
    assert_eq!((requests.len(), asked.len()), (1, 1), "it had its answer by then");
    let (requests, asked) = answered_after(500).await;
    assert_eq!(requests.len(), 2);
    let sent: Vec<_> = requests
        .iter()
        .map(|request| (request.due, request.ended, request.outcome))
        .collect();
    let at = Micros::from_millis;
    let both = [
        (at(0), at(500), Outcome::Answered),
        (at(300), at(800), Outcome::Answered),
    ];
    assert_eq!(sent, both);
    assert_eq!(asked[0].body, asked[1].body);
    let header = |n: usize, name: &str| asked[n].headers.get(name).unwrap().clone();
    assert_eq!(header(0, "idempotency-key"), header(1, "idempotency-key"));
    for told in ["x-request-id", "traceparent"] {
        assert_ne!(header(0, told), header(1, told), "{told}");
    }
}

/// The events of a job that is done after a second: those at the end are `last`.
fn events(last: &'static str) -> Response<Body> {
    let mut parts = vec!["event: status\ndata: {\"id\":\"j\",\"status\":\"running\"}\n\n".to_owned(); 9];
    parts.push(last.replace("ANSWER", &answer(3)));
    pieces(TENTH, parts)
}

const DONE: &str = "event: done\ndata: {\"id\":\"j\",\"status\":\"succeeded\",\"result\":{\"content\":\"ANSWER\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}}\n\n";
const DEAD: &str = "event: error\ndata: {\"id\":\"j\",\"status\":\"dead\",\"error\":{\"status\":502}}\n\n";

#[tokio::test(start_paused = true)]
async fn a_listener_has_its_result_at_the_moment_it_is_there() {
    let watch = "endpoint = \"jobs\"\nwatch = \"events\"\npoll = \"700ms\"";
    for (last, outcome, tokens) in [(DONE, Outcome::Answered, 3), (DEAD, failed(FailureClass::JobFailed), 0)] {
        let (request, asked) = seen(watch, move |before, _| async move {
            match before {
                0 => whole(202, "{\"id\":\"j\"}"),
                _ => events(last),
            }
        })
        .await;
        assert_eq!((request.outcome, request.delivered.tokens), (outcome, tokens));
        assert_eq!(request.ended, Micros::from_secs(1));
        let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
        assert_eq!(lines, ["POST /jobs", "GET /jobs/j/events"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_loses_the_line_asks_at_the_next_interval_and_listens_again() {
    let watch = "endpoint = \"jobs\"\nwatch = \"events\"\npoll = \"700ms\"";
    let (request, asked) = seen(watch, |before, _| async move {
        match before {
            0 => whole(202, "{\"id\":\"j\"}"),
            1 => pieces(TENTH, vec!["event: status\ndata: {}\n\n".to_owned(); 8]),
            2 => whole(200, "{\"id\":\"j\",\"status\":\"running\"}"),
            _ => events(DONE),
        }
    })
    .await;
    assert_eq!(request.outcome, Outcome::Answered);
    // Cut off after 0.8 s, it asks at 1.4 s and hears the end a second later.
    assert_eq!(request.ended, Micros::from_millis(2_400));
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        ["POST /jobs", "GET /jobs/j/events", "GET /jobs/j", "GET /jobs/j/events"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_knows_any_more_is_lost_and_one_that_was_never_taken_on_is_refused() {
    for watch in ["poll", "events"] {
        let load = format!("endpoint = \"jobs\"\nwatch = \"{watch}\"");
        let (request, _) = seen(&load, |before, _| async move {
            match before {
                0 => whole(202, "{\"id\":\"j\"}"),
                _ => whole(404, "{}"),
            }
        })
        .await;
        assert_eq!(request.outcome, failed(FailureClass::JobLost), "{watch}");
        for (status, class) in [(429, FailureClass::RateLimited), (503, FailureClass::Unavailable)] {
            let (request, asked) = seen(&load, move |_, _| async move { whole(status, "{}") }).await;
            assert_eq!(
                (request.outcome, request.acknowledged, asked.len()),
                (failed(class), None, 1)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_had_been_handed_in_before_is_a_job() {
    let (request, _) = seen("endpoint = \"jobs\"", |before, _| async move {
        match before {
            0 => whole(200, "{\"id\":\"j\",\"status\":\"queued\"}"),
            _ => whole(
                200,
                format!(
                    "{{\"status\":\"succeeded\",\"result\":{{\"content\":\"{}\"}}}}",
                    answer(2)
                ),
            ),
        }
    })
    .await;
    assert_eq!(
        (request.outcome, request.acknowledged),
        (Outcome::Answered, Some(Micros::ZERO))
    );
}

/// A service that writes `total` bytes of an answer as fast as they are taken. `written` is how many were by when.
async fn flooded(read: &str, patience: &str, total: usize) -> (RequestObservation, Vec<(Duration, usize)>) {
    let written: Arc<Mutex<Vec<(Duration, usize)>>> = Arc::default();
    let log = Arc::clone(&written);
    let start = Instant::now();
    let load = format!("endpoint = \"stream\"\npatience = \"{patience}\"\nclient = [{{ share = 1.0, read = {read} }}]");
    let (request, _) = seen(&load, move |_, _| {
        let log = Arc::clone(&log);
        async move {
            const PIECE: usize = 1_000;
            let frames = stream::iter(0..total / PIECE).map(move |n| {
                log.lock().unwrap().push((start.elapsed(), (n + 1) * PIECE));
                Ok(Frame::data(Bytes::from(format!(": {}\n\n", "x".repeat(PIECE - 4)))))
            });
            Response::new(StreamBody::new(frames).boxed_unsync())
        }
    })
    .await;
    let written = written.lock().unwrap().clone();
    (request, written)
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_takes_no_more_than_its_rate_and_the_service_feels_it() {
    let total = 2_000_000;
    let (request, written) = flooded("{ bytes_per_second = 1000 }", "30s", total).await;
    assert_eq!(request.outcome, failed(FailureClass::ClientTimeout));
    // 30 s at 1,000 bytes a second, some of them the head of the answer and the sizes of chunks.
    assert!((29_000..=30_250).contains(&request.bytes), "{}", request.bytes);
    let (_, most) = written.last().unwrap();
    assert!(*most < total, "the service could write everything");
    let (request, written) = flooded("{ bytes_per_second = 1000000 }", "30s", total).await;
    assert_eq!(
        request.outcome,
        failed(FailureClass::Truncated),
        "all was read, and nothing said that it is complete"
    );
    assert_eq!(written.last().unwrap().1, total);
    let seconds = request.ended.as_secs_f64();
    assert!((1.75..2.1).contains(&seconds), "{seconds} s for 2 MB at 1 MB a second");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_stays_connected_and_takes_nothing_more() {
    let total = 2_000_000;
    let (request, written) = flooded("{ stops_after_bytes = 2000 }", "20s", total).await;
    assert_eq!(request.outcome, failed(FailureClass::ClientTimeout));
    assert_eq!(request.ended, Micros::from_secs(20));
    assert!((1_500..2_000).contains(&request.bytes), "{}", request.bytes);
    let (at, most) = written.last().unwrap();
    assert!(*most < total && *at < Duration::from_secs(1), "{most} bytes by {at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_status_other_than_200_has_its_class_on_every_endpoint() {
    for endpoint in ["chat", "stream", "completions", "completions_stream"] {
        let load = format!("endpoint = \"{endpoint}\"");
        let (request, _) = seen(&load, |_, _| async {
            whole(StatusCode::TOO_MANY_REQUESTS.as_u16(), "{}")
        })
        .await;
        assert_eq!(request.outcome, failed(FailureClass::RateLimited), "{endpoint}");
    }
}
