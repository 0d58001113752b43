//! A provider that really listens, and clients that really connect.

pub(crate) mod memory;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use brownout_service::Settings;
use brownout_service::upstream::{Upstream, UpstreamError};
use futures::StreamExt;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long the provider takes in tests that do not care.
pub(crate) const DOING: Duration = Duration::from_millis(5);

/// Settings with one provider.
pub(crate) fn settings(base: &str, service: &Value) -> Settings {
    let mut map = json!({ "providers": [{ "name": "a", "base_url": base, "model": "m" }] });
    map.as_object_mut()
        .unwrap()
        .extend(service.as_object().unwrap().clone());
    let Value::Object(map) = map else { unreachable!() };
    Settings::from_map(map).unwrap()
}

/// What a provider counted.
#[derive(Clone, Default)]
pub(crate) struct Counts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    began: AtomicU32,
    hung_up: AtomicU32,
    cut: AtomicU32,
    takes: Duration,
}

impl Counts {
    pub(crate) fn began(&self) -> u32 {
        self.0.began.load(Ordering::Relaxed)
    }

    pub(crate) fn hung_up(&self) -> u32 {
        self.0.hung_up.load(Ordering::Relaxed)
    }

    /// Requests for `/cut` beyond one for each client.
    pub(crate) fn retried(&self) -> u32 {
        self.0.cut.load(Ordering::Relaxed).saturating_sub(2)
    }
}

/// Counts a request, and whether its caller hung up.
struct Watch(Counts, bool);

impl Watch {
    fn begin(counts: &Counts) -> Self {
        counts.0.began.fetch_add(1, Ordering::Relaxed);
        Self(counts.clone(), false)
    }

    fn finished(&mut self, finished: bool) {
        self.1 = finished;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.1 {
            self.0.0.hung_up.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Starts a provider whose answers take `takes`.
pub(crate) fn provider<L: Listener>(mut listener: L, takes: Duration) -> Counts {
    let counts = Counts(Arc::new(Inner {
        takes,
        ..Inner::default()
    }));
    let router = Router::new()
        .route("/v1/chat/completions", post(completion))
        .route("/moved", get(|| async { (StatusCode::FOUND, [("location", "/v1")]) }))
        .route("/cut", get(cut))
        .route("/endless", get(endless))
        .with_state(counts.clone());
    tokio::spawn(async move {
        loop {
            let (io, _) = listener.accept().await;
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(io), service));
        }
    });
    counts
}

async fn completion(State(counts): State<Counts>, body: Bytes) -> Response {
    let mut watch = Watch::begin(&counts);
    let request: Value = serde_json::from_slice(&body).unwrap();
    tokio::time::sleep(counts.0.takes).await;
    let usage = json!({ "prompt_tokens": 3, "completion_tokens": 2 });
    if request["stream"] != json!(true) {
        watch.finished(true);
        let message = json!({ "role": "assistant", "content": "one two" });
        let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
        return axum::Json(json!({ "model": "m", "choices": choices, "usage": usage })).into_response();
    }
    let delta = |text: &str| json!({ "choices": [{ "delta": { "content": text }, "finish_reason": null }] });
    let frames = [
        delta("one"),
        delta(" two"),
        json!({ "choices": [{ "delta": {}, "finish_reason": "stop" }] }),
        json!({ "choices": [], "usage": usage }),
    ];
    let mut text: Vec<String> = frames.iter().map(|frame| format!("data: {frame}\n\n")).collect();
    text.push("data: [DONE]\n\n".to_owned());
    let frames = futures::stream::iter(text).then(move |frame| {
        watch.finished(frame.contains("DONE"));
        async move { Ok::<_, io::Error>(frame) }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(frames)).into_response()
}

async fn cut(State(counts): State<Counts>) -> Response {
    counts.0.cut.fetch_add(1, Ordering::Relaxed);
    let frames = futures::stream::iter([Ok("some"), Err(io::Error::other("cut"))]).then(|frame| async move {
        // Time for what was written to leave.
        tokio::time::sleep(Duration::from_millis(5)).await;
        frame
    });
    Body::from_stream(frames).into_response()
}

async fn endless(State(counts): State<Counts>) -> Response {
    let watch = Watch::begin(&counts);
    let frames = futures::stream::unfold(watch, |watch| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((Ok::<_, io::Error>("more"), watch))
    });
    Body::from_stream(frames).into_response()
}

/// What can be seen through an [`Upstream`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) redirect: u16,
    pub(crate) refused: &'static str,
    pub(crate) cut: &'static str,
    pub(crate) body: String,
}

impl Wire {
    pub(crate) async fn observe(upstream: &dyn Upstream, base: &str, nobody: &str) -> Self {
        let get = |uri: &str| Request::get(uri).body(Bytes::new()).unwrap();
        let redirect = upstream.send(get(&format!("{base}/moved"))).await.unwrap().status();
        let refused = upstream.send(get(nobody)).await.map(drop).unwrap_err();
        let cut = upstream.send(get(&format!("{base}/cut"))).await.unwrap();
        let cut = cut.into_body().collect().await.map(drop).unwrap_err();
        let mut endless = upstream
            .send(get(&format!("{base}/endless")))
            .await
            .unwrap()
            .into_body();
        endless.frame().await.unwrap().unwrap();
        drop(endless);
        let mut asking = Request::new(Bytes::from_static(b"{}"));
        *asking.method_mut() = http::Method::POST;
        *asking.uri_mut() = format!("{base}/v1/chat/completions").parse().unwrap();
        let answer = upstream
            .send(asking)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
        Self {
            redirect: redirect.as_u16(),
            refused: kind(&refused),
            cut: kind(&cut),
            body: String::from_utf8(answer.to_bytes().to_vec()).unwrap(),
        }
    }
}

const fn kind(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Connect(_) => "connect",
        UpstreamError::ConnectTimeout => "connect timeout",
        UpstreamError::Broken(_) => "broken",
    }
}

/// Asks for a chat over a connection of its own. Dropping the future closes that connection.
pub(crate) async fn ask<Io>(
    connecting: impl Future<Output = io::Result<Io>>,
    path: &str,
) -> Result<(u16, String), Box<dyn std::error::Error + Send + Sync>>
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(connecting.await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Full<Bytes>>(io).await?;
    let question = json!({ "messages": [{ "role": "user", "content": "hello" }] }).to_string();
    let request = Request::post(path)
        .header("host", "service")
        .body(Full::new(question.into()))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec())?))
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        result = &mut exchange => result,
        _ = connection => exchange.await,
    }
}
