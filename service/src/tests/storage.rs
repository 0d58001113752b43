use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};

use super::provider::{Provider, Reply};
use super::support::{Host, ms, secs, settings};
use crate::ports::Stores;
use crate::storage::{Database, DatabaseError, UsageRow};

/// Four requests at once, each a second at the model, over a pool of two.
async fn four_chats_over_two_connections(hold: bool) -> u128 {
    let provider = Provider::new(|_, _| Reply::Whole(secs(1)));
    let service = json!({ "database": { "pool": 2, "hold_connection": hold, "query_time": "1ms" } });
    let host = Host::new(&provider, service);
    let answers = join_all((0..4).map(|_| host.chat())).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    host.elapsed_ms()
}

#[tokio::test(start_paused = true)]
async fn a_held_connection_makes_the_pool_the_limit_and_a_released_one_does_not() {
    assert_eq!(four_chats_over_two_connections(true).await, 2004);
    assert_eq!(four_chats_over_two_connections(false).await, 1003);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_connection_in_time_is_told_so() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(10)));
    let service = json!({ "database": { "pool": 1, "hold_connection": true, "acquire_timeout": "2s" } });
    let host = Host::new(&provider, service);
    let _first = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(ms(1)).await;
    let answer = host.chat().await;
    assert_eq!(answer.problem(), (503, "database-busy".to_owned()));
    assert_eq!((answer.header("retry-after"), host.elapsed_ms()), ("1", 2001));
}

#[tokio::test(start_paused = true)]
async fn replicas_share_the_data_and_not_the_pool() {
    let stores = Stores::memory(&settings(json!({ "database": { "pool": 1, "acquire_timeout": "1s" } })));
    let replica = stores.replica();
    let mut held = stores.database.acquire().await.unwrap();
    held.record_usage(&row("a")).await.unwrap();
    assert!(matches!(
        stores.database.acquire().await,
        Err(DatabaseError::PoolTimeout)
    ));
    let mut other = replica.database.acquire().await.unwrap();
    assert_eq!(other.session("s").await.unwrap().answers, 1);
}

#[tokio::test]
async fn usage_is_counted_once_for_each_answer_in_every_database() {
    let folder = tempfile::tempdir().unwrap();
    for stores in [memory(), sqlite(&folder.path().join("service.sqlite")).await] {
        let database: Arc<dyn Database> = stores.replica().database;
        let mut connection = database.acquire().await.unwrap();
        connection.ping().await.unwrap();
        assert_eq!(connection.session("s").await.unwrap().answers, 0);
        for answer in ["a", "b", "a"] {
            connection.record_usage(&row(answer)).await.unwrap();
        }
        let session = connection.session("s").await.unwrap();
        assert_eq!(
            (session.answers, session.prompt_tokens, session.completion_tokens),
            (2, 6, 4)
        );
    }
}

#[tokio::test]
async fn the_pool_of_sqlite_has_the_bound_of_the_modelled_one() {
    let folder = tempfile::tempdir().unwrap();
    for stores in [memory(), sqlite(&folder.path().join("service.sqlite")).await] {
        let first = stores.database.acquire().await.unwrap();
        let refused = stores.database.acquire().await;
        assert!(matches!(refused, Err(DatabaseError::PoolTimeout)));
        drop(first);
        assert!(stores.database.acquire().await.is_ok());
    }
}

fn one_connection() -> Value {
    json!({ "database": { "pool": 1, "acquire_timeout": "1s" } })
}

fn memory() -> Stores {
    Stores::memory(&settings(one_connection()))
}

async fn sqlite(path: &Path) -> Stores {
    Stores::sqlite(&settings(one_connection()), path).await.unwrap()
}

fn row(answer: &str) -> UsageRow {
    UsageRow {
        answer_id: answer.into(),
        session: "s".into(),
        provider: "a".into(),
        prompt_tokens: 3,
        completion_tokens: 2,
    }
}
