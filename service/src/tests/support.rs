//! An instance without a network: requests go straight into its routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::provider::Provider;
use crate::app::{App, Parts};
use crate::clock::Clock;
use crate::features;
use crate::ports::Stores;
use crate::settings::Settings;
use crate::upstream::Upstream;

pub(super) const TRACEPARENT: &str = "00-62726f776e6f75740000000000000011-0000000000000011-01";

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Settings with two providers, `a` and `b`. Queries take no time, so that what is measured is the provider's; and nothing
/// is shared, so that a question that is asked again reaches the provider again.
pub(super) fn settings(value: Value) -> Settings {
    let mut map = map(json!({
        "providers": [
            { "name": "a", "base_url": "http://a.sim/v1", "model": "m", "api_key": "sk-test" },
            { "name": "b", "base_url": "http://b.sim/v1", "model": "m" },
        ],
        "database": { "query_time": "0s" },
        "cache": { "exact": false, "coalesce": false },
    }));
    for (key, value) in self::map(value) {
        match (map.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
            (_, value) => {
                map.insert(key, value);
            }
        }
    }
    Settings::from_map(map).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no map"),
    }
}

/// An instance.
pub(super) struct Host {
    pub(super) app: Arc<App>,
    pub(super) began: Instant,
    pub(super) stores: Stores,
    router: Router,
}

impl Host {
    /// An instance of its own.
    pub(super) fn new(provider: &Arc<Provider>, service: Value) -> Self {
        let settings = settings(service);
        let stores = Stores::memory(&settings);
        Self::with(provider, settings, stores)
    }

    /// An instance over stores that others may share.
    pub(super) fn with(provider: &Arc<Provider>, settings: Settings, stores: Stores) -> Self {
        let parts = Parts {
            upstream: Arc::clone(provider) as Arc<dyn Upstream>,
            stores: stores.clone(),
            clock: Clock::starting_at(1_767_225_600_000_000),
            seed: 7,
            shutdown: CancellationToken::new(),
            name: "replica".to_owned(),
        };
        let (app, exporter) = App::build(settings, parts).unwrap();
        if let Some(exporter) = exporter {
            tokio::spawn(exporter.run(app.shutdown.clone()));
        }
        Self {
            stores,
            router: features::router(Arc::clone(&app)),
            app,
            began: Instant::now(),
        }
    }

    /// Milliseconds since the start.
    pub(super) fn elapsed_ms(&self) -> u128 {
        self.began.elapsed().as_millis()
    }

    /// Sends a request. Dropping the future is a client that leaves.
    pub(super) fn send(&self, method: Method, path: &str, body: &str) -> impl Future<Output = Response> + Send + use<> {
        self.send_with(method, path, &[], body)
    }

    /// The same with more headers.
    pub(super) fn send_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> impl Future<Output = Response> + Send + use<> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", "prompt-17")
            .header("traceparent", TRACEPARENT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body.to_owned())).unwrap())
    }

    /// The same with a request of the test's own making.
    pub(super) fn ask(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + use<> {
        let router = self.router.clone();
        async move { router.oneshot(request).await.unwrap() }
    }

    pub(super) fn post(&self, path: &str) -> impl Future<Output = Response> + Send + use<> {
        self.send(Method::POST, path, &question().to_string())
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.send(Method::GET, path, "").await).await
    }

    pub(super) async fn chat(&self) -> Answer {
        Answer::read(self.post("/chat").await).await
    }

    pub(super) async fn stream(&self) -> Answer {
        Answer::read(self.post("/chat/stream").await).await
    }

    /// Asks as OpenAI's clients do, with `more` in the request.
    pub(super) async fn complete(&self, more: Value) -> Answer {
        let mut body = map(question());
        body.insert("model".to_owned(), json!("default"));
        body.extend(map(more));
        let response = self.send(Method::POST, "/v1/chat/completions", &Value::Object(body).to_string());
        Answer::read(response.await).await
    }

    /// The same instance with more features.
    pub(super) fn with_features(mut self, more: Vec<features::Routes>) -> Self {
        let features = features::all().into_iter().chain(more).collect();
        self.router = features::assemble(Arc::clone(&self.app), features);
        self
    }

    /// The routes as axum has them, for those who look at them from outside.
    pub(super) fn routes_in_words(&self) -> String {
        format!("{:?}", self.router)
    }
}

pub(super) fn question() -> Value {
    json!({ "messages": [{ "role": "user", "content": "[prompt 17] hello" }], "max_tokens": 50 })
}

/// A response that was read to its end.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The kind of problem, from the end of its `type`.
    pub(super) fn problem(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        let kind = json["type"].as_str().unwrap().rsplit(':').next().unwrap();
        (self.status.as_u16(), kind.to_owned())
    }

    /// The events of a stream, as `name data`.
    pub(super) fn events(&self) -> Vec<(String, Value)> {
        let blocks = self.body.split("\n\n").filter(|block| block.starts_with("event"));
        blocks
            .map(|block| {
                let (name, data) = block.split_once('\n').unwrap();
                let name = name.strip_prefix("event: ").unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                (name.to_owned(), serde_json::from_str(data).unwrap())
            })
            .collect()
    }

    /// The data of a stream of unnamed events.
    pub(super) fn data(&self) -> Vec<String> {
        let lines = self.body.lines();
        lines
            .filter_map(|line| line.strip_prefix("data: "))
            .map(str::to_owned)
            .collect()
    }

    /// The names of the events.
    pub(super) fn event_names(&self) -> Vec<String> {
        self.events().into_iter().map(|(name, _)| name).collect()
    }
}
