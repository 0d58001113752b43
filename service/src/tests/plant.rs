//! A service and its workers over one queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::provider::Provider;
use super::support::{Answer, Host, question, settings};
use crate::ports::{Stores, WorkerPorts};
use crate::server::worker;
use crate::settings::Settings;

/// A service, its stores, and workers that can be stopped and killed.
pub(super) struct Plant {
    pub(super) provider: Arc<Provider>,
    pub(super) settings: Settings,
    pub(super) stores: Stores,
    pub(super) host: Host,
    submitted: AtomicU32,
}

impl Plant {
    pub(super) fn new(provider: Arc<Provider>, service: &Value) -> Self {
        let mut queued = json!({ "design": "queued" });
        queued
            .as_object_mut()
            .unwrap()
            .extend(service.as_object().unwrap().clone());
        let settings = settings(queued);
        let stores = Stores::memory(&settings);
        let host = Host::with(&provider, settings.clone(), stores.clone());
        Self {
            provider,
            settings,
            stores,
            host,
            submitted: AtomicU32::new(0),
        }
    }

    pub(super) fn worker(&self, name: &str) -> (JoinHandle<()>, CancellationToken) {
        let shutdown = CancellationToken::new();
        let ports = WorkerPorts {
            upstream: Arc::clone(&self.provider) as _,
            stores: self.stores.replica(),
            clock: self.host.app.clock,
            seed: 7,
            shutdown: shutdown.clone(),
            name: name.to_owned(),
        };
        let running = worker(self.settings.clone(), ports);
        (tokio::spawn(async move { running.await.unwrap() }), shutdown)
    }

    /// Hands in the usual question, as work of its own.
    pub(super) async fn submit(&self) -> String {
        let key = format!("key-{}", self.submitted.fetch_add(1, Ordering::Relaxed));
        let answer = self.ask(&[("idempotency-key", &key)], &question()).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        let job = answer.json();
        let id = job["id"].as_str().unwrap().to_owned();
        let created_ms = self.host.app.clock.now_unix_us() / 1_000;
        assert_eq!(
            job,
            json!({ "id": id, "status": "queued", "attempts": 0, "created_ms": created_ms })
        );
        assert_eq!(answer.header("location"), format!("/jobs/{id}"));
        id
    }

    /// Hands in a job.
    pub(super) async fn ask(&self, headers: &[(&str, &str)], body: &Value) -> Answer {
        let response = self.host.send_with(Method::POST, "/jobs", headers, &body.to_string());
        Answer::read(response.await).await
    }

    pub(super) async fn cancel(&self, id: &str) -> u16 {
        let response = self.host.send(Method::DELETE, &format!("/jobs/{id}"), "").await;
        response.status().as_u16()
    }

    pub(super) async fn job(&self, id: &str) -> Value {
        self.host.get(&format!("/jobs/{id}")).await.json()
    }

    pub(super) async fn answers_counted(&self) -> u64 {
        let mut connection = self.stores.replica().database.acquire().await.unwrap();
        connection.session("anonymous/default").await.unwrap().answers
    }
}

/// Lets time pass.
pub(super) async fn pass(duration: Duration) {
    tokio::time::sleep(duration).await;
}
