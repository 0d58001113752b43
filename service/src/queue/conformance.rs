//! What every queue must do, whatever it is kept in.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::lease::{Event, Job, Lease, LeasePolicy, Refused, State};
use super::{JobStore, MemoryJobs, QueueError, SqliteJobs};

const POLICY: LeasePolicy = LeasePolicy {
    lease: Duration::from_secs(30),
    max_attempts: 2,
    expiry: Duration::from_hours(1),
};
const SECOND: u64 = 1_000_000;

/// Runs `law` over every store.
async fn over_all<F: Future<Output = ()>>(law: impl Fn(Arc<dyn JobStore>) -> F) {
    law(Arc::new(MemoryJobs::new(POLICY))).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.sqlite");
    law(Arc::new(SqliteJobs::open(&path, POLICY).await.unwrap())).await;
}

fn job(id: &str, at_us: u64) -> Job {
    Job {
        id: id.into(),
        tenant: "tenant".into(),
        idempotency_key: None,
        fingerprint: None,
        webhook: None,
        payload: r#"{"messages":[]}"#.into(),
        request_id: "r".into(),
        traceparent: Some("t".into()),
        enqueued_us: at_us,
        attempts: 0,
        state: State::Queued { due_us: at_us },
    }
}

fn lease(worker: &str, attempt: u32) -> Lease {
    Lease {
        worker: worker.into(),
        attempt,
    }
}

#[tokio::test]
async fn jobs_are_claimed_in_order_and_each_by_one_worker() {
    over_all(async |store| {
        for (id, at) in [("b", 1), ("a", 1), ("c", 0)] {
            store.enqueue(job(id, at)).await.unwrap();
        }
        let mut claimed = Vec::new();
        while let Some(job) = store.claim("w", SECOND).await.unwrap() {
            claimed.push(job.id);
        }
        assert_eq!(claimed, ["c", "b", "a"]);
    })
    .await;
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_written() {
    over_all(async |store| {
        store.enqueue(job("a", 5)).await.unwrap();
        assert_eq!(store.get("a").await.unwrap(), Some(job("a", 5)));
        assert_eq!(store.get("b").await.unwrap(), None);
        assert!(matches!(store.enqueue(job("a", 6)).await, Err(QueueError::Exists)));
        assert!(matches!(
            store.update("b", Event::Cancel, 0).await,
            Err(QueueError::Unknown)
        ));
        store.ping().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_dead_workers_job_goes_to_another_and_its_late_result_is_refused() {
    over_all(async |store| {
        store.enqueue(job("a", 0)).await.unwrap();
        assert!(store.claim("first", 0).await.unwrap().is_some());
        assert!(store.claim("second", 29 * SECOND).await.unwrap().is_none());
        let taken = store.claim("second", 30 * SECOND).await.unwrap().unwrap();
        assert_eq!(taken.attempts, 2);
        let complete = |lease, result: &str| Event::Complete {
            lease,
            result: result.into(),
        };
        let late = store
            .update("a", complete(lease("first", 1), "late"), 31 * SECOND)
            .await;
        assert!(matches!(late, Err(QueueError::Refused(Refused::Stale))));
        let done = store
            .update("a", complete(lease("second", 2), "good"), 31 * SECOND)
            .await
            .unwrap();
        assert_eq!(
            done.state,
            State::Succeeded {
                result: "good".into(),
                at_us: 31 * SECOND
            }
        );
        assert_eq!(store.get("a").await.unwrap(), Some(done));
    })
    .await;
}

#[tokio::test]
async fn a_heartbeat_keeps_the_lease() {
    over_all(async |store| {
        store.enqueue(job("a", 0)).await.unwrap();
        store.claim("w", 0).await.unwrap();
        let beat = Event::Heartbeat { lease: lease("w", 1) };
        store.update("a", beat, 20 * SECOND).await.unwrap();
        assert!(store.claim("thief", 49 * SECOND).await.unwrap().is_none());
        assert!(store.claim("thief", 50 * SECOND).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn a_failed_job_waits_its_time_and_a_poisoned_one_is_buried_on_the_way_to_the_next() {
    over_all(async |store| {
        store.enqueue(job("poison", 0)).await.unwrap();
        for attempt in 1..=2_u32 {
            let now = u64::from(attempt) * 100 * SECOND;
            assert!(store.claim("w", now).await.unwrap().is_some());
            if attempt == 1 {
                let fail = Event::Fail {
                    lease: lease("w", 1),
                    error: "no".into(),
                    retry_after: Some(Duration::from_secs(5)),
                };
                store.update("poison", fail, now).await.unwrap();
                assert!(store.claim("w", now + 4 * SECOND).await.unwrap().is_none());
            }
        }
        // The second attempt's worker died: the lease runs out with no attempt left.
        store.enqueue(job("good", 250 * SECOND)).await.unwrap();
        let next = store.claim("w", 300 * SECOND).await.unwrap().unwrap();
        assert_eq!(next.id, "good");
        let next = store.claim("w", 300 * SECOND).await.unwrap();
        assert_eq!(next, None);
        let poison = store.get("poison").await.unwrap().unwrap();
        assert!(matches!(poison.state, State::Dead { .. }), "{poison:?}");
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_job_is_not_claimed_and_its_worker_learns_of_it() {
    over_all(async |store| {
        for id in ["waiting", "running"] {
            store.enqueue(job(id, 0)).await.unwrap();
        }
        store.update("waiting", Event::Cancel, 1).await.unwrap();
        let running = store.claim("w", 2).await.unwrap().unwrap();
        assert_eq!(running.id, "running");
        store.update("running", Event::Cancel, 3).await.unwrap();
        let beat = store
            .update("running", Event::Heartbeat { lease: lease("w", 1) }, 4)
            .await;
        assert!(matches!(beat, Err(QueueError::Refused(Refused::Cancelled))));
        assert_eq!(store.claim("w", 100 * SECOND).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn outcomes_are_forgotten_after_their_time_and_open_jobs_never() {
    over_all(async |store| {
        store.enqueue(job("open", 0)).await.unwrap();
        store.enqueue(job("done", 0)).await.unwrap();
        store.update("done", Event::Cancel, SECOND).await.unwrap();
        assert_eq!(store.purge(3601 * SECOND).await.unwrap(), 0);
        assert_eq!(store.purge(3601 * SECOND + 1).await.unwrap(), 1);
        assert!(store.get("open").await.unwrap().is_some());
        assert_eq!(store.get("done").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn two_processes_on_one_file_see_one_queue() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.sqlite");
    let first = SqliteJobs::open(&path, POLICY).await.unwrap();
    let second = SqliteJobs::open(&path, POLICY).await.unwrap();
    for n in 0..20 {
        first.enqueue(job(&format!("{n}"), 0)).await.unwrap();
    }
    let claim_all = async |store: &SqliteJobs, worker: &str| {
        let mut claimed = 0;
        while store.claim(worker, SECOND).await.unwrap().is_some() {
            claimed += 1;
        }
        claimed
    };
    let (a, b) = tokio::join!(claim_all(&first, "a"), claim_all(&second, "b"));
    assert_eq!(a + b, 20);
}
