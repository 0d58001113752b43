//! Following jobs.

use std::collections::BTreeMap;
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
use crate::queue::{Depth, Enqueued, Event, Job, JobStore, Mark, QueueError};

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
    /// Questions for marks.
    questions: AtomicU64,
}

impl Counting {
    fn over(inner: &Arc<dyn JobStore>) -> Arc<Self> {
        Arc::new(Self {
            inner: Arc::clone(inner),
            looks: AtomicU64::new(0),
            questions: AtomicU64::new(0),
        })
    }

    fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }
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
    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.inner.marks(ids).await
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

/// An instance over a queue that counts, and a worker that does not work.
fn counted() -> (Host, Arc<Counting>) {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let settings = settings(json!({ "design": "queued", "jobs": { "backlog": "off", "coalesce": false } }));
    let inner = Stores::memory(&settings);
    let counting = Counting::over(&inner.jobs);
    let stores = Stores {
        jobs: Arc::clone(&counting) as _,
        ..inner
    };
    (Host::with(&provider, settings, stores), counting)
}

async fn hand_in(host: &Host) -> String {
    let posted = Answer::read(host.send(http::Method::POST, "/jobs", &question().to_string()).await).await;
    posted.json()["id"].as_str().unwrap().to_owned()
}

/// Follows jobs, up to the first event of each.
async fn follow(host: &Host, ids: impl IntoIterator<Item = String>) -> Vec<axum::body::Body> {
    let paths: Vec<String> = ids.into_iter().map(|id| format!("/jobs/{id}/events")).collect();
    let followers = join_all(paths.iter().map(|path| host.send(http::Method::GET, path, ""))).await;
    let mut bodies: Vec<_> = followers.into_iter().map(axum::response::Response::into_body).collect();
    for body in &mut bodies {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(frame.starts_with(b"event: status"));
    }
    bodies
}

#[tokio::test(start_paused = true)]
async fn a_thousand_followers_cost_one_question_at_a_time_and_none_when_they_have_left() {
    let (host, counting) = counted();
    let id = hand_in(&host).await;
    let bodies = follow(&host, std::iter::repeat_n(id.clone(), 1000)).await;
    let opened = counting.looks();
    assert_eq!(opened, 1000, "each is looked up once, for its owner");
    pass(ms(10_050)).await;
    let questions = counting.questions();
    assert!((95..=101).contains(&questions), "{questions} in 10 s at 100 ms");
    assert_eq!(counting.looks() - opened, 1, "nothing has changed since the first look");
    drop(bodies);
    pass(secs(1)).await;
    let before = (counting.looks(), counting.questions());
    pass(secs(60)).await;
    assert_eq!((counting.looks(), counting.questions()), before);
    // Somebody new is served all the same.
    follow(&host, [id]).await;
}

#[tokio::test(start_paused = true)]
async fn the_followers_of_a_thousand_jobs_cost_as_much_as_those_of_one_and_read_only_what_changes() {
    let (host, counting) = counted();
    let mut ids = Vec::new();
    for _ in 0..1000 {
        ids.push(hand_in(&host).await);
    }
    let mut bodies = follow(&host, ids.clone()).await;
    pass(secs(1)).await;
    let (looks, questions) = (counting.looks(), counting.questions());
    let now_us = host.app.clock.now_unix_us();
    host.app
        .jobs
        .update(&ids[700], crate::queue::Event::Cancel, now_us)
        .await
        .unwrap();
    let frame = bodies[700].frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(frame.starts_with(b"event: error"), "{frame:?}");
    assert!(host.app.clock.now_unix_us() - now_us <= 100_000);
    pass(ms(10_050)).await;
    assert_eq!(counting.looks() - looks, 1);
    let questions = counting.questions() - questions;
    assert!((95..=102).contains(&questions), "{questions} in 10 s at 100 ms");
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
