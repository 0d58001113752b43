//! What every queue must do, whatever it is kept in.
//!
//! Each law gets a queue of its own, in the hands of two processes. What needs a server starts one and stops it again.

mod crowded;
mod unreadable;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use secrecy::SecretString;

use super::lease::{Event, Job, Lease, LeasePolicy, Refused, State};
use super::{
    Bounded, Delivery, Depth, Enqueued, JobStore, Mark, MemoryJobs, PostgresJobs, QueueError, RedisJobs, SqliteJobs,
};
use crate::servers::Server;

const POLICY: LeasePolicy = LeasePolicy {
    lease: Duration::from_secs(30),
    max_attempts: 2,
    max_deliveries: 2,
    expiry: Duration::from_hours(1),
};
const SECOND: u64 = 1_000_000;
/// Room in the queues under test.
const ROOM: usize = 40;

/// One queue in the hands of two processes.
struct Pair(Arc<dyn JobStore>, Arc<dyn JobStore>);

/// Checks all laws on queues that `fresh` makes, each under a name of its own.
async fn keeps_the_laws(fresh: impl AsyncFn(&str) -> Pair) {
    macro_rules! laws {
        ($($law:ident),* $(,)?) => {
            $(
                println!("{}", stringify!($law));
                // Names of schemas are short.
                $law(fresh(&stringify!($law)[..stringify!($law).len().min(48)]).await).await;
            )*
        };
    }
    laws!(
        jobs_are_claimed_in_order_and_each_by_one_worker,
        a_record_comes_back_as_it_was_written,
        a_dead_workers_job_goes_to_another_and_its_late_result_is_refused,
        a_heartbeat_keeps_the_lease,
        a_failed_job_waits_its_time_and_a_poisoned_one_is_buried_on_the_way_to_the_next,
        a_cancelled_job_is_not_claimed_and_its_worker_learns_of_it,
        outcomes_are_forgotten_after_their_time_and_open_jobs_never,
        equal_keys_of_a_tenant_are_one_job_also_when_they_come_at_once,
        unfinished_equal_work_is_done_once_and_finished_work_again,
        a_full_queue_says_so_and_still_knows_whom_it_has,
        depth_tells_who_waits_who_runs_and_for_how_long,
        each_tenant_has_its_own_count_of_jobs_that_wait,
        a_job_has_another_mark_after_each_change,
        an_outcome_to_tell_is_claimed_like_a_job_until_it_is_told,
        two_processes_see_one_queue_and_share_its_jobs_out,
        many_who_change_one_job_change_it_one_at_a_time,
        times_keys_and_texts_of_any_kind_come_back,
        a_step_that_is_dropped_half_way_harms_nobody,
    );
}

#[tokio::test]
async fn memory_keeps_the_laws() {
    keeps_the_laws(async |_| {
        let store = Arc::new(MemoryJobs::new(POLICY).with_capacity(ROOM));
        Pair(Arc::clone(&store) as _, store)
    })
    .await;
}

#[tokio::test]
async fn sqlite_keeps_the_laws() {
    let folder = tempfile::tempdir().unwrap();
    keeps_the_laws(async |name| {
        let path = folder.path().join(name);
        let open = async || {
            let store = SqliteJobs::open(&path, POLICY).await.unwrap();
            Arc::new(Bounded(store.with_capacity(ROOM)))
        };
        // Both at once: processes that start together take turns with the migrations.
        let (one, other) = tokio::join!(open(), open());
        Pair(one, other)
    })
    .await;
    let store = SqliteJobs::open(&folder.path().join("crowded"), POLICY).await.unwrap();
    crowded::questions_are_answered_while_changes_wait(&store).await;
    unreadable::are_put_aside(async |name| {
        let store = SqliteJobs::open(&folder.path().join(name), POLICY).await.unwrap();
        Arc::new(Bounded(store))
    })
    .await;
}

#[tokio::test]
async fn postgres_keeps_the_laws_and_its_end_is_an_error() {
    let Some(server) = Server::postgres() else { return };
    let url = SecretString::from(server.postgres_url("brownout", "postgres"));
    let open = async |name: &str| {
        let store = PostgresJobs::open(&url, Some(name), POLICY).await.unwrap();
        Arc::new(Bounded(store.with_capacity(ROOM)))
    };
    keeps_the_laws(async |name| {
        let (one, other) = tokio::join!(open(name), open(name));
        Pair(one, other)
    })
    .await;
    unreadable::are_put_aside(open).await;
    crowded::questions_are_answered_while_changes_wait(&open("crowded").await.0).await;
    let store = open("end").await;
    drop(server);
    everything_fails(store.as_ref()).await;
}

#[tokio::test]
async fn redis_keeps_the_laws_and_its_end_is_an_error() {
    let Some(server) = Server::redis() else { return };
    let url = SecretString::from(server.redis_url());
    let open = async |name: &str| {
        let store = RedisJobs::open(&url, Some(name), POLICY).await.unwrap();
        Arc::new(Bounded(store.with_capacity(ROOM)))
    };
    keeps_the_laws(async |name| Pair(open(name).await, open(name).await)).await;
    unreadable::are_put_aside(open).await;
    let store = open("end").await;
    drop(server);
    everything_fails(store.as_ref()).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_an_error_after_ten_seconds() {
    struct Silent;
    #[async_trait::async_trait]
    impl JobStore for Silent {
        async fn enqueue(&self, _: Job) -> Result<Enqueued, QueueError> {
            std::future::pending().await
        }
        async fn get(&self, _: &str) -> Result<Option<Job>, QueueError> {
            std::future::pending().await
        }
        async fn marks(&self, _: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
            std::future::pending().await
        }
        async fn claim(&self, _: &str, _: u64) -> Result<Option<Job>, QueueError> {
            std::future::pending().await
        }
        async fn update(&self, _: &str, _: Event, _: u64) -> Result<Job, QueueError> {
            std::future::pending().await
        }
        async fn purge(&self, _: u64) -> Result<u64, QueueError> {
            std::future::pending().await
        }
        async fn depth(&self, _: u64) -> Result<Depth, QueueError> {
            std::future::pending().await
        }
        async fn waiting(&self, _: &str) -> Result<u64, QueueError> {
            std::future::pending().await
        }
        async fn ping(&self) -> Result<(), QueueError> {
            std::future::pending().await
        }
    }
    let began = tokio::time::Instant::now();
    everything_fails(&Bounded(Silent)).await;
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

/// Each step of a store that is gone is an error, and soon.
async fn everything_fails(store: &dyn JobStore) {
    let marked = ["z".to_owned()];
    let steps = async {
        tokio::join!(
            store.enqueue(job("z", 0)),
            store.get("z"),
            store.marks(&marked),
            store.claim("w", SECOND),
            store.update("z", Event::Cancel, SECOND),
            store.purge(SECOND),
            store.depth(SECOND),
            store.waiting("tenant"),
            store.ping(),
        )
    };
    let (enqueue, get, marks, claim, update, purge, depth, waiting, ping) =
        tokio::time::timeout(Duration::from_secs(15), steps).await.unwrap();
    let failed = [
        enqueue.is_err(),
        get.is_err(),
        marks.is_err(),
        claim.is_err(),
        matches!(update, Err(QueueError::Failed(_) | QueueError::Late)),
        purge.is_err(),
        depth.is_err(),
        waiting.is_err(),
        ping.is_err(),
    ];
    assert_eq!(failed, [true; 9]);
}

fn job(id: &str, at_us: u64) -> Job {
    Job {
        id: id.into(),
        tenant: "tenant".into(),
        caller: "key".into(),
        idempotency_key: None,
        fingerprint: None,
        webhook: None,
        payload: r#"{"messages":[]}"#.into(),
        request_id: "r".into(),
        traceparent: Some("t".into()),
        enqueued_us: at_us,
        attempts: 0,
        released: 0,
        delivery: Delivery::None,
        state: State::Queued { due_us: at_us },
    }
}

fn lease(worker: &str, attempt: u32) -> Lease {
    Lease {
        worker: worker.into(),
        attempt,
    }
}

async fn jobs_are_claimed_in_order_and_each_by_one_worker(Pair(store, _): Pair) {
    for (id, at) in [("b", 1), ("a", 1), ("c", 0)] {
        store.enqueue(job(id, at)).await.unwrap();
    }
    let mut claimed = Vec::new();
    while let Some(job) = store.claim("w", SECOND).await.unwrap() {
        claimed.push(job.id);
    }
    assert_eq!(claimed, ["c", "b", "a"]);
}

async fn a_record_comes_back_as_it_was_written(Pair(store, _): Pair) {
    store.enqueue(job("a", 5)).await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), Some(job("a", 5)));
    assert_eq!(store.get("b").await.unwrap(), None);
    assert!(matches!(store.enqueue(job("a", 6)).await, Err(QueueError::Exists)));
    assert!(matches!(
        store.update("b", Event::Cancel, 0).await,
        Err(QueueError::Unknown)
    ));
    store.ping().await.unwrap();
}

async fn a_dead_workers_job_goes_to_another_and_its_late_result_is_refused(Pair(store, _): Pair) {
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
}

async fn a_heartbeat_keeps_the_lease(Pair(store, _): Pair) {
    store.enqueue(job("a", 0)).await.unwrap();
    store.claim("w", 0).await.unwrap();
    let beat = Event::Heartbeat { lease: lease("w", 1) };
    store.update("a", beat, 20 * SECOND).await.unwrap();
    assert!(store.claim("thief", 49 * SECOND).await.unwrap().is_none());
    assert!(store.claim("thief", 50 * SECOND).await.unwrap().is_some());
}

async fn a_failed_job_waits_its_time_and_a_poisoned_one_is_buried_on_the_way_to_the_next(Pair(store, _): Pair) {
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
}

async fn a_cancelled_job_is_not_claimed_and_its_worker_learns_of_it(Pair(store, _): Pair) {
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
}

async fn outcomes_are_forgotten_after_their_time_and_open_jobs_never(Pair(store, _): Pair) {
    store.enqueue(job("open", 0)).await.unwrap();
    store.enqueue(job("done", 0)).await.unwrap();
    store.update("done", Event::Cancel, SECOND).await.unwrap();
    assert_eq!(store.purge(3601 * SECOND).await.unwrap(), 0);
    assert_eq!(store.purge(3601 * SECOND + 1).await.unwrap(), 1);
    assert!(store.get("open").await.unwrap().is_some());
    assert_eq!(store.get("done").await.unwrap(), None);
}

fn named(id: &str, tenant: &str, key: &str) -> Job {
    Job {
        tenant: tenant.into(),
        idempotency_key: Some(key.into()),
        ..job(id, 0)
    }
}

fn asking(id: &str, tenant: &str, what: &str) -> Job {
    Job {
        tenant: tenant.into(),
        fingerprint: Some(what.into()),
        ..job(id, 0)
    }
}

fn existing(enqueued: Enqueued) -> Option<String> {
    match enqueued {
        Enqueued::New => None,
        Enqueued::Existing(job) => Some(job.id),
    }
}

async fn equal_keys_of_a_tenant_are_one_job_also_when_they_come_at_once(Pair(store, other): Pair) {
    let jobs: Vec<_> = (0..8).map(|n| named(&format!("{n}"), "t", "order 7")).collect();
    let all = jobs.into_iter().enumerate().map(|(n, job)| {
        let store = if n % 2 == 0 { &store } else { &other };
        store.enqueue(job)
    });
    let outcomes: Vec<_> = join_all(all).await.into_iter().map(|o| existing(o.unwrap())).collect();
    let taken = outcomes.iter().position(Option::is_none).unwrap().to_string();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 1);
    assert!(outcomes.iter().flatten().all(|id| *id == taken), "{outcomes:?}");
    assert_eq!(store.depth(0).await.unwrap().queued, 1);
    // Another tenant's key is another key, and an outcome still stands for its job.
    assert_eq!(existing(store.enqueue(named("u", "u", "order 7")).await.unwrap()), None);
    store.update(&taken, Event::Cancel, SECOND).await.unwrap();
    let again = store.enqueue(named("late", "t", "order 7")).await.unwrap();
    assert!(matches!(again, Enqueued::Existing(job) if matches!(job.state, State::Cancelled { .. })));
    // Until it is forgotten.
    assert_eq!(store.purge(4000 * SECOND).await.unwrap(), 1);
    assert_eq!(
        existing(store.enqueue(named("new", "t", "order 7")).await.unwrap()),
        None
    );
}

async fn unfinished_equal_work_is_done_once_and_finished_work_again(Pair(store, other): Pair) {
    let jobs: Vec<_> = (0..8).map(|n| asking(&format!("{n}"), "t", "digest")).collect();
    let all = jobs.into_iter().enumerate().map(|(n, job)| {
        let store = if n % 2 == 0 { &store } else { &other };
        store.enqueue(job)
    });
    let outcomes: Vec<_> = join_all(all).await.into_iter().map(|o| existing(o.unwrap())).collect();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 1);
    assert_eq!(existing(store.enqueue(asking("u", "u", "digest")).await.unwrap()), None);
    let running = store.claim("w", 0).await.unwrap().unwrap();
    let while_it_runs = store.enqueue(asking("8", "t", "digest")).await.unwrap();
    assert_eq!(existing(while_it_runs), Some(running.id.clone()));
    store.update(&running.id, Event::Cancel, SECOND).await.unwrap();
    assert_eq!(existing(store.enqueue(asking("9", "t", "digest")).await.unwrap()), None);
    // The new one stands for others, whatever happens to the old one.
    let next = store.enqueue(asking("10", "t", "digest")).await.unwrap();
    assert_eq!(existing(next), Some("9".to_owned()));
    assert_eq!(store.purge(4000 * SECOND).await.unwrap(), 1);
    let next = store.enqueue(asking("11", "t", "digest")).await.unwrap();
    assert_eq!(existing(next), Some("9".to_owned()));
}

async fn a_full_queue_says_so_and_still_knows_whom_it_has(Pair(store, _): Pair) {
    for n in 0..ROOM {
        store
            .enqueue(named(&format!("{n}"), "t", &format!("{n}")))
            .await
            .unwrap();
    }
    assert!(matches!(store.enqueue(job("more", 0)).await, Err(QueueError::Full)));
    assert_eq!(
        existing(store.enqueue(named("x", "t", "3")).await.unwrap()),
        Some("3".to_owned())
    );
    store.update("3", Event::Cancel, 1).await.unwrap();
    assert_eq!(store.enqueue(job("more", 0)).await.unwrap(), Enqueued::New);
}

async fn depth_tells_who_waits_who_runs_and_for_how_long(Pair(store, _): Pair) {
    assert_eq!(store.depth(SECOND).await.unwrap(), Depth::default());
    for (id, at) in [("a", 1), ("b", 2), ("c", 3), ("later", 90)] {
        store.enqueue(job(id, at * SECOND)).await.unwrap();
    }
    store.claim("w", 5 * SECOND).await.unwrap().unwrap();
    store.update("c", Event::Cancel, 5 * SECOND).await.unwrap();
    let depth = store.depth(7 * SECOND).await.unwrap();
    assert_eq!((depth.queued, depth.running, depth.oldest_us), (2, 1, 5 * SECOND));
    store.update("b", Event::Cancel, 5 * SECOND).await.unwrap();
    assert_eq!(
        store.depth(7 * SECOND).await.unwrap().oldest_us,
        0,
        "who is not due yet has not waited"
    );
}

async fn each_tenant_has_its_own_count_of_jobs_that_wait(Pair(store, other): Pair) {
    for (id, tenant) in [("1", "a"), ("2", "a"), ("3", "b"), ("4", "a")] {
        let job = Job {
            webhook: Some("https://hooks.example/".into()),
            ..named(id, tenant, id)
        };
        store.enqueue(job).await.unwrap();
    }
    let waiting = async || {
        let counts = ["a", "b", "c"].map(|tenant| other.waiting(tenant));
        join_all(counts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, [3, 1, 0]);
    // Whoever runs does not wait.
    assert_eq!(store.claim("w", 0).await.unwrap().unwrap().id, "1");
    assert_eq!(waiting().await, [2, 1, 0]);
    // Whoever is to be run again does.
    let failed = Event::Fail {
        lease: lease("w", 1),
        error: "no".into(),
        retry_after: Some(Duration::from_mins(1)),
    };
    store.update("1", failed, SECOND).await.unwrap();
    assert_eq!(waiting().await, [3, 1, 0]);
    // Whoever only waits to be told of does not.
    for id in ["2", "3"] {
        store.update(id, Event::Cancel, SECOND).await.unwrap();
    }
    assert_eq!(waiting().await, [2, 0, 0]);
    assert_eq!(store.purge(9_000 * SECOND).await.unwrap(), 2);
    assert_eq!(waiting().await, [2, 0, 0]);
}

async fn a_job_has_another_mark_after_each_change(Pair(store, other): Pair) {
    // More than one question is about.
    let mut ids: Vec<String> = (0..2_500).map(|n| format!("nobody-{n}")).collect();
    ids.extend(["a", "it's \"b\""].map(str::to_owned));
    for id in &ids[2_500..] {
        store.enqueue(job(id, 0)).await.unwrap();
    }
    let marks = async || other.marks(&ids).await.unwrap();
    let mut seen = vec![marks().await];
    assert_eq!(seen[0].len(), 2, "those that there are not are left out");
    let failed = Event::Fail {
        lease: lease("w", 1),
        error: "no".into(),
        retry_after: Some(Duration::ZERO),
    };
    store.update("it's \"b\"", Event::Cancel, 1).await.unwrap();
    store.claim("w", 2).await.unwrap().unwrap();
    let events = [
        (3, Event::Heartbeat { lease: lease("w", 1) }),
        (4, failed),
        (5, Event::Claim { worker: "w".into() }),
        (6, Event::Cancel),
    ];
    for (at, event) in events {
        seen.push(marks().await);
        store.update("a", event, at * SECOND).await.unwrap();
    }
    seen.push(marks().await);
    for (n, before) in seen.iter().enumerate() {
        assert!(
            seen[n + 1..].iter().all(|after| after["a"] != before["a"]),
            "{n}: {seen:?}"
        );
    }
    assert_eq!(marks().await, *seen.last().unwrap(), "no change, no other mark");
    assert!(store.marks(&[]).await.unwrap().is_empty());
    store.purge(9_000 * SECOND).await.unwrap();
    assert!(marks().await.is_empty());
}

async fn an_outcome_to_tell_is_claimed_like_a_job_until_it_is_told(Pair(store, other): Pair) {
    let announced = Job {
        webhook: Some("https://hooks.example/".into()),
        fingerprint: Some("digest".into()),
        ..job("a", 0)
    };
    store.enqueue(announced.clone()).await.unwrap();
    store.update("a", Event::Cancel, SECOND).await.unwrap();
    assert_eq!(store.depth(SECOND).await.unwrap().queued, 0, "it takes nobody's place");
    let lent = store.claim("w", SECOND).await.unwrap().unwrap();
    assert_eq!((lent.is_lent(), lent.attempts, lent.delivery.attempts()), (true, 0, 1));
    assert_eq!(other.claim("thief", 2 * SECOND).await.unwrap(), None);
    let failed = Event::Undelivered {
        lease: lease("w", 1),
        retry_after: Some(Duration::from_secs(5)),
    };
    store.update("a", failed, 2 * SECOND).await.unwrap();
    assert_eq!(store.claim("w", 6 * SECOND).await.unwrap(), None);
    assert!(other.claim("w", 7 * SECOND).await.unwrap().is_some());
    // Its outcome stands, so equal work is new work although this one is not told yet.
    let again = Job {
        id: "b".into(),
        enqueued_us: 900 * SECOND,
        state: State::Queued { due_us: 900 * SECOND },
        ..announced
    };
    assert_eq!(existing(store.enqueue(again).await.unwrap()), None);
    let told = Event::Delivered { lease: lease("w", 2) };
    let told = store.update("a", told, 8 * SECOND).await.unwrap();
    assert_eq!(other.get("a").await.unwrap(), Some(told));
    assert_eq!(store.claim("w", 100 * SECOND).await.unwrap(), None);
}

async fn two_processes_see_one_queue_and_share_its_jobs_out(Pair(first, second): Pair) {
    for n in 0..20 {
        first.enqueue(job(&format!("{n}"), 0)).await.unwrap();
    }
    let claim_all = async |store: &dyn JobStore, worker: &str| {
        let mut claimed = Vec::new();
        // A claim that others outrun finds nothing now and then: ask again while there is something.
        while store.depth(SECOND).await.unwrap().queued > 0 {
            claimed.extend(store.claim(worker, SECOND).await.unwrap().map(|job| job.id));
        }
        claimed
    };
    let workers = (0..6).map(|n| {
        let store = if n % 2 == 0 { &first } else { &second };
        claim_all(store.as_ref(), if n % 2 == 0 { "even" } else { "odd" })
    });
    let mut claimed: Vec<_> = join_all(workers).await.into_iter().flatten().collect();
    claimed.sort();
    claimed.dedup();
    assert_eq!(claimed.len(), 20);
    assert_eq!(second.depth(SECOND).await.unwrap().running, 20);
}

async fn many_who_change_one_job_change_it_one_at_a_time(Pair(first, second): Pair) {
    first.enqueue(job("a", 0)).await.unwrap();
    first.claim("w", 0).await.unwrap().unwrap();
    let all = (0..8).map(async |n| {
        let store = if n % 2 == 0 { &first } else { &second };
        let event = match n {
            0..4 => Event::Complete {
                lease: lease("w", 1),
                result: format!("{n}"),
            },
            _ => Event::Cancel,
        };
        store.update("a", event, SECOND).await
    });
    let outcomes = join_all(all).await;
    let end = first.get("a").await.unwrap().unwrap();
    for outcome in outcomes {
        match outcome {
            Ok(job) => assert_eq!(job, end, "there is one outcome"),
            Err(QueueError::Refused(Refused::Cancelled | Refused::Finished)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

async fn times_keys_and_texts_of_any_kind_come_back(Pair(store, _): Pair) {
    let now = 1_767_225_600_123_457;
    let odd = Job {
        tenant: "a\",\"b:ü".into(),
        idempotency_key: Some("'; DROP TABLE jobs; -- \u{1F600}".into()),
        fingerprint: Some(String::new()),
        payload: "\u{0}\r\n\"\\{}".into(),
        webhook: Some("https://a/b".into()),
        ..job("odd:1", now)
    };
    store.enqueue(odd.clone()).await.unwrap();
    assert_eq!(store.get("odd:1").await.unwrap(), Some(odd.clone()));
    assert_eq!(store.claim("w", now - 1).await.unwrap(), None);
    assert_eq!(
        existing(store.enqueue(Job { id: "2".into(), ..odd }).await.unwrap()),
        Some("odd:1".to_owned())
    );
    assert_eq!(store.depth(now + 7).await.unwrap().oldest_us, 7);
    let claimed = store.claim("w", now).await.unwrap().unwrap();
    assert_eq!((claimed.id.as_str(), claimed.attempts), ("odd:1", 1));
}

/// A worker that drops a heartbeat because its job is done does this all day.
async fn a_step_that_is_dropped_half_way_harms_nobody(Pair(store, other): Pair) {
    store.enqueue(job("a", 0)).await.unwrap();
    store.claim("w", 0).await.unwrap().unwrap();
    for n in 0..30_u64 {
        let beats = (0..4).map(|_| store.update("a", Event::Heartbeat { lease: lease("w", 1) }, n));
        let dropped = tokio::time::timeout(Duration::from_micros(n * 150), join_all(beats)).await;
        drop(dropped);
        let new = (0..4).map(|k| format!("{n}-{k}"));
        for id in new {
            store.enqueue(job(&id, 0)).await.unwrap();
            assert!(
                other.get(&id).await.unwrap().is_some(),
                "{id} was accepted and is not there"
            );
            other.update(&id, Event::Cancel, 1).await.unwrap();
        }
    }
    assert!(matches!(
        other.get("a").await.unwrap().unwrap().state,
        State::Running { .. }
    ));
}
