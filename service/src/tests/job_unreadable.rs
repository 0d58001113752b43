//! A job whose record cannot be read: the others are done, and whoever asks for it is told.

use std::sync::Arc;

use http::Method;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::provider::{Provider, Reply};
use super::support::{Answer, Host, ms, question, settings};
use crate::designs;
use crate::ports::Stores;

#[tokio::test]
async fn it_is_said_and_counted_and_the_others_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let settings = settings(json!({ "design": "queued", "jobs": { "coalesce": false, "poll": "10ms" } }));
    let stores = Stores::sqlite(&settings, &path).await.unwrap();
    let host = Host::with(&Provider::new(|_, _| Reply::Whole(ms(1))), settings, stores);
    let submit = async || {
        let body = question().to_string();
        let posted = Answer::read(host.send(Method::POST, "/jobs", &body).await).await;
        format!("/jobs/{}", posted.json()["id"].as_str().unwrap())
    };
    let (bad, good) = (submit().await, submit().await);
    let id = bad.trim_start_matches("/jobs/");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let damage = sqlx::query("UPDATE jobs SET record = substr(record, 1, 40) WHERE id = ?").bind(id);
    assert_eq!(damage.execute(&mut connection).await.unwrap().rows_affected(), 1);
    connection.close().await.unwrap();

    let app = Arc::clone(&host.app);
    let worker = tokio::spawn(async move { designs::work(&app).await });
    while host.get(&good).await.json()["status"] != "succeeded" {
        tokio::time::sleep(ms(5)).await;
    }
    host.app.shutdown.cancel();
    worker.await.unwrap();
    let asked = host.get(&bad).await;
    assert_eq!(asked.problem(), (500, "job-unreadable".to_owned()));
    let cancelled = Answer::read(host.send(Method::DELETE, &bad, "").await).await;
    assert_eq!(cancelled.problem(), (500, "job-unreadable".to_owned()));
    let metrics = host.get("/metrics").await.body;
    assert!(metrics.contains("jobs_total{kind=\"unreadable\"} 1"), "{metrics}");
}
