use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms, secs, settings};
use crate::ports::Stores;
use crate::storage::{Connection, Database, DatabaseError, Session, UsageRow};

/// A database that does what a test says and counts who asks.
#[derive(Clone, Default)]
struct Sick(Arc<Symptoms>);

#[derive(Default)]
struct Symptoms {
    takes: Duration,
    down: bool,
    /// Nobody answers: connections are waited for in vain.
    silent: bool,
    pings: AtomicU32,
}

impl Sick {
    fn with(takes: Duration, down: bool) -> Self {
        Self(Arc::new(Symptoms {
            takes,
            down,
            ..Symptoms::default()
        }))
    }
}

#[async_trait]
impl Database for Sick {
    async fn acquire(&self) -> Result<Box<dyn Connection>, DatabaseError> {
        if self.0.silent {
            tokio::time::sleep(self.0.takes).await;
            return Err(DatabaseError::PoolTimeout);
        }
        if self.0.down {
            return Err(DatabaseError::Failed("refused".into()));
        }
        Ok(Box::new(self.clone()))
    }

    fn replica(&self) -> Arc<dyn Database> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Connection for Sick {
    async fn session(&mut self, _: &str) -> Result<Session, DatabaseError> {
        Ok(Session::default())
    }

    async fn record_usage(&mut self, _: &UsageRow) -> Result<(), DatabaseError> {
        Ok(())
    }

    async fn ping(&mut self) -> Result<(), DatabaseError> {
        self.0.pings.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.0.takes).await;
        Ok(())
    }
}

fn sick_host(database: &Sick, service: Value) -> Host {
    let settings = settings(service);
    let stores = Stores {
        database: Arc::new(database.clone()),
        ..Stores::memory(&settings)
    };
    Host::with(&Provider::new(|_, _| Reply::Whole(ms(1))), settings, stores)
}

fn status(answer: &Answer) -> (u16, &'static str) {
    let status = ["ready", "degraded", "unready", "alive", "failing"];
    let said = answer.json()["status"].clone();
    let word = status.into_iter().find(|word| said == *word).unwrap();
    (answer.status.as_u16(), word)
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_well_says_so_in_full() {
    let provider = Provider::new(|_, _| Reply::Whole(ms(1)));
    let host = Host::new(&provider, json!({ "design": "queued" }));
    let expected = json!({
        "status": "ready", "draining": false,
        "checks": { "database": { "status": "ok", "ms": 0 }, "queue": { "status": "ok", "ms": 0 } },
        "providers": { "a": "ok", "b": "ok" },
    });
    assert_eq!(host.get("/readyz").await.json(), expected);
    assert_eq!(host.get("/livez").await.json(), json!({ "status": "alive" }));
    assert_eq!(provider.seen().len(), 0);
    let coupled = Host::new(&provider, json!({})).get("/readyz").await.json();
    assert_eq!(coupled["checks"]["queue"], Value::Null, "no request needs it");
}

#[tokio::test(start_paused = true)]
async fn a_full_pool_is_busy_and_not_unready() {
    let provider = Provider::new(|_, _| Reply::Whole(secs(50)));
    let host = Host::new(&provider, json!({ "database": { "pool": 1, "hold_connection": true } }));
    let busy = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(ms(10)).await;
    let waiting = tokio::spawn(host.post("/chat"));
    tokio::time::sleep(ms(10)).await;
    let began = host.elapsed_ms();
    let ready = host.get("/readyz").await;
    assert_eq!(status(&ready), (200, "degraded"));
    assert_eq!(ready.json()["checks"]["database"]["status"], "busy");
    assert_eq!(host.elapsed_ms(), began);
    busy.abort();
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_down_or_hangs_is_unready_within_a_second() {
    for (database, said, took) in [
        (Sick::with(Duration::ZERO, true), "failed", 0),
        (Sick::with(secs(60), false), "slow", 800),
    ] {
        let host = sick_host(&database, json!({}));
        let ready = host.get("/readyz").await;
        assert_eq!(status(&ready), (503, "unready"));
        assert_eq!(
            ready.json()["checks"]["database"],
            json!({ "status": said, "ms": took })
        );
        assert_eq!(host.elapsed_ms(), u128::from(took as u64));
        assert_eq!(status(&host.get("/livez").await), (200, "alive"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_database_that_gives_no_connection_to_the_check_itself_is_not_taken_for_a_busy_one() {
    let silent = Sick(Arc::new(Symptoms {
        takes: ms(500),
        silent: true,
        ..Symptoms::default()
    }));
    let ready = sick_host(&silent, json!({})).get("/readyz").await;
    assert_eq!(status(&ready), (503, "unready"));
    assert_eq!(ready.json()["checks"]["database"]["status"], "slow");
}

#[tokio::test(start_paused = true)]
async fn a_crowd_of_probes_costs_one_question() {
    let database = Sick::with(ms(100), false);
    let host = sick_host(&database, json!({}));
    let crowd = (0..500).map(|_| host.get("/readyz"));
    let answers = futures::future::join_all(crowd).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(database.0.pings.load(Ordering::Relaxed), 1);
    assert_eq!(host.elapsed_ms(), 100);
    host.get("/readyz").await;
    assert_eq!(database.0.pings.load(Ordering::Relaxed), 1);
    tokio::time::sleep(ms(500)).await;
    host.get("/readyz").await;
    assert_eq!(database.0.pings.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_leaves_does_not_take_the_question_with_it() {
    let database = Sick::with(ms(300), false);
    let host = sick_host(&database, json!({}));
    let (left, stayed) = tokio::join!(tokio::time::timeout(ms(100), host.get("/readyz")), host.get("/readyz"));
    assert!(left.is_err());
    assert_eq!((stayed.status.as_u16(), host.elapsed_ms()), (200, 300));
    assert_eq!(database.0.pings.load(Ordering::Relaxed), 1);
    tokio::time::sleep(secs(1)).await;
    // One that everybody left is forgotten, and not found too slow by the next who comes.
    assert!(tokio::time::timeout(ms(100), host.get("/readyz")).await.is_err());
    tokio::time::sleep(secs(5)).await;
    assert_eq!(status(&host.get("/readyz").await), (200, "ready"));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_a_provider_is_degraded_and_never_unready() {
    let provider = Provider::new(|n, _| {
        if n < 5 {
            Reply::Status(503, None)
        } else {
            Reply::Whole(ms(1))
        }
    });
    let host = Host::new(&provider, json!({ "retry": { "max_attempts": 1 }, "fallback": false }));
    for _ in 0..4 {
        host.chat().await;
    }
    assert_eq!(status(&host.get("/readyz").await), (200, "ready"));
    host.chat().await;
    let ready = host.get("/readyz").await;
    assert_eq!(status(&ready), (200, "degraded"));
    assert_eq!(ready.json()["providers"], json!({ "a": "failing", "b": "ok" }));
    assert_eq!(status(&host.get("/livez").await), (200, "alive"));
    tokio::time::sleep(secs(11)).await;
    assert_eq!(
        host.get("/readyz").await.json()["providers"]["a"],
        "recovering",
        "and asking changes nothing"
    );
    host.chat().await;
    assert_eq!(status(&host.get("/readyz").await), (200, "ready"));
}

#[tokio::test(start_paused = true)]
async fn a_naive_probe_restarts_what_is_well_and_is_ready_whatever_happens() {
    let naive = json!({ "preset": "naive" });
    let well = Provider::new(|_, _| Reply::Body("{}"));
    assert_eq!(
        status(&Host::new(&well, naive.clone()).get("/livez").await),
        (200, "alive")
    );
    assert_eq!(well.seen().len(), 1, "it asks the provider");
    let down = Provider::new(|_, _| Reply::Status(503, None));
    assert_eq!(
        status(&Host::new(&down, naive.clone()).get("/livez").await),
        (503, "failing")
    );
    let silent = Provider::new(|_, _| Reply::Silence);
    let host = Host::new(&silent, naive.clone());
    let alive = host.get("/livez").await;
    assert_eq!((status(&alive), host.elapsed_ms()), ((503, "failing"), 5000));
    assert_eq!(alive.json()["checks"]["provider"]["status"], "slow");
    let dead = sick_host(&Sick::with(Duration::ZERO, true), naive);
    assert_eq!(status(&dead.get("/readyz").await), (200, "ready"));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_ending_is_not_ready_whatever_its_probes_ask() {
    for preset in ["naive", "resilient"] {
        let host = Host::new(&Provider::new(|_, _| Reply::Whole(ms(1))), json!({ "preset": preset }));
        assert_eq!(host.get("/readyz").await.status, 200);
        host.app.shutdown.cancel();
        let ready = host.get("/readyz").await;
        assert_eq!(status(&ready), (503, "unready"), "{preset}");
        assert_eq!(ready.json()["draining"], json!(true));
    }
}
