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
    let mut seen = play(&plan, load, audience, CancellationToken::new(), |_| {}).await;
    assert_eq!(seen.len(), 1);
    let asked = log.lock().unwrap().clone();
    (seen.remove(0), asked)
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
