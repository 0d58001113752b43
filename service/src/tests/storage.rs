use std::str::FromStr;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::provider::{Provider, Reply};
use super::support::{Host, ms, secs, settings};
use crate::ports::Stores;
use crate::servers::Server;
use crate::storage::{Connection, Database, DatabaseError, Provenance, SqliteDatabase, UsageRow};

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

#[tokio::test(start_paused = true)]
async fn opening_a_connection_takes_its_time_once_while_it_is_not_idle_for_too_long() {
    let service = json!({ "connect_time": "50ms", "idle_timeout": "10s", "acquire_timeout": "60ms", "pool": 2 });
    let stores = Stores::memory(&settings(json!({ "database": service })));
    let took = async || {
        let began = tokio::time::Instant::now();
        let connection = stores.database.acquire().await.unwrap();
        (began.elapsed().as_millis(), connection)
    };
    let (first, held) = took().await;
    let (second, other) = took().await;
    assert_eq!((first, second), (50, 50));
    drop((held, other));
    assert_eq!(took().await.0, 0);
    tokio::time::sleep(secs(10)).await;
    assert_eq!(took().await.0, 50, "idle for too long: it was closed");
    // The time to connect counts as waiting: 60 ms are not enough to wait 20 ms for a place and connect.
    tokio::time::sleep(secs(10)).await;
    let held = [took().await.1, took().await.1];
    let waiting = stores.database.acquire();
    let giving_back = async {
        tokio::time::sleep(ms(61)).await;
        drop(held);
    };
    let (refused, ()) = tokio::join!(waiting, giving_back);
    assert!(matches!(refused, Err(DatabaseError::PoolTimeout)));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_connection_left_says_so_at_once_and_gets_those_of_a_dead_replica_back() {
    let service = json!({ "server_connections": 3, "pool": 2, "connect_time": "10ms", "idle_timeout": "5s" });
    let stores = Stores::memory(&settings(json!({ "database": service })));
    let (one, other) = (stores.replica().database, stores.replica().database);
    let held = [one.acquire().await.unwrap(), one.acquire().await.unwrap()];
    let third = other.acquire().await.unwrap();
    let refused = other.acquire().await;
    assert!(matches!(refused, Err(DatabaseError::TooManyConnections)));
    // Idle connections of one pool are no good to another, until they are closed.
    drop(held);
    assert!(other.acquire().await.is_err());
    tokio::time::sleep(secs(5)).await;
    let fourth = other.acquire().await.unwrap();
    drop(one);
    drop((third, fourth, other));
    // Who leaves while connecting leaves nothing behind.
    let last = stores.replica().database;
    for _ in 0..5 {
        assert!(tokio::time::timeout(ms(5), last.acquire()).await.is_err());
    }
    let all = [last.acquire().await.unwrap(), last.acquire().await.unwrap()];
    assert!(stores.database.acquire().await.is_ok());
    drop(all);
}

#[tokio::test(start_paused = true)]
async fn a_database_without_a_connection_left_is_a_503_of_its_own() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(10)));
    let service = json!({ "database": { "server_connections": 1, "hold_connection": true } });
    let host = Host::new(&provider, service);
    let _first = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(ms(1)).await;
    let answer = host.chat().await;
    assert_eq!(answer.problem(), (503, "database-full".to_owned()));
    assert_eq!((answer.header("retry-after"), host.elapsed_ms()), ("1", 1));
}

#[tokio::test]
async fn memory_and_sqlite_count_usage_once_and_have_the_same_bound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("service.sqlite");
    for stores in [
        Stores::memory(&settings(one_connection())),
        Stores::sqlite(&settings(one_connection()), &path).await.unwrap(),
    ] {
        counts_usage_once(&stores).await;
        has_the_bound_of_its_pool(&stores).await;
    }
}

#[tokio::test]
async fn postgres_counts_usage_once_has_the_same_bound_and_rolls_back() {
    let Some(server) = Server::postgres() else { return };
    let url = server.postgres_url("brownout", "postgres");
    let open = async |namespace: &str| {
        let mut service = one_connection();
        service["database_url"] = json!(url);
        service["namespace"] = json!(namespace);
        Stores::open(&settings(service)).await.unwrap()
    };
    let stores = open("one").await;
    counts_usage_once(&stores).await;
    has_the_bound_of_its_pool(&stores).await;
    leaves_nothing_when_a_statement_fails(&open("two").await).await;
    let options = PgConnectOptions::from_str(&url)
        .unwrap()
        .options([("search_path", "four")]);
    let (stores, mut stranger) = (open("four").await, options.connect().await.unwrap());
    record_what_is_estimated(&stores).await;
    let marked: Vec<(String,)> = sqlx::query_as(MARKED).fetch_all(&mut stranger).await.unwrap();
    assert_eq!(marked, [("left".to_owned(),)]);
    let stores = open("three").await;
    let options = PgConnectOptions::from_str(&url)
        .unwrap()
        .options([("search_path", "three")]);
    let mut stranger = options.connect().await.unwrap();
    let mut lock = stranger.begin().await.unwrap();
    sqlx::query("INSERT INTO sessions VALUES ('s', 0, 0, 0)")
        .execute(&mut *lock)
        .await
        .unwrap();
    leaves_nothing_when_it_is_dropped(&stores, async || lock.rollback().await.unwrap()).await;
}

#[tokio::test]
async fn sqlite_rolls_back() {
    let folder = tempfile::tempdir().unwrap();
    let open = async |name: &str| {
        let path = folder.path().join(name);
        (Stores::sqlite(&settings(one_connection()), &path).await.unwrap(), path)
    };
    leaves_nothing_when_a_statement_fails(&open("two").await.0).await;
    let (stores, path) = open("four").await;
    let mut stranger = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    record_what_is_estimated(&stores).await;
    let marked: Vec<(String,)> = sqlx::query_as(MARKED).fetch_all(&mut stranger).await.unwrap();
    assert_eq!(marked, [("left".to_owned(),)]);
    let (stores, path) = open("three").await;
    let mut stranger = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let lock = stranger.begin_with("BEGIN IMMEDIATE").await.unwrap();
    leaves_nothing_when_it_is_dropped(&stores, async || lock.rollback().await.unwrap()).await;
}

async fn counts_usage_once(stores: &Stores) {
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

const MARKED: &str = "SELECT answer_id FROM usage_estimated JOIN usage USING (answer_id)";

/// A row that was counted here, twice, and one that its provider reported. [`MARKED`] is the first of them.
async fn record_what_is_estimated(stores: &Stores) {
    let mut connection = stores.database.acquire().await.unwrap();
    let estimated = UsageRow {
        provenance: Provenance::Estimated,
        ..row("left")
    };
    for row in [&estimated, &estimated, &row("stayed")] {
        connection.record_usage(row).await.unwrap();
    }
}

async fn has_the_bound_of_its_pool(stores: &Stores) {
    let first = stores.database.acquire().await.unwrap();
    let refused = stores.database.acquire().await;
    assert!(matches!(refused, Err(DatabaseError::PoolTimeout)));
    drop(first);
    assert!(stores.database.acquire().await.is_ok());
}

/// The second statement of a transaction fails (a sum leaves its range): the first must be gone too.
async fn leaves_nothing_when_a_statement_fails(stores: &Stores) {
    let mut connection = stores.database.acquire().await.unwrap();
    let huge = UsageRow {
        prompt_tokens: i64::MAX as u64,
        ..row("huge")
    };
    connection.record_usage(&huge).await.unwrap();
    assert!(connection.record_usage(&row("a")).await.is_err());
    let elsewhere = UsageRow {
        session: "t".into(),
        ..row("a")
    };
    connection.record_usage(&elsewhere).await.unwrap();
    assert_eq!(connection.session("t").await.unwrap().answers, 1);
    assert_eq!(connection.session("s").await.unwrap().answers, 1);
}

/// Somebody else holds a lock; whoever waits for it is dropped in the middle of its transaction.
async fn leaves_nothing_when_it_is_dropped(stores: &Stores, unlock: impl AsyncFnOnce()) {
    let mut connection = stores.database.acquire().await.unwrap();
    let first = row("a");
    let recording = connection.record_usage(&first);
    assert!(tokio::time::timeout(ms(300), recording).await.is_err());
    drop(connection);
    unlock().await;
    let mut connection = acquired(stores).await;
    assert_eq!(connection.session("s").await.unwrap().answers, 0);
    connection.record_usage(&first).await.unwrap();
    assert_eq!(connection.session("s").await.unwrap().answers, 1);
}

/// A connection, once the pool has dealt with the one that was dropped.
async fn acquired(stores: &Stores) -> Box<dyn Connection> {
    for _ in 0..20 {
        if let Ok(connection) = stores.database.acquire().await {
            return connection;
        }
    }
    panic!("the connection did not come back");
}

fn one_connection() -> Value {
    json!({ "database": { "pool": 1, "acquire_timeout": "1s" } })
}

fn row(answer: &str) -> UsageRow {
    UsageRow {
        answer_id: answer.into(),
        session: "s".into(),
        provider: "a".into(),
        prompt_tokens: 3,
        completion_tokens: 2,
        provenance: Provenance::Authoritative,
    }
}

#[tokio::test]
async fn processes_that_open_a_new_file_at_the_same_moment_all_get_it() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.db");
        let database = settings(json!({})).database;
        let opened = join_all((0..8).map(|_| SqliteDatabase::open(&path, &database))).await;
        for database in opened {
            database.unwrap().acquire().await.unwrap().ping().await.unwrap();
        }
    }
}
