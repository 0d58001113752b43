//! The dispatcher and its clients against a small service with a mind of its own, on a paused clock.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::convert::Infallible;
use std::time::Duration;

use brownout_load::{Audience, play};
use brownout_net::{Network, RunClock, serve};
use brownout_scenario::observe::{FailureClass, Outcome, RequestObservation};
use brownout_scenario::units::Micros;
use brownout_scenario::{Plan, Scenario, tracer};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use tokio_util::sync::CancellationToken;

type Body = UnsyncBoxBody<Bytes, Infallible>;

fn plan(load: &str) -> Plan {
    let text = format!(
        "question = \"?\"\nduration = \"10s\"\ndrain = \"5s\"\n[[provider]]\nname = \"p\"\nmodel = \"gpt-4o\"\nfirst_token = \"1s\"\n\
         [load]\n{load}\n[[variant]]\nname = \"v\"\n"
    );
    Scenario::parse("x.toml", &text).unwrap().plan
}

/// Plays `load` against a service that answers by path: `/chat` after 2 s, `/chat/stream` with 10 words at 100 ms each,
/// `/jobs` with a job that takes 3 s.
async fn seen(load: &str) -> Vec<RequestObservation> {
    let plan = plan(load);
    let network = Network::memory();
    let listener = network.listen("service").unwrap();
    let service = service_fn(|request: Request<Incoming>| async move { Ok::<_, Infallible>(answer(request).await) });
    tokio::spawn(serve(listener, service, CancellationToken::new(), Duration::ZERO));
    let audience = Audience {
        network,
        authority: "service".to_owned(),
        clock: RunClock::start(),
    };
    play(
        &plan,
        &plan.variants[0].load,
        audience,
        CancellationToken::new(),
        |_| {},
    )
    .await
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked = String::from_utf8_lossy(&body).into_owned();
    let prompt = tracer::prompt_of(&asked);
    let whole = |text: String| Full::new(Bytes::from(text)).boxed_unsync();
    let result = |tokens| {
        format!(
            "{{\"content\":\"{}\",\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{tokens}}}}}",
            tracer::answer_text(prompt, tokens)
        )
    };
    match path.as_str() {
        "/chat" => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Response::new(whole(result(5)))
        }
        "/chat/stream" => {
            let words = stream::iter(0..10).then(move |index| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let mut word = String::new();
                tracer::push_word(&mut word, prompt, index);
                Ok(Frame::data(Bytes::from(format!(
                    "event: delta\ndata: {{\"text\":\"{word}\"}}\n\n"
                ))))
            });
            let end = stream::once(async { Ok(Frame::data(Bytes::from("event: done\ndata: {}\n\n"))) });
            Response::new(StreamBody::new(words.chain(end)).boxed_unsync())
        }
        "/jobs" => {
            let until = tokio::time::Instant::now() + Duration::from_secs(3);
            let id = format!("{}-{}", prompt, until.duration_since(START.with(|s| *s)).as_millis());
            Response::builder()
                .status(202)
                .body(whole(format!("{{\"id\":\"{id}\"}}")))
                .unwrap()
        }
        job => {
            let (prompt, until) = job.trim_start_matches("/jobs/").split_once('-').unwrap();
            let until = START.with(|s| *s) + Duration::from_millis(until.parse().unwrap());
            if tokio::time::Instant::now() < until {
                return Response::new(whole("{\"id\":\"x\",\"status\":\"running\"}".to_owned()));
            }
            let prompt = tracer::prompt_of(&format!("[prompt {prompt}]"));
            let text = tracer::answer_text(prompt, 5);
            Response::new(whole(format!(
                "{{\"id\":\"x\",\"status\":\"succeeded\",\"result\":{{\"content\":\"{text}\"}}}}"
            )))
        }
    }
}

thread_local! { static START: tokio::time::Instant = tokio::time::Instant::now(); }

#[tokio::test(start_paused = true)]
async fn a_slow_answer_delays_no_other_request() {
    let seen = seen("arrivals = { kind = \"constant\", rate = \"4/s\" }").await;
    assert_eq!(seen.len(), 40);
    for (index, request) in seen.iter().enumerate() {
        assert_eq!(request.due, Micros(250_000 * index as u64));
        assert_eq!(request.sent, Some(request.due));
        assert_eq!(request.outcome, Outcome::Answered);
        assert_eq!(request.ended.since(request.due), Micros::from_secs(2));
        assert_eq!(request.delivered.tokens, 5);
        assert_eq!(request.reported.unwrap().completion_tokens, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn every_gap_of_a_stream_is_kept() {
    let seen = seen("endpoint = \"stream\"\narrivals = { kind = \"constant\", rate = \"1/s\" }").await;
    assert_eq!(seen.len(), 10);
    for request in seen {
        assert_eq!(
            request.first_token.unwrap().since(request.due),
            Micros::from_millis(100)
        );
        assert_eq!(request.gaps, vec![Micros::from_millis(100); 9]);
        assert_eq!(request.outcome, Outcome::Answered);
    }
}

#[tokio::test(start_paused = true)]
async fn clients_leave_with_the_tokens_or_at_the_time_they_were_told_to() {
    let leaver = "arrivals = { kind = \"constant\", rate = \"1/s\" }\nendpoint = \"stream\"\nclient = [{ share = 1.0, disconnect = { after_tokens = 4 } }]";
    for request in seen(leaver).await {
        assert_eq!((request.outcome, request.delivered.tokens), (Outcome::Aborted, 4));
        assert_eq!(request.ended.since(request.due), Micros::from_millis(400));
    }
    let timed = "arrivals = { kind = \"constant\", rate = \"1/s\" }\nclient = [{ share = 1.0, disconnect = { after = \"1999ms\" } }]";
    for request in seen(timed).await {
        assert_eq!((request.outcome, request.delivered.tokens), (Outcome::Aborted, 0));
        assert_eq!(request.ended.since(request.due), Micros::from_millis(1999));
    }
}

#[tokio::test(start_paused = true)]
async fn patience_ends_a_wait_just_before_the_answer_but_not_just_after() {
    let outcome = async |patience: &str| {
        let seen = seen(&format!(
            "patience = \"{patience}\"\narrivals = {{ kind = \"constant\", rate = \"1/s\" }}"
        ))
        .await;
        seen[0].outcome
    };
    assert_eq!(outcome("1999ms").await, Outcome::Failed(FailureClass::ClientTimeout));
    assert_eq!(outcome("2001ms").await, Outcome::Answered);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_acknowledged_at_once_and_answered_at_the_poll_that_finds_it_done() {
    START.with(|_| ());
    let seen = seen("endpoint = \"jobs\"\npoll = \"700ms\"\narrivals = { kind = \"constant\", rate = \"1/s\" }").await;
    for request in seen {
        assert_eq!(request.outcome, Outcome::Answered);
        assert_eq!(request.acknowledged, Some(request.due));
        assert_eq!(request.ended.since(request.due), Micros::from_millis(3500));
        assert_eq!(request.delivered.tokens, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn closed_users_wait_for_their_answer_before_they_think_and_ask_again() {
    let seen =
        seen("arrivals = { kind = \"closed\", users = 3, think = { kind = \"constant\", value = \"500ms\" } }").await;
    // 0.5 s of thought and 2 s of answer: asked at 0.5, 3, 5.5 and 8 s by each of three users.
    assert_eq!(seen.len(), 12);
    assert!(
        seen.iter()
            .all(|r| r.sent == Some(r.due) && r.outcome == Outcome::Answered)
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_open_after_the_drain_is_unfinished_and_nobody_listening_is_a_failed_connection() {
    let plan = plan("arrivals = { kind = \"constant\", rate = \"1/s\" }");
    let network = Network::memory();
    let clock = RunClock::start();
    let audience = Audience {
        network: network.clone(),
        authority: "nobody".to_owned(),
        clock,
    };
    let seen = play(
        &plan,
        &plan.variants[0].load,
        audience,
        CancellationToken::new(),
        |_| {},
    )
    .await;
    assert!(seen.iter().all(|r| r.outcome == Outcome::Failed(FailureClass::Connect)));

    let _silent = network.listen("silent").unwrap();
    let clock = RunClock::start();
    let audience = Audience {
        network,
        authority: "silent".to_owned(),
        clock,
    };
    let seen = play(
        &plan,
        &plan.variants[0].load,
        audience,
        CancellationToken::new(),
        |_| {},
    )
    .await;
    assert!(
        seen.iter()
            .all(|r| r.outcome == Outcome::Failed(FailureClass::Unfinished))
    );
    assert_eq!(clock.now_us(), 15_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_run_accounts_for_what_had_fallen_due_and_for_nothing_else() {
    let plan = plan("arrivals = { kind = \"constant\", rate = \"1/s\" }");
    let network = Network::memory();
    let _silent = network.listen("silent").unwrap();
    let audience = Audience {
        network,
        authority: "silent".to_owned(),
        clock: RunClock::start(),
    };
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        stopping.cancel();
    });
    let seen = play(&plan, &plan.variants[0].load, audience, stop, |_| {}).await;
    assert_eq!(seen.len(), 4);
    assert!(seen.iter().all(|r| r.ended == Micros::from_millis(3500)));
}
