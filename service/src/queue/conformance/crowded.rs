//! Those who ask do not wait behind those who change, where they share a database.

use super::*;
use crate::queue::sql::{Engine, SqlJobs};

/// Heartbeats that wait for a lock take none of the connections that pings and followers need.
pub(super) async fn questions_are_answered_while_changes_wait<E: Engine>(store: &SqlJobs<E>) {
    store.enqueue(job("a", 0)).await.unwrap();
    store.claim("w", 0).await.unwrap().unwrap();
    let held = store.hold("a").await;
    let beats = (0..8).map(|_| store.update("a", Event::Heartbeat { lease: lease("w", 1) }, SECOND));
    let asking = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ids = ["a".to_owned()];
        let answers = async { tokio::join!(store.ping(), store.get("a"), store.marks(&ids), store.depth(SECOND)) };
        let answered = tokio::time::timeout(Duration::from_secs(3), answers).await;
        drop(held);
        let (ping, job, marks, depth) = answered.expect("they wait behind the heartbeats");
        assert!(ping.is_ok() && job.is_ok() && marks.is_ok() && depth.is_ok());
    };
    let (beaten, ()) = tokio::join!(join_all(beats), asking);
    assert!(beaten.iter().all(Result::is_ok), "{beaten:?}");
}
