//! A provider that does what a test says, and writes down what it saw.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::sync::lock;
use crate::upstream::{Upstream, UpstreamBody, UpstreamError};

/// What the provider does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// A whole answer, after a while.
    Whole(Duration),
    /// A whole answer of these words, after a while.
    Says(Duration, String),
    /// Frames, each after a pause, and then an end.
    Stream(Vec<(Duration, String)>, End),
    /// An error status.
    Status(u16, Option<&'static str>),
    /// An error status with a body of its own.
    Refusal(u16, &'static str),
    /// A vector for each input, after a while: its length and its first letter.
    Vectors(Duration),
    /// Any 200 body.
    Body(&'static str),
    /// No connection.
    Refuse,
    /// No answer, ever.
    Silence,
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The connection closes in good order.
    Clean,
    /// The connection breaks.
    Broken,
    /// Nothing more comes.
    Silence,
}

/// What became of a request, as the provider saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Finished(Duration),
    HungUp(Duration),
}

/// A request that was seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) host: String,
    pub(super) at: Duration,
    pub(super) fate: Fate,
    pub(super) body: Value,
    pub(super) raw: Bytes,
    pub(super) headers: http::HeaderMap,
}

/// The host that spans are sent to. Not counted among the questions.
pub(super) const COLLECTOR: &str = "otlp.sim";

type Script = dyn Fn(usize, &Seen) -> Reply + Send + Sync;

/// The provider. `script` gets the number of the question (from 0) and what is known of it.
pub(super) struct Provider {
    script: Box<Script>,
    log: Arc<Mutex<Vec<Seen>>>,
    began: Instant,
}

impl Provider {
    pub(super) fn new(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            log: Arc::default(),
            began: Instant::now(),
        })
    }

    /// All requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.log).clone()
    }

    pub(super) fn fates(&self) -> Vec<Fate> {
        self.seen().into_iter().map(|seen| seen.fate).collect()
    }

    /// When each request came, in milliseconds.
    pub(super) fn times(&self) -> Vec<u128> {
        self.seen().into_iter().map(|seen| seen.at.as_millis()).collect()
    }

    pub(super) fn hosts(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.host).collect()
    }

    /// Requests that were open at the same time, at most.
    pub(super) fn most_at_once(&self) -> usize {
        let end = |fate| match fate {
            Fate::Open => Duration::MAX,
            Fate::Finished(at) | Fate::HungUp(at) => at,
        };
        let seen = self.seen();
        let open_at = |at: Duration| seen.iter().filter(|s| s.at <= at && end(s.fate) > at).count();
        seen.iter().map(|s| open_at(s.at)).max().unwrap_or(0)
    }
}

/// A frame with a word.
pub(super) fn word(text: &str) -> String {
    data(&json!({ "model": "m-1", "choices": [{ "index": 0, "delta": { "content": text }, "finish_reason": null }] }))
}

/// The frames that complete a stream.
pub(super) fn ending() -> Vec<(Duration, String)> {
    let finish = json!({ "model": "m-1", "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    let usage = json!({ "model": "m-1", "choices": [], "usage": { "prompt_tokens": 3, "completion_tokens": 2 } });
    [data(&finish), data(&usage), "data: [DONE]\n\n".to_owned()]
        .map(|frame| (Duration::ZERO, frame))
        .into()
}

/// A complete stream of `words`, the first after `first`, the others `gap` apart.
pub(super) fn stream_of(first: Duration, gap: Duration, words: &[&str]) -> Reply {
    let pause = |n: usize| if n == 0 { first } else { gap };
    let mut frames: Vec<_> = words
        .iter()
        .enumerate()
        .map(|(n, text)| (pause(n), word(text)))
        .collect();
    frames.extend(ending());
    Reply::Stream(frames, End::Clean)
}

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn whole(content: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "model": "m-1",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5 },
    })
}

/// A token for every letter, and the last input first: only `index` says whose a vector is.
fn vectors(asked: &Value) -> Value {
    let texts: Vec<&str> = asked["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    let vector = |(index, text): (usize, &&str)| json!({ "object": "embedding", "index": index, "embedding": [text.len(), text.as_bytes()[0]] });
    let data: Vec<Value> = texts.iter().enumerate().map(vector).rev().collect();
    let tokens: usize = texts.iter().map(|text| text.len()).sum();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    json!({ "object": "list", "data": data, "model": "m-1", "usage": usage })
}

/// Writes down how a request ended.
struct Watch {
    log: Arc<Mutex<Vec<Seen>>>,
    index: usize,
    began: Instant,
}

impl Watch {
    fn finish(&self) {
        lock(&self.log)[self.index].fate = Fate::Finished(self.began.elapsed());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let fate = &mut lock(&self.log)[self.index].fate;
        if *fate == Fate::Open {
            *fate = Fate::HungUp(self.began.elapsed());
        }
    }
}

#[async_trait]
impl Upstream for Provider {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<UpstreamBody>, UpstreamError> {
        let seen = Seen {
            host: request.uri().host().unwrap_or_default().to_owned(),
            at: self.began.elapsed(),
            fate: Fate::Open,
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
            raw: request.body().clone(),
            headers: request.headers().clone(),
        };
        let (index, number) = {
            let mut log = lock(&self.log);
            let questions = log.iter().filter(|seen| seen.host != COLLECTOR).count();
            log.push(seen.clone());
            (log.len() - 1, questions)
        };
        let watch = Watch {
            log: Arc::clone(&self.log),
            index,
            began: self.began,
        };
        match (self.script)(number, &seen) {
            Reply::Whole(after) => {
                tokio::time::sleep(after).await;
                watch.finish();
                Ok(Response::new(full(whole("Hi there.").to_string())))
            }
            Reply::Says(after, words) => {
                tokio::time::sleep(after).await;
                watch.finish();
                Ok(Response::new(full(whole(&words).to_string())))
            }
            Reply::Vectors(after) => {
                tokio::time::sleep(after).await;
                watch.finish();
                Ok(Response::new(full(vectors(&seen.body).to_string())))
            }
            Reply::Body(body) => {
                watch.finish();
                Ok(Response::new(full(body.to_owned())))
            }
            Reply::Status(status, retry_after) => {
                watch.finish();
                let mut response = Response::builder().status(status);
                if let Some(after) = retry_after {
                    response = response.header("retry-after", after);
                }
                let secret = json!({ "error": { "message": "SECRET of the provider", "code": null } });
                Ok(response.body(full(secret.to_string())).unwrap())
            }
            Reply::Refusal(status, body) => {
                watch.finish();
                let response = Response::builder().status(status);
                Ok(response.body(full(body.to_owned())).unwrap())
            }
            Reply::Refuse => {
                watch.finish();
                Err(UpstreamError::Connect("refused".into()))
            }
            Reply::Silence => std::future::pending().await,
            Reply::Stream(frames, end) => Ok(Response::new(streamed(frames, end, watch))),
        }
    }
}

fn full(body: String) -> UpstreamBody {
    Full::new(Bytes::from(body))
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn streamed(frames: Vec<(Duration, String)>, end: End, watch: Watch) -> UpstreamBody {
    let state = (frames.into_iter(), end, watch);
    let frames = stream::unfold(state, |(mut frames, end, watch)| async move {
        if let Some((pause, frame)) = frames.next() {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            return Some((Ok(Frame::data(Bytes::from(frame))), (frames, end, watch)));
        }
        match end {
            End::Clean => {
                watch.finish();
                None
            }
            End::Broken => {
                watch.finish();
                Some((Err(UpstreamError::Broken("reset".into())), (frames, End::Clean, watch)))
            }
            End::Silence => std::future::pending().await,
        }
    });
    StreamBody::new(frames).boxed_unsync()
}
