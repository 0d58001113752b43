//! Sends spans to a collector, in batches, through the service's own connection to the outside.
//!
//! Telemetry is never worth a request: the channel is bounded, a batch that cannot be delivered is dropped and counted,
//! and there is no second try.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::otlp::{self, Resource};
use super::span::SpanRecord;
use crate::error::ServiceError;
use crate::upstream::Upstream;

/// Spans that wait at most; more are dropped.
pub(crate) const QUEUE: usize = 8192;
/// Spans sent together at most.
const BATCH: usize = 512;
/// A span waits for others at most this long.
const LINGER: Duration = Duration::from_secs(1);
/// One delivery takes at most this long.
const DELIVERY: Duration = Duration::from_secs(2);

/// The one task that sends spans.
pub(crate) struct Exporter {
    spans: mpsc::Receiver<SpanRecord>,
    upstream: Arc<dyn Upstream>,
    endpoint: Uri,
    resource: Resource,
    metrics: Metrics,
}

impl Exporter {
    /// The exporter to the collector at `base`, and where spans go in.
    pub(crate) fn new(
        base: &str,
        resource: Resource,
        upstream: Arc<dyn Upstream>,
        metrics: Metrics,
    ) -> Result<(Self, mpsc::Sender<SpanRecord>), ServiceError> {
        let endpoint = format!("{}/v1/traces", base.trim_end_matches('/'));
        let endpoint: Uri =
            endpoint
                .parse()
                .map_err(|error: http::uri::InvalidUri| ServiceError::CollectorAddress {
                    problem: error.to_string(),
                })?;
        if endpoint.authority().is_none() {
            return Err(ServiceError::CollectorAddress {
                problem: "it has no scheme or no host".to_owned(),
            });
        }
        let (sender, spans) = mpsc::channel(QUEUE);
        let exporter = Self {
            spans,
            upstream,
            endpoint,
            resource,
            metrics,
        };
        Ok((exporter, sender))
    }

    /// Sends until `stop`, and then what is left.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.fill(&mut batch, &stop).await {
            self.deliver(&mut batch).await;
        }
        loop {
            while batch.len() < BATCH
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            if batch.is_empty() {
                return;
            }
            self.deliver(&mut batch).await;
        }
    }

    /// Collects a batch; false when it is time to stop.
    async fn fill(&mut self, batch: &mut Vec<SpanRecord>, stop: &CancellationToken) -> bool {
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            first = self.spans.recv() => first,
        };
        let Some(first) = first else { return false };
        batch.push(first);
        let due = tokio::time::sleep(LINGER);
        tokio::pin!(due);
        while batch.len() < BATCH {
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                () = &mut due => break,
                more = self.spans.recv_many(batch, BATCH - batch.len()) => if more == 0 { return false },
            }
        }
        true
    }

    async fn deliver(&self, batch: &mut Vec<SpanRecord>) {
        let mut request = http::Request::new(Bytes::from(otlp::body(&self.resource, batch)));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        let sent = tokio::time::timeout(DELIVERY, self.upstream.send(request)).await;
        let delivered = sent.is_ok_and(|sent| sent.is_ok_and(|response| response.status().is_success()));
        if !delivered {
            self.metrics.spans_dropped.inc_by(batch.len() as u64);
        }
        batch.clear();
    }
}
