//! Following jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::plant::{Plant, pass};
use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms, question, secs, settings};
use crate::ports::Stores;
use crate::queue::{Depth, Enqueued, Event, Job, JobStore, QueueError};

fn statuses(answer: &Answer) -> Vec<(String, String)> {
    let events = answer.events().into_iter();
    events
        .map(|(name, job)| (name, job["status"].as_str().unwrap().to_owned()))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_told_every_change_and_the_answer_and_then_the_stream_ends() {
    let plant = Plant::new(
        Provider::new(|_, _| Reply::Whole(secs(40))),
        &json!({ "deadline": {
        "attempt": "off", "total": "off",
    } }),
    );
    let id = plant.submit().await;
    let path = format!("/jobs/{id}/events");
    let following = plant.host.get(&path);
    let working = async {
        pass(secs(20)).await;
        plant.worker("w1")
    };
    let (answer, _worker) = tokio::join!(following, working);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let expected = [("status", "queued"), ("status", "running"), ("done", "succeeded")];
    assert_eq!(statuses(&answer), pairs(&expected));
    assert_eq!(
        answer.events()[2].1,
        plant.job(&id).await,
        "all carry the job as it is shown"
    );
    assert!(
        answer.body.matches("\n:").count() >= 2,
        "silence is filled: {}",
        answer.body
    );
    let late = plant.host.get(&path).await;
    assert_eq!(statuses(&late), pairs(&[("done", "succeeded")]));
    let unknown = plant.host.get("/jobs/none/events").await;
    assert_eq!(unknown.problem(), (404, "not-found".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_badly_ends_in_an_error_and_says_its_attempts_on_the_way() {
    let service = json!({ "fallback": false, "retry": { "max_attempts": 1 }, "jobs": { "max_attempts": 2 } });
    let plant = Plant::new(Provider::new(|_, _| Reply::Status(503, None)), &service);
    let id = plant.submit().await;
    let (_worker, _) = plant.worker("w1");
    let answer = plant.host.get(&format!("/jobs/{id}/events")).await;
    let seen = statuses(&answer);
    assert_eq!(seen.first(), pairs(&[("status", "queued")]).first());
    assert_eq!(seen.last(), pairs(&[("error", "dead")]).last());
    let events = answer.events();
    assert!(
        events
            .iter()
            .any(|(_, job)| job["attempts"] == 1 && job["due_ms"].is_u64()),
        "{events:?}"
    );
    let kind = &events.last().unwrap().1["error"]["type"];
    assert_eq!(kind, "urn:brownout-service:problem:upstream-failed");
    // And so does one that is called off.
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(9))), &json!({}));
    let id = plant.submit().await;
    let path = format!("/jobs/{id}/events");
    let cancelling = async {
        pass(secs(1)).await;
        plant.cancel(&id).await
    };
    let (answer, _) = tokio::join!(plant.host.get(&path), cancelling);
    assert_eq!(
        statuses(&answer),
        pairs(&[("status", "queued"), ("error", "cancelled")])
    );
}

/// A queue that counts how often it is looked at.
struct Counting {
    inner: Arc<dyn JobStore>,
    looks: AtomicU64,
}

#[async_trait]
impl JobStore for Counting {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        self.inner.enqueue(job).await
    }
    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.inner.get(id).await
    }
    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        self.inner.claim(worker, now_us).await
    }
    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        self.inner.update(id, event, now_us).await
    }
    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        self.inner.purge(now_us).await
    }
    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        self.inner.depth(now_us).await
    }
    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError> {
        self.inner.waiting(tenant).await
    }
    async fn ping(&self) -> Result<(), QueueError> {
        self.inner.ping().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_followers_cost_one_look_at_a_time_and_none_when_they_have_left() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let settings = settings(json!({ "design": "queued" }));
    let inner = Stores::memory(&settings);
    let counting = Arc::new(Counting {
        inner: Arc::clone(&inner.jobs),
        looks: AtomicU64::new(0),
    });
    let stores = Stores {
        jobs: Arc::clone(&counting) as _,
        ..inner
    };
    let host = Host::with(&provider, settings, stores);
    let posted = Answer::read(host.send(http::Method::POST, "/jobs", &question().to_string()).await).await;
    let path = format!("/jobs/{}/events", posted.json()["id"].as_str().unwrap());
    let followers = join_all((0..1000).map(|_| host.send(http::Method::GET, &path, ""))).await;
    let opened = counting.looks.load(Ordering::Relaxed);
    assert_eq!(opened, 1000, "each is looked up once, for its owner");
    let mut bodies: Vec<_> = followers.into_iter().map(axum::response::Response::into_body).collect();
    for body in &mut bodies {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.starts_with(b"event: status"));
    }
    pass(ms(10_050)).await;
    let looks = counting.looks.load(Ordering::Relaxed) - opened;
    assert!((95..=101).contains(&looks), "{looks} looks in 10 s at 100 ms");
    drop(bodies);
    pass(secs(1)).await;
    let before = counting.looks.load(Ordering::Relaxed);
    pass(secs(60)).await;
    assert_eq!(counting.looks.load(Ordering::Relaxed), before);
    // Somebody new is served all the same.
    let mut again = host.send(http::Method::GET, &path, "").await.into_body();
    assert!(again.frame().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_queued_job_leave_with_their_replica_and_are_not_told_that_the_job_is_over() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(5))), &json!({}));
    let id = plant.submit().await;
    let leaving = async {
        pass(secs(2)).await;
        plant.host.app.shutdown.cancel();
    };
    let path = format!("/jobs/{id}/events");
    let (answer, ()) = tokio::join!(plant.host.get(&path), leaving);
    assert_eq!(statuses(&answer), pairs(&[("status", "queued")]));
    assert_eq!(plant.host.elapsed_ms(), 2000);
}

#[tokio::test(start_paused = true)]
async fn followers_of_a_background_job_stay_while_it_is_finished() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(5)));
    let host = Host::new(&provider, json!({ "design": "background" }));
    let job: Value = Answer::read(host.post("/jobs").await).await.json();
    let path = format!("/jobs/{}/events", job["id"].as_str().unwrap());
    let leaving = async {
        pass(secs(2)).await;
        host.app.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(host.get(&path), leaving);
    assert_eq!(answer.event_names().last().unwrap(), "done");
}
