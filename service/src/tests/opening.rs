//! Stores that cannot be opened say where, why and what to do, and never a password; old ones are brought up to date.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::support::settings;
use crate::ports::Stores;
use crate::queue::{Depth, Enqueued, Event, Job, State};
use crate::servers::Server;
use crate::storage::OpenError;

async fn refused(service: Value) -> (OpenError, String) {
    let error = Stores::open(&settings(service)).await.map(drop).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains("wrong"), "the password: {text}");
    (error, text)
}

#[tokio::test]
async fn a_postgres_that_cannot_be_opened_says_why_and_what_to_do() {
    let Some(server) = Server::postgres() else { return };
    let at = |user: &str, database: &str| json!({ "database_url": server.postgres_url(user, database) });
    let (error, text) = refused(at("guarded:wrong", "postgres")).await;
    assert!(matches!(error, OpenError::Credentials { .. }), "{text}");
    let (error, text) = refused(at("brownout", "nowhere")).await;
    assert!(
        matches!(&error, OpenError::NoDatabase { name, .. } if name == "nowhere"),
        "{text}"
    );
    assert!(text.contains("createdb nowhere"), "{text}");

    let good = at("brownout", "postgres");
    let (one, other) = (settings(good.clone()), settings(good.clone()));
    let (one, other) = tokio::join!(Stores::open(&one), Stores::open(&other));
    assert!(one.is_ok() && other.is_ok(), "both migrate, one after the other");
    let newer = "INSERT INTO _sqlx_migrations VALUES (9000, 'of tomorrow', now(), true, '\\x00', 0)";
    let url = server.postgres_url("brownout", "postgres");
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let (error, text) = refused(good.clone()).await;
    assert!(matches!(error, OpenError::OtherVersion { version: 9000, .. }), "{text}");

    drop(server);
    let (error, text) = refused(good).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{text}");
    assert!(text.contains("database_url"), "{text}");
}

#[tokio::test]
async fn a_redis_that_cannot_be_opened_says_why_and_what_to_do() {
    let Some(server) = Server::redis_with(&["--requirepass", "right"]) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    let at = |url: String| json!({ "database_url": database, "redis_url": url, "queue": "redis" });
    let with = |password: &str| server.redis_url().replace("redis://", &format!("redis://:{password}@"));
    for url in [with("wrong"), server.redis_url()] {
        let (error, text) = refused(at(url)).await;
        assert!(matches!(error, OpenError::Credentials { .. }), "{text}");
    }
    let good = with("right");
    let stores = Stores::open(&settings(at(good.clone()))).await.unwrap();
    stores.jobs.ping().await.unwrap();
    drop(server);
    let (error, text) = refused(at(good)).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{text}");
    assert!(text.contains("redis_url"), "{text}");
}

#[tokio::test]
async fn what_is_shared_and_has_no_address_says_which_one_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("a.db").display());
    for key in ["limits", "cache"] {
        let (error, text) = refused(json!({ "database_url": database, key: { "store": "shared" } })).await;
        assert!(matches!(error, OpenError::Missing { .. }), "{text}");
        assert!(text.starts_with("redis_url is missing"), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_or_is_newer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("no/such/folder.db");
    let (_, text) = refused(json!({ "database_url": format!("sqlite:{}", path.display()) })).await;
    assert!(text.contains("no/such/folder.db"), "{text}");
    let path = folder.path().join("newer.db");
    let good = json!({ "database_url": format!("sqlite:{}", path.display()) });
    Stores::open(&settings(good.clone())).await.unwrap();
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations VALUES (9000, 'of tomorrow', 0, true, x'00', 0)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let (error, text) = refused(good).await;
    assert!(matches!(error, OpenError::OtherVersion { version: 9000, .. }), "{text}");
}

/// What the service made itself before it had migrations, with a job that waits and one that is lent.
const BEFORE_MIGRATIONS: [&str; 6] = [
    "CREATE TABLE sessions (id TEXT PRIMARY KEY, answers INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
        completion_tokens INTEGER NOT NULL) STRICT",
    "CREATE TABLE usage (answer_id TEXT PRIMARY KEY, session TEXT NOT NULL, provider TEXT NOT NULL,
        prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL) STRICT",
    "CREATE TABLE jobs (arrival INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, record TEXT NOT NULL,
        claimable_us INTEGER, finished_us INTEGER) STRICT",
    "CREATE INDEX jobs_claimable ON jobs (claimable_us, arrival) WHERE claimable_us IS NOT NULL",
    "INSERT INTO sessions VALUES ('s', 1, 3, 2)",
    r#"INSERT INTO jobs (id, record, claimable_us) VALUES
        ('waits', '{"id":"waits","payload":"{}","request_id":"r","traceparent":null,"enqueued_us":1,"attempts":0,
            "state":{"queued":{"due_us":1}}}', 1),
        ('runs', '{"id":"runs","payload":"{}","request_id":"r","traceparent":null,"enqueued_us":0,"attempts":1,
            "state":{"running":{"lease":{"worker":"w","attempt":1},"until_us":9,"waited_since_us":0}}}', 9)"#,
];

#[tokio::test]
async fn a_file_from_before_migrations_keeps_its_sessions_and_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    for statement in BEFORE_MIGRATIONS {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let path = path.display().to_string();
    let stores = Stores::open(&settings(json!({ "database_path": path }))).await.unwrap();
    let mut database = stores.database.acquire().await.unwrap();
    assert_eq!(database.session("anonymous/s").await.unwrap().prompt_tokens, 3);
    let depth = stores.jobs.depth(5).await.unwrap();
    assert_eq!(
        depth,
        Depth {
            queued: 1,
            running: 1,
            oldest_us: 4
        }
    );
    let waited = stores.jobs.claim("v", 5).await.unwrap().unwrap();
    assert_eq!((waited.id.as_str(), waited.tenant.as_str()), ("waits", "anonymous"));
    let done = stores.jobs.update("runs", Event::Cancel, 6).await.unwrap();
    assert_eq!(done.state, State::Cancelled { at_us: 6 });
    let fresh = Job {
        id: "new".into(),
        fingerprint: Some("f".into()),
        ..waited.clone()
    };
    assert_eq!(stores.jobs.enqueue(fresh).await.unwrap(), Enqueued::New);
}
