use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::provider::{Fate, Provider, Reply};
use super::support::{Answer, Host, ms, question, secs, settings};
use crate::ports::{Stores, WorkerPorts};
use crate::server::worker;
use crate::settings::Settings;

/// A service, its stores, and workers that can be stopped and killed.
struct Plant {
    provider: Arc<Provider>,
    settings: Settings,
    stores: Stores,
    host: Host,
}

impl Plant {
    fn new(provider: Arc<Provider>, service: &Value) -> Self {
        let mut queued = json!({ "design": "queued" });
        queued
            .as_object_mut()
            .unwrap()
            .extend(service.as_object().unwrap().clone());
        let settings = settings(queued);
        let stores = Stores::memory(&settings);
        let host = Host::with(&provider, settings.clone(), stores.clone());
        Self {
            provider,
            settings,
            stores,
            host,
        }
    }

    fn worker(&self, name: &str) -> (JoinHandle<()>, CancellationToken) {
        let shutdown = CancellationToken::new();
        let ports = WorkerPorts {
            upstream: Arc::clone(&self.provider) as _,
            stores: self.stores.replica(),
            clock: self.host.app.clock,
            seed: 7,
            shutdown: shutdown.clone(),
            name: name.to_owned(),
        };
        let running = worker(self.settings.clone(), ports);
        (tokio::spawn(async move { running.await.unwrap() }), shutdown)
    }

    async fn submit(&self) -> String {
        let answer = Answer::read(self.host.post("/jobs").await).await;
        assert_eq!(answer.status, 202);
        let job = answer.json();
        let id = job["id"].as_str().unwrap().to_owned();
        assert_eq!(job, json!({ "id": id, "status": "queued" }));
        assert_eq!(answer.header("location"), format!("/jobs/{id}"));
        id
    }

    async fn job(&self, id: &str) -> Value {
        self.host.get(&format!("/jobs/{id}")).await.json()
    }

    async fn answers_counted(&self) -> u64 {
        let mut connection = self.stores.replica().database.acquire().await.unwrap();
        connection.session("anonymous/default").await.unwrap().answers
    }
}

async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[tokio::test(start_paused = true)]
async fn a_queued_job_is_answered_by_a_worker() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(1))), &json!({}));
    let id = plant.submit().await;
    assert_eq!(plant.job(&id).await["status"], "queued");
    let (_worker, _) = plant.worker("w1");
    pass(ms(500)).await;
    assert_eq!(plant.job(&id).await["status"], "running");
    pass(secs(1)).await;
    let expected = json!({
        "id": id, "status": "succeeded",
        "result": {
            "id": id, "content": "Hi there.", "finish_reason": "stop", "model": "m-1", "provider": "a",
            "usage": { "prompt_tokens": 3, "completion_tokens": 2 },
        },
    });
    assert_eq!(plant.job(&id).await, expected);
    assert_eq!(
        plant.host.get("/jobs/none").await.problem(),
        (404, "not-found".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_worker_is_killed_is_done_by_another_and_counts_once() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(5))), &json!({}));
    let (first, _) = plant.worker("w1");
    let id = plant.submit().await;
    pass(secs(2)).await;
    first.abort();
    let (_second, _) = plant.worker("w2");
    pass(secs(20)).await;
    assert_eq!(
        plant.job(&id).await["status"],
        "running",
        "the lease has not run out yet"
    );
    pass(secs(20)).await;
    assert_eq!(plant.job(&id).await["status"], "succeeded");
    let fates = plant.provider.fates();
    assert!(matches!(fates[..], [Fate::HungUp(_), Fate::Finished(_)]), "{fates:?}");
    assert_eq!(plant.answers_counted().await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_job_is_kept_by_heartbeats() {
    let service = json!({ "deadline": { "attempt": "off", "total": "off" } });
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(100))), &service);
    let (_one, _) = plant.worker("w1");
    let (_two, _) = plant.worker("w2");
    let id = plant.submit().await;
    pass(secs(102)).await;
    assert_eq!(
        (plant.job(&id).await["status"].as_str(), plant.provider.seen().len()),
        (Some("succeeded"), 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_in_good_order_gives_back_what_it_cannot_finish() {
    let service = json!({ "shutdown_grace": "3s" });
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(20))), &service);
    let (first, shutdown) = plant.worker("w1");
    let id = plant.submit().await;
    pass(secs(1)).await;
    shutdown.cancel();
    first.await.unwrap();
    assert_eq!(plant.host.elapsed_ms(), 4000);
    assert_eq!(plant.job(&id).await["status"], "queued");
    let (_second, _) = plant.worker("w2");
    pass(ms(200)).await;
    assert_eq!(
        plant.job(&id).await["status"],
        "running",
        "nobody waits for the old lease"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_ends_in_good_order_finishes_what_it_can() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(3))), &json!({}));
    let (first, shutdown) = plant.worker("w1");
    let id = plant.submit().await;
    pass(secs(1)).await;
    shutdown.cancel();
    let late = plant.submit().await;
    first.await.unwrap();
    assert_eq!(plant.job(&id).await["status"], "succeeded");
    assert_eq!(plant.job(&late).await["status"], "queued", "nothing new is begun");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_passes_is_run_again_and_one_that_lasts_ends_dead_or_failed() {
    let service = || json!({ "fallback": false, "retry": { "max_attempts": 1 } });
    for (reply, status, attempts, kind) in [
        (Reply::Status(503, None), "dead", 3, "upstream-failed"),
        (Reply::Status(400, None), "failed", 1, "upstream-refused"),
    ] {
        let plant = Plant::new(Provider::new(move |_, _| reply.clone()), &service());
        let (_worker, _) = plant.worker("w1");
        let id = plant.submit().await;
        pass(secs(60)).await;
        let job = plant.job(&id).await;
        assert_eq!(
            (job["status"].as_str(), plant.provider.seen().len()),
            (Some(status), attempts)
        );
        assert_eq!(job["error"]["type"], format!("urn:brownout-service:problem:{kind}"));
    }
    let flaky = Provider::new(|n, _| {
        if n == 0 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(10))
        }
    });
    let plant = Plant::new(flaky, &service());
    let (_worker, _) = plant.worker("w1");
    let id = plant.submit().await;
    pass(secs(60)).await;
    assert_eq!(plant.job(&id).await["status"], "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_at_the_next_heartbeat_and_a_finished_one_cannot_be_cancelled() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(25))), &json!({}));
    let (_worker, _) = plant.worker("w1");
    let id = plant.submit().await;
    pass(secs(2)).await;
    let path = format!("/jobs/{id}");
    let cancel = async || plant.host.send(Method::DELETE, &path, "").await.status().as_u16();
    assert_eq!(cancel().await, 204);
    assert_eq!(
        plant.job(&id).await["error"]["type"],
        "urn:brownout-service:problem:job-cancelled"
    );
    pass(secs(60)).await;
    let fates = plant.provider.fates();
    assert!(matches!(fates[..], [Fate::HungUp(at)] if at <= secs(11)), "{fates:?}");
    let done = plant.submit().await;
    pass(secs(30)).await;
    let answer = Answer::read(plant.host.send(Method::DELETE, &format!("/jobs/{done}"), "").await).await;
    assert_eq!(answer.problem(), (409, "job-finished".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn background_jobs_run_in_the_instance_within_its_bound_and_are_unknown_elsewhere() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let service = || json!({ "design": "background", "jobs": { "concurrency": 2 } });
    let host = Host::new(&provider, service());
    let mut ids = Vec::new();
    for _ in 0..4 {
        let answer = Answer::read(host.send(Method::POST, "/jobs", &question().to_string()).await).await;
        ids.push(answer.json()["id"].as_str().unwrap().to_owned());
    }
    pass(ms(1500)).await;
    let mut statuses = Vec::new();
    for id in &ids {
        statuses.push(host.get(&format!("/jobs/{id}")).await.json()["status"].clone());
    }
    assert_eq!(statuses, ["succeeded", "succeeded", "running", "running"]);
    assert_eq!(provider.most_at_once(), 2);
    let restarted = Host::new(&provider, service());
    assert_eq!(restarted.get(&format!("/jobs/{}", ids[0])).await.status, 404);
}
