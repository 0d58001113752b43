//! Records that cannot be read, in every store that somebody else can write to.

use super::*;
use crate::queue::filed::write;
use crate::queue::{Fate, RedisJobs};

/// A store whose records can be written over.
pub(super) trait Overwrite: JobStore {
    fn overwrite(&self, id: &str, record: &str) -> impl Future<Output = ()>;
}

impl<E: crate::queue::sql::Engine> Overwrite for Bounded<crate::queue::sql::SqlJobs<E>> {
    async fn overwrite(&self, id: &str, record: &str) {
        self.0.overwrite(id, record).await;
    }
}

impl Overwrite for Bounded<RedisJobs> {
    async fn overwrite(&self, id: &str, record: &str) {
        self.0.overwrite(id, record).await;
    }
}

/// A record as a version might write it that knows more.
const NEWER: &str = r#"{"id":"bad","state":{"paused":{"by":"somebody"}}}"#;

/// A queue in which `bad` has been due for longer than `good`, and cannot be read.
async fn spoiled(store: &impl Overwrite, record: &str) {
    store.enqueue(asking("bad", "tenant", "digest")).await.unwrap();
    store.enqueue(job("good", 1)).await.unwrap();
    store.overwrite("bad", record).await;
}

fn fate(claimed: Result<Option<Job>, QueueError>) -> Fate {
    match claimed {
        Err(QueueError::PutAside { id, fate }) if id == "bad" => fate,
        other => panic!("{other:?}"),
    }
}

pub(super) async fn what_cannot_be_read_holds_nobody_up_and_is_there_for_who_can(store: &impl Overwrite) {
    spoiled(store, NEWER).await;
    assert_eq!(fate(store.claim("w", SECOND).await), Fate::PutAside);
    assert_eq!(store.claim("w", SECOND).await.unwrap().unwrap().id, "good");
    assert_eq!(store.claim("w", SECOND).await.unwrap(), None);
    let depth = store.depth(SECOND).await.unwrap();
    assert_eq!((depth.queued, depth.running), (0, 2));
    for step in [
        store.get("bad").await.err(),
        store.update("bad", Event::Cancel, SECOND).await.err(),
    ] {
        assert!(
            matches!(&step, Some(QueueError::Unreadable { id, tenant }) if id == "bad" && tenant == "tenant"),
            "{step:?}"
        );
    }
    // Equal work does not wait for it.
    assert_eq!(
        existing(store.enqueue(asking("again", "tenant", "digest")).await.unwrap()),
        None
    );
    assert_eq!(store.claim("w", 2 * SECOND).await.unwrap().unwrap().id, "again");
    // It is offered again after a lease: to one who cannot read it either, then to one who can.
    store.update("good", Event::Cancel, 3 * SECOND).await.unwrap();
    store.update("again", Event::Cancel, 3 * SECOND).await.unwrap();
    assert_eq!(fate(store.claim("w", 31 * SECOND).await), Fate::StillAside);
    assert_eq!(store.claim("w", 60 * SECOND).await.unwrap(), None);
    store
        .overwrite("bad", &write(&asking("bad", "tenant", "digest")).unwrap())
        .await;
    let claimed = store.claim("newer", 61 * SECOND).await.unwrap().unwrap();
    assert_eq!((claimed.id.as_str(), claimed.attempts), ("bad", 1));
    // From then on it is a job like any other: time aside is forgotten.
    store.overwrite("bad", "").await;
    assert_eq!(fate(store.claim("w", 8_000 * SECOND).await), Fate::PutAside);
}

pub(super) async fn what_nobody_could_read_for_too_long_is_buried_and_later_forgotten(store: &impl Overwrite) {
    spoiled(store, "\u{1F600} no JSON").await;
    assert_eq!(fate(store.claim("w", SECOND).await), Fate::PutAside);
    store.update("good", Event::Cancel, SECOND).await.unwrap();
    assert_eq!(fate(store.claim("w", 3_601 * SECOND).await), Fate::StillAside);
    assert_eq!(fate(store.claim("w", 3_640 * SECOND).await), Fate::Buried);
    assert_eq!(store.claim("w", 9_000 * SECOND).await.unwrap(), None);
    assert_eq!(store.depth(SECOND).await.unwrap().running, 0);
    assert!(matches!(store.get("bad").await, Err(QueueError::Unreadable { .. })));
    assert_eq!(store.purge(7_240 * SECOND).await.unwrap(), 1, "the cancelled one");
    assert_eq!(store.purge(7_241 * SECOND).await.unwrap(), 1);
    assert_eq!(store.get("bad").await.unwrap(), None);
}

/// A record under another job's name would be that job's, once it is written.
pub(super) async fn a_record_under_another_name_is_none(store: &impl Overwrite) {
    spoiled(store, &write(&job("good", 0)).unwrap()).await;
    assert_eq!(fate(store.claim("w", SECOND).await), Fate::PutAside);
    assert_eq!(store.claim("w", SECOND).await.unwrap().unwrap().id, "good");
}

/// All of them, on queues that `fresh` makes.
pub(super) async fn are_put_aside<S: Overwrite>(fresh: impl AsyncFn(&'static str) -> Arc<S>) {
    what_cannot_be_read_holds_nobody_up_and_is_there_for_who_can(fresh("aside").await.as_ref()).await;
    what_nobody_could_read_for_too_long_is_buried_and_later_forgotten(fresh("buried").await.as_ref()).await;
    a_record_under_another_name_is_none(fresh("another_name").await.as_ref()).await;
}
