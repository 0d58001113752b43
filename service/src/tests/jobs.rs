use http::Method;
use serde_json::json;

use super::plant::{Plant, pass};
use super::provider::{Fate, Provider, Reply};
use super::support::{Answer, Host, ms, question, secs};

#[tokio::test(start_paused = true)]
async fn a_queued_job_is_answered_by_a_worker() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(1))), &json!({}));
    let id = plant.submit().await;
    assert_eq!(plant.job(&id).await["status"], "queued");
    let (_worker, _) = plant.worker("w1");
    pass(ms(500)).await;
    assert_eq!(plant.job(&id).await["status"], "running");
    pass(secs(1)).await;
    let created_ms = 1_767_225_600_000_u64;
    let expected = json!({
        "id": id, "status": "succeeded", "attempts": 1, "created_ms": created_ms, "finished_ms": created_ms + 1_000,
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
async fn a_cancelled_job_stops_when_its_worker_looks_and_a_finished_one_cannot_be_cancelled() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(25))), &json!({}));
    let (_worker, _) = plant.worker("w1");
    let id = plant.submit().await;
    pass(ms(2050)).await;
    for _ in 0..2 {
        assert_eq!(plant.cancel(&id).await, 204, "saying it twice changes nothing");
    }
    let job = plant.job(&id).await;
    assert_eq!(job["status"], "cancelled");
    assert_eq!(job["error"]["type"], "urn:brownout-service:problem:job-cancelled");
    pass(secs(60)).await;
    let fates = plant.provider.fates();
    assert!(matches!(fates[..], [Fate::HungUp(at)] if at <= ms(2150)), "{fates:?}");
    let done = plant.submit().await;
    pass(secs(30)).await;
    let answer = Answer::read(plant.host.send(Method::DELETE, &format!("/jobs/{done}"), "").await).await;
    assert_eq!(answer.problem(), (409, "job-finished".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_runs_in_the_same_process_stops_the_moment_it_is_cancelled() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(25)));
    let host = Host::new(&provider, json!({ "design": "background" }));
    let id = Answer::read(host.post("/jobs").await).await.json()["id"].clone();
    pass(ms(2050)).await;
    let path = format!("/jobs/{}", id.as_str().unwrap());
    assert_eq!(host.send(Method::DELETE, &path, "").await.status(), 204);
    tokio::task::yield_now().await;
    assert_eq!(provider.fates(), [Fate::HungUp(ms(2050))]);
    assert_eq!(host.app.metrics.jobs_running.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_kills_its_workers_is_dead_in_the_end_and_says_why() {
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(25))), &json!({}));
    let id = plant.submit().await;
    for n in 1..=3 {
        let (worker, _) = plant.worker(&format!("w{n}"));
        pass(secs(1)).await;
        assert_eq!(plant.job(&id).await["attempts"], n);
        worker.abort();
        pass(secs(30)).await;
    }
    let (_last, _) = plant.worker("last");
    pass(secs(1)).await;
    let job = plant.job(&id).await;
    assert_eq!(
        (job["status"].as_str(), job["attempts"].as_u64()),
        (Some("dead"), Some(3))
    );
    assert_eq!(job["error"]["type"], "urn:brownout-service:problem:job-abandoned");
    assert_eq!(plant.provider.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn deployments_do_not_count_against_a_long_job() {
    let service = json!({ "shutdown_grace": "0s", "jobs": { "max_attempts": 2 } });
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(10))), &service);
    let id = plant.submit().await;
    for n in 0..5 {
        let (worker, shutdown) = plant.worker(&format!("w{n}"));
        pass(secs(5)).await;
        shutdown.cancel();
        worker.await.unwrap();
        assert_eq!(plant.job(&id).await["status"], "queued");
    }
    let (_last, _) = plant.worker("last");
    pass(secs(11)).await;
    let job = plant.job(&id).await;
    assert_eq!(
        (job["status"].as_str(), job["attempts"].as_u64()),
        (Some("succeeded"), Some(6))
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_waits_longer_each_time_and_says_until_when() {
    let service = json!({
        "fallback": false, "retry": { "max_attempts": 1 },
        "jobs": { "max_attempts": 4, "retry_base": "10s", "retry_cap": "1000s" },
    });
    let plant = Plant::new(Provider::new(|_, _| Reply::Status(503, Some("7"))), &service);
    let (_worker, _) = plant.worker("w1");
    let id = plant.submit().await;
    pass(ms(150)).await;
    let answer = plant.host.get(&format!("/jobs/{id}")).await;
    let job = answer.json();
    assert_eq!(
        (job["status"].as_str(), job["attempts"].as_u64()),
        (Some("queued"), Some(1))
    );
    let wait_ms = job["due_ms"].as_u64().unwrap() - plant.host.app.clock.now_unix_us() / 1_000;
    assert_eq!(answer.header("retry-after"), wait_ms.div_ceil(1_000).max(1).to_string());
    pass(secs(100)).await;
    let times = plant.provider.times();
    let pauses: Vec<u128> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        pauses
            .iter()
            .zip([10_000, 20_000, 40_000])
            .all(|(pause, most)| *pause <= most + 100),
        "{pauses:?}"
    );
    let answer = plant.host.get(&format!("/jobs/{id}")).await;
    assert_eq!(
        (answer.json()["status"].as_str(), answer.header("retry-after")),
        (Some("dead"), "")
    );
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_begins_in_time_is_dead_and_outcomes_are_forgotten_after_their_time() {
    let service = json!({ "jobs": { "expiry": "60s" } });
    let plant = Plant::new(Provider::new(|_, _| Reply::Whole(secs(1))), &service);
    let id = plant.submit().await;
    pass(ms(60_001)).await;
    let (_worker, _) = plant.worker("w1");
    pass(secs(1)).await;
    let job = plant.job(&id).await;
    assert_eq!(job["status"], "dead");
    assert_eq!(job["error"]["type"], "urn:brownout-service:problem:job-expired");
    assert_eq!(plant.provider.seen().len(), 0, "nobody pays for it");
    let done = plant.submit().await;
    pass(secs(50)).await;
    assert_eq!(plant.job(&done).await["status"], "succeeded");
    pass(secs(120)).await;
    for gone in [id, done] {
        let answer = plant.host.get(&format!("/jobs/{gone}")).await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn background_jobs_run_in_the_instance_within_its_bound_and_are_unknown_elsewhere() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let service = || json!({ "design": "background", "jobs": { "concurrency": 2 } });
    let host = Host::new(&provider, service());
    let mut ids = Vec::new();
    for n in 0..4 {
        let mut question = question();
        question["session_id"] = json!(format!("s{n}"));
        let answer = Answer::read(host.send(Method::POST, "/jobs", &question.to_string()).await).await;
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
