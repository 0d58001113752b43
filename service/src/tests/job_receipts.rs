//! Which requests are the same job, whose it is, and how many may wait.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::plant::{Plant, pass};
use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms, question, secs};
use crate::queue::{Delivery, Enqueued, Job, State};
use crate::settings::Digest;

fn plant(service: &Value) -> Plant {
    Plant::new(Provider::new(|_, _| Reply::Whole(secs(5))), service)
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn other_question() -> Value {
    json!({ "messages": [{ "role": "user", "content": "[prompt 18] and now?" }] })
}

#[tokio::test(start_paused = true)]
async fn the_same_key_is_the_same_job_before_and_after_its_end_and_is_done_once() {
    for service in [json!({}), json!({ "jobs": { "coalesce": false } })] {
        let plant = plant(&service);
        let (_worker, _) = plant.worker("w1");
        let key = [("idempotency-key", "order-17")];
        let first = plant.ask(&key, &question()).await;
        assert_eq!(first.header("idempotent-replayed"), "");
        for wait in [secs(1), secs(60)] {
            pass(wait).await;
            let again = plant.ask(&key, &question()).await;
            assert_eq!(id(&again), id(&first));
            assert_eq!(again.header("location"), first.header("location"));
            assert_eq!(again.header("idempotent-replayed"), "true");
        }
        let last = plant.ask(&key, &question()).await.json();
        assert_eq!(last["status"], "succeeded", "the answer is in the receipt by now");
        assert_eq!((plant.provider.seen().len(), plant.answers_counted().await), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn equal_keys_that_come_at_the_same_moment_are_one_job() {
    let plant = plant(&json!({}));
    let (_worker, _) = plant.worker("w1");
    let key = [("idempotency-key", "order-17")];
    let body = question();
    let answers = join_all((0..20).map(|_| plant.ask(&key, &body))).await;
    assert!(answers.iter().all(|answer| id(answer) == id(&answers[0])));
    pass(secs(10)).await;
    assert_eq!(plant.provider.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_key_for_another_request_is_refused_and_a_bad_key_is_said_to_be_one() {
    let plant = plant(&json!({ "webhooks": {
        "hosts": ["hooks.example.com"], "secret": "a-secret-that-is-long-enough",
    } }));
    let key = [("idempotency-key", "order-17")];
    id(&plant.ask(&key, &question()).await);
    let mut told = question();
    told["webhook"] = json!("https://hooks.example.com/");
    for other in [other_question(), told] {
        let answer = plant.ask(&key, &other).await;
        assert_eq!(answer.problem(), (422, "idempotency-key-reused".to_owned()));
    }
    let answer = plant.ask(&[("idempotency-key", "two words")], &question()).await;
    assert_eq!(answer.problem(), (400, "idempotency-key-malformed".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn equal_requests_without_a_key_are_one_job_while_it_is_unfinished_where_that_is_on() {
    let plant = plant(&json!({}));
    let (_worker, _) = plant.worker("w1");
    let first = plant.ask(&[], &question()).await;
    pass(secs(1)).await;
    let second = plant.ask(&[], &question()).await;
    assert_eq!(id(&second), id(&first));
    assert_eq!(second.header("job-coalesced"), "true");
    let named = plant.ask(&[("idempotency-key", "mine")], &question()).await;
    let other = plant.ask(&[], &other_question()).await;
    assert!(id(&named) != id(&first) && id(&other) != id(&first));
    pass(secs(10)).await;
    let later = plant.ask(&[], &question()).await;
    assert_ne!(id(&later), id(&first), "the first one is finished: this is new work");
    // The mirror: where it is off, equal requests are work of their own.
    let plant = self::plant(&json!({ "preset": "naive" }));
    let (a, b) = (plant.ask(&[], &question()).await, plant.ask(&[], &question()).await);
    assert_ne!(id(&a), id(&b));
}

/// A job of another tenant, otherwise as this service would make it.
fn strangers_job(fingerprint: Option<String>) -> Job {
    Job {
        id: "job-of-a-stranger".into(),
        tenant: "stranger".into(),
        caller: "stranger".into(),
        idempotency_key: Some("order-17".into()),
        fingerprint,
        webhook: None,
        payload: question().to_string(),
        request_id: "r".into(),
        traceparent: None,
        enqueued_us: 1_767_225_600_000_000,
        attempts: 0,
        released: 0,
        state: State::Queued {
            due_us: 1_767_225_600_000_000,
        },
        delivery: Delivery::None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_neither_sees_nor_shares_nor_stops_the_job_of_another() {
    let plant = plant(&json!({}));
    let stranger = strangers_job(None);
    assert_eq!(plant.stores.jobs.enqueue(stranger).await.unwrap(), Enqueued::New);
    for (method, path) in [
        (Method::GET, "/jobs/job-of-a-stranger"),
        (Method::GET, "/jobs/job-of-a-stranger/events"),
        (Method::DELETE, "/jobs/job-of-a-stranger"),
    ] {
        let answer = Answer::read(plant.host.send(method, path, "").await).await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned()), "{path}");
    }
    let mine = plant.ask(&[("idempotency-key", "order-17")], &question()).await;
    assert_ne!(id(&mine), "job-of-a-stranger");
    let unharmed = plant.stores.jobs.get("job-of-a-stranger").await.unwrap().unwrap();
    assert!(matches!(unharmed.state, State::Queued { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_refuses_until_there_is_room_again() {
    for design in ["queued", "background"] {
        let provider = Provider::new(|_, _| Reply::Whole(secs(5)));
        let service = json!({ "design": design, "jobs": { "backlog": 2, "concurrency": 1, "coalesce": false } });
        let plant = Plant::new(provider, &service);
        let (_worker, _) = plant.worker("w1");
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(plant.ask(&[], &question()).await.status.as_u16());
            // The first one is begun.
            pass(ms(150)).await;
        }
        assert_eq!(statuses, [202, 202, 202, 503], "{design}");
        let refused = plant.ask(&[], &question()).await;
        assert_eq!(refused.problem(), (503, "backlog-full".to_owned()));
        assert_eq!(refused.header("retry-after"), "5");
        pass(secs(5)).await;
        assert_eq!(
            plant.ask(&[], &question()).await.status,
            202,
            "{design}: one was begun meanwhile"
        );
        assert_eq!(plant.ask(&[], &question()).await.status, 503, "{design}");
    }
    // The mirror: the naive preset takes on whatever comes.
    let plant = plant(&json!({ "preset": "naive" }));
    for _ in 0..300 {
        assert_eq!(plant.ask(&[], &question()).await.status, 202);
    }
}

/// A service that knows two tenants, and a worker-less queue.
fn shared_plant(design: &str) -> Plant {
    let key = |name: &str| json!({ "name": name, "sha256": Digest::of(name.as_bytes()).to_hex() });
    let jobs = json!({ "backlog": 6, "backlog_per_tenant": 4, "concurrency": 1, "coalesce": false });
    let service = json!({ "design": design, "auth": "required", "keys": [key("a"), key("b")], "jobs": jobs });
    plant(&service)
}

async fn ask_as(plant: &Plant, name: &str) -> Answer {
    let bearer = format!("Bearer {name}");
    plant.ask(&[("authorization", &bearer)], &question()).await
}

#[tokio::test(start_paused = true)]
async fn a_tenant_with_too_many_jobs_waiting_is_refused_and_the_others_are_not() {
    for design in ["queued", "background"] {
        let plant = shared_plant(design);
        let (_worker, _) = plant.worker("w1");
        let mut taken = 0;
        while ask_as(&plant, "a").await.status == 202 {
            taken += 1;
            // The first one is begun.
            pass(ms(150)).await;
        }
        assert_eq!(taken, 5, "{design}");
        let refused = ask_as(&plant, "a").await;
        assert_eq!(refused.problem(), (429, "tenant-backlog-full".to_owned()));
        assert_eq!(refused.header("retry-after"), "5");
        assert_eq!(
            ask_as(&plant, "b").await.status,
            202,
            "{design}: the other one is not at fault"
        );
        pass(secs(5)).await;
        assert_eq!(
            ask_as(&plant, "a").await.status,
            202,
            "{design}: one was begun meanwhile"
        );
        assert_eq!(ask_as(&plant, "a").await.status, 429, "{design}");
        // The whole has a bound all the same.
        assert_eq!(ask_as(&plant, "b").await.status, 202, "{design}");
        let full = ask_as(&plant, "b").await;
        assert_eq!(full.problem(), (503, "backlog-full".to_owned()), "{design}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_keys_there_is_no_share_and_replicas_learn_of_each_others_jobs() {
    let plant = plant(&json!({ "jobs": { "backlog": 9, "backlog_per_tenant": 4, "coalesce": false } }));
    for _ in 0..9 {
        assert_eq!(plant.ask(&[], &question()).await.status, 202);
    }
    assert_eq!(plant.ask(&[], &question()).await.status, 503);

    let one = shared_plant("queued");
    let provider = Provider::new(|_, _| Reply::Whole(secs(5)));
    let other = Host::with(&provider, one.settings.clone(), one.stores.clone());
    let body = question().to_string();
    let mut taken = 0;
    for n in 0..20 {
        pass(secs(1)).await;
        let headers = [("authorization", "Bearer a")];
        let host = if n % 2 == 0 { &one.host } else { &other };
        let answer = host.send_with(Method::POST, "/jobs", &headers, &body).await;
        taken += u32::from(answer.status() == 202);
    }
    assert_eq!(taken, 4, "an eighth of four is less than one job");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_shrinks_is_noticed_by_a_service_that_does_not_work_on_it() {
    let plant = plant(&json!({ "jobs": { "backlog": 1, "coalesce": false } }));
    assert_eq!(plant.ask(&[], &question()).await.status, 202);
    for _ in 0..3 {
        assert_eq!(plant.ask(&[], &question()).await.status, 503);
    }
    let (_worker, _) = plant.worker("w1");
    pass(ms(200)).await;
    assert_eq!(plant.ask(&[], &question()).await.status, 202);
}

#[tokio::test(start_paused = true)]
async fn background_jobs_are_finished_within_the_grace_and_the_rest_is_counted_as_lost() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(4)));
    let service = json!({ "design": "background", "jobs": { "concurrency": 2, "coalesce": false } });
    let host = Host::new(&provider, service);
    for _ in 0..6 {
        host.post("/jobs").await;
    }
    pass(secs(1)).await;
    host.app.shutdown.cancel();
    assert!(!host.app.tasks.wait(secs(6)).await);
    host.app.give_back.cancel();
    host.app.tasks.wait(secs(1)).await;
    host.app.tasks.end().await;
    let metrics = host.get("/metrics").await.body;
    assert!(metrics.contains("jobs_total{kind=\"succeeded\"} 2"), "{metrics}");
    assert!(metrics.contains("jobs_total{kind=\"lost\"} 4"), "{metrics}");
    assert_eq!(host.app.metrics.jobs_running.get(), 0);
}
