//! Telling the outcomes of jobs.

use serde_json::{Value, json};

use super::plant::{Plant, pass};
use super::provider::{Fate, Provider, Reply, Seen};
use super::support::{Answer, Host, ms, question, secs};
use crate::webhooks::SigningKey;

const SECRET: &str = "a-secret-that-is-long-enough";
const URL: &str = "https://hooks.example.com/answers";

fn service() -> Value {
    json!({ "webhooks": { "hosts": ["hooks.example.com"], "secret": SECRET, "retry_base": "2s", "retry_cap": "20s" } })
}

fn announced() -> Value {
    let mut body = question();
    body["webhook"] = json!(URL);
    body
}

/// A provider that answers questions after a second, and a receiver that does what `script` says, by number.
fn world(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> std::sync::Arc<Provider> {
    let told = std::sync::atomic::AtomicUsize::new(0);
    Provider::new(move |_, seen| match seen.host.as_str() {
        "hooks.example.com" => script(told.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
        _ => Reply::Whole(secs(1)),
    })
}

fn told(provider: &Provider) -> Vec<Seen> {
    let seen = provider.seen().into_iter();
    seen.filter(|seen| seen.host == "hooks.example.com").collect()
}

async fn ask(plant: &Plant) -> String {
    let answer = plant.ask(&[], &announced()).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn an_outcome_is_told_once_signed_and_as_it_is_shown() {
    let plant = Plant::new(world(|_| Reply::Status(204, None)), &service());
    let (_worker, _) = plant.worker("w1");
    let id = ask(&plant).await;
    assert_eq!(
        plant.job(&id).await["webhook"],
        json!({ "status": "pending", "attempts": 0 })
    );
    pass(secs(60)).await;
    let [told] = &told(&plant.provider)[..] else {
        panic!("{:?}", plant.provider.hosts())
    };
    assert!(told.at <= ms(1100), "at once: {:?}", told.at);
    let mut shown = plant.job(&id).await;
    let webhook = shown.as_object_mut().unwrap().remove("webhook").unwrap();
    assert_eq!(webhook, json!({ "status": "delivered", "attempts": 1 }));
    assert_eq!(told.body, json!({ "type": "job.succeeded", "data": shown }));
    let header = |name: &str| told.headers[name].to_str().unwrap().to_owned();
    let timestamp: u64 = header("webhook-timestamp").parse().unwrap();
    assert_eq!((header("webhook-id"), timestamp), (id, 1_767_225_601));
    let key = SigningKey::read(Some(&SECRET.into())).ok().unwrap();
    let expected = key.sign(&header("webhook-id"), timestamp, &told.raw);
    assert_eq!(header("webhook-signature"), expected);
    assert!(
        !told.headers.contains_key("authorization"),
        "the provider's key is the provider's"
    );
}

#[tokio::test(start_paused = true)]
async fn every_outcome_is_told_cancelled_and_dead_ones_too() {
    let service = json!({
        "webhooks": service()["webhooks"], "jobs": { "expiry": "60s", "coalesce": false },
    });
    let mut service = service;
    service["webhooks"]["attempts"] = json!(1);
    let plant = Plant::new(world(|_| Reply::Status(200, None)), &service);
    let cancelled = ask(&plant).await;
    let expired = ask(&plant).await;
    plant.cancel(&cancelled).await;
    pass(secs(61)).await;
    let (_worker, _) = plant.worker("w1");
    pass(secs(1)).await;
    let kinds: Vec<_> = told(&plant.provider)
        .iter()
        .map(|told| told.body["type"].clone())
        .collect();
    assert_eq!(kinds, ["job.cancelled", "job.dead"], "{cancelled} {expired}");
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_fails_is_told_again_later_with_the_same_bytes_and_given_up_in_the_end() {
    let plant = Plant::new(
        world(|n| {
            if n < 2 {
                Reply::Status(503, None)
            } else {
                Reply::Status(200, None)
            }
        }),
        &service(),
    );
    let (_worker, _) = plant.worker("w1");
    let id = ask(&plant).await;
    pass(secs(60)).await;
    let told = told(&plant.provider);
    assert_eq!(told.len(), 3);
    assert!(
        told.iter()
            .all(|again| again.raw == told[0].raw && again.headers["webhook-id"] == *id)
    );
    assert_eq!(
        plant.job(&id).await["webhook"],
        json!({ "status": "delivered", "attempts": 3 })
    );

    let plant = Plant::new(world(|_| Reply::Status(404, Some("9"))), &service());
    let (_worker, _) = plant.worker("w1");
    let id = ask(&plant).await;
    pass(secs(600)).await;
    let times: Vec<u128> = self::told(&plant.provider)
        .iter()
        .map(|told| told.at.as_millis())
        .collect();
    assert_eq!(times.len(), 6);
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= 9000),
        "it asked for 9 s: {times:?}"
    );
    let job = plant.job(&id).await;
    assert_eq!(job["webhook"], json!({ "status": "given_up", "attempts": 6 }));
    assert_eq!(job["status"], "succeeded", "the job itself is none the worse");
}

#[tokio::test(start_paused = true)]
async fn redirects_are_not_followed_silence_is_cut_and_who_is_gone_is_left_alone() {
    let plant = Plant::new(world(|_| Reply::Status(307, None)), &service());
    let (_worker, _) = plant.worker("w1");
    ask(&plant).await;
    pass(secs(600)).await;
    assert_eq!(
        told(&plant.provider).len(),
        6,
        "a redirect is a failure, and nobody else was asked"
    );
    assert!(
        plant
            .provider
            .hosts()
            .iter()
            .all(|host| ["a.sim", "hooks.example.com"].contains(&host.as_str()))
    );

    let plant = Plant::new(
        world(|n| {
            if n == 0 {
                Reply::Silence
            } else {
                Reply::Status(200, None)
            }
        }),
        &service(),
    );
    let (_worker, _) = plant.worker("w1");
    ask(&plant).await;
    pass(secs(30)).await;
    let told_twice = told(&plant.provider);
    let began = told_twice[0].at;
    assert_eq!(told_twice[0].fate, Fate::HungUp(began + secs(10)));
    assert_eq!(told_twice.len(), 2);

    let plant = Plant::new(world(|_| Reply::Status(410, None)), &service());
    let (_worker, _) = plant.worker("w1");
    let id = ask(&plant).await;
    pass(secs(600)).await;
    assert_eq!(told(&plant.provider).len(), 1);
    assert_eq!(plant.job(&id).await["webhook"]["status"], "given_up");
}

#[tokio::test(start_paused = true)]
async fn a_webhook_survives_the_worker_that_finished_the_job() {
    let plant = Plant::new(
        world(|n| {
            if n == 0 {
                Reply::Silence
            } else {
                Reply::Status(200, None)
            }
        }),
        &service(),
    );
    let (first, _) = plant.worker("w1");
    let id = ask(&plant).await;
    pass(secs(5)).await;
    assert_eq!(told(&plant.provider).len(), 1);
    first.abort();
    let (_second, _) = plant.worker("w2");
    pass(secs(60)).await;
    assert_eq!(told(&plant.provider).len(), 2);
    let job = plant.job(&id).await;
    assert_eq!(job["webhook"], json!({ "status": "delivered", "attempts": 2 }));
    assert_eq!(job["attempts"], 1, "the work itself is not done again");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_gives_back_the_webhook_that_it_cannot_finish() {
    let mut service = service();
    service["shutdown_grace"] = json!("1s");
    let plant = Plant::new(
        world(|n| {
            if n == 0 {
                Reply::Silence
            } else {
                Reply::Status(200, None)
            }
        }),
        &service,
    );
    let (first, shutdown) = plant.worker("w1");
    let id = ask(&plant).await;
    pass(secs(2)).await;
    shutdown.cancel();
    first.await.unwrap();
    let (_second, _) = plant.worker("w2");
    pass(ms(200)).await;
    assert_eq!(
        plant.job(&id).await["webhook"]["status"],
        "delivered",
        "nobody waits for the old lease"
    );
}

#[tokio::test(start_paused = true)]
async fn a_background_job_tells_its_outcome_from_its_own_process() {
    let mut service = service();
    service["design"] = json!("background");
    let provider = world(|n| {
        if n == 0 {
            Reply::Refuse
        } else {
            Reply::Status(200, None)
        }
    });
    let host = Host::new(&provider, service);
    let answer = Answer::read(host.send(http::Method::POST, "/jobs", &announced().to_string()).await).await;
    assert_eq!(answer.status, 202);
    pass(secs(30)).await;
    assert_eq!(told(&provider).len(), 2);
    let metrics = host.get("/metrics").await.body;
    for line in [
        "service_webhook_deliveries_total{outcome=\"unreachable\"} 1",
        "service_webhook_deliveries_total{outcome=\"delivered\"} 1",
        "service_job_duration_seconds_count 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_may_not_be_told_is_refused_with_the_request() {
    let on = Plant::new(world(|_| Reply::Status(200, None)), &service());
    let off = Plant::new(world(|_| Reply::Status(200, None)), &json!({}));
    for (plant, url, status) in [
        (&on, "https://169.254.169.254/latest/meta-data", 422),
        (&on, "http://localhost:8080/", 422),
        (&on, "https://hooks.example.com:22/", 422),
        (&on, "https://hooks.example.com@evil.com/", 422),
        (&on, "not a url", 422),
        (&off, URL, 422),
    ] {
        let mut body = question();
        body["webhook"] = json!(url);
        let answer = plant.ask(&[], &body).await;
        assert_eq!(answer.problem(), (status, "webhook-refused".to_owned()), "{url}");
    }
    let mut body = question();
    body["webhook"] = json!(7);
    assert_eq!(on.ask(&[], &body).await.problem(), (422, "invalid-request".to_owned()));
}
