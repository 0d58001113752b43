//! Traces: which request spent which time on what.
//!
//! A span records itself when it is dropped, so a wait that was cut short (a client left, a deadline passed) is recorded
//! as far as it came. Times are the service's clock's. Does not sample: what cannot be sent is dropped and counted.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::metrics::Metrics;
use super::span::{Event, SpanKind, SpanRecord, Value};
use super::story::Story;
use super::timing::{Part, Spent};
use crate::clock::Clock;
use crate::draws::{Purpose, bits};
use crate::storage::Provenance;
use crate::sync::lock;
use crate::upstream::Usage;

/// A W3C trace context: the part of it that joins spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace: u128,
    pub(crate) span: u64,
}

impl TraceParent {
    /// Reads a `traceparent` header, version 00. Source: W3C Trace Context, section 3.2.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        let right_length = version.len() == 2 && trace.len() == 32 && span.len() == 16;
        let trace = u128::from_str_radix(trace, 16).ok()?;
        let span = u64::from_str_radix(span, 16).ok()?;
        (right_length && version != "ff" && trace != 0 && span != 0).then_some(Self { trace, span })
    }
}

impl std::fmt::Display for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{:032x}-{:016x}-01", self.trace, self.span)
    }
}

/// Makes the traces of an instance.
#[derive(Clone)]
pub(crate) struct Tracer {
    /// `None` when nobody collects.
    spans: Option<mpsc::Sender<SpanRecord>>,
    metrics: Metrics,
    clock: Clock,
    seed: u64,
    count: Arc<AtomicU64>,
}

impl Tracer {
    pub(crate) fn new(spans: Option<mpsc::Sender<SpanRecord>>, metrics: Metrics, clock: Clock, seed: u64) -> Self {
        Self {
            spans,
            metrics,
            clock,
            seed,
            count: Arc::default(),
        }
    }

    /// The trace of a request, continued from `parent` or begun here, and the span of the request itself.
    pub(crate) fn begin(&self, parent: Option<TraceParent>, request_id: &str, name: &'static str) -> (Trace, Span) {
        self.root(parent, request_id, name, SpanKind::Server)
    }

    /// The same for a job that was taken from a queue.
    pub(crate) fn resume(&self, parent: Option<TraceParent>, request_id: &str, name: &'static str) -> (Trace, Span) {
        self.root(parent, request_id, name, SpanKind::Consumer)
    }

    fn root(&self, parent: Option<TraceParent>, request_id: &str, name: &'static str, kind: SpanKind) -> (Trace, Span) {
        let begun = || {
            bits(
                self.seed ^ self.clock.now_unix_us(),
                Purpose::Trace,
                request_id,
                self.next(),
            )
        };
        let trace = parent.map_or_else(begun, |parent| parent.trace);
        let root = self.span_id(trace);
        let span = self.open(trace, root, parent.map(|parent| parent.span), name.into(), kind);
        let log = tracing::info_span!(
            "request",
            trace_id = format_args!("{trace:032x}"),
            span_id = format_args!("{root:016x}"),
            request_id,
            tenant = tracing::field::Empty,
        );
        let trace = Trace {
            tracer: self.clone(),
            id: trace,
            root,
            name,
            began_us: self.clock.now_unix_us(),
            story: Arc::default(),
            log,
        };
        (trace, span)
    }

    fn open(&self, trace: u128, id: u64, parent: Option<u64>, name: Cow<'static, str>, kind: SpanKind) -> Span {
        let start_us = self.clock.now_unix_us();
        let record = SpanRecord {
            trace,
            id,
            parent,
            name,
            kind,
            start_us,
            end_us: start_us,
            attributes: Vec::new(),
            events: Vec::new(),
            failed: false,
        };
        Span {
            tracer: self.clone(),
            record: Some(record),
            counted: None,
        }
    }

    fn span_id(&self, trace: u128) -> u64 {
        let mut key = String::with_capacity(32);
        let _ = write!(key, "{trace:032x}");
        let seed = self.seed ^ self.clock.now_unix_us();
        (bits(seed, Purpose::Span, &key, self.next()) as u64).max(1)
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&self, record: SpanRecord) {
        if let Some(spans) = &self.spans
            && spans.try_send(record).is_err()
        {
            self.metrics.spans_dropped.inc();
        }
    }
}

/// The trace of one request. Cheap to clone, so that detached work can keep it.
#[derive(Clone)]
pub(crate) struct Trace {
    tracer: Tracer,
    id: u128,
    root: u64,
    name: &'static str,
    began_us: u64,
    story: Arc<Story>,
    log: tracing::Span,
}

impl Trace {
    /// A stretch of the request's time, from now until the span is dropped.
    pub(crate) fn span(&self, name: &'static str) -> Span {
        self.child(name.into(), SpanKind::Internal)
    }

    /// The same, for a call to somebody else.
    pub(crate) fn client_span(&self, name: impl Into<Cow<'static, str>>) -> Span {
        self.child(name.into(), SpanKind::Client)
    }

    /// A stretch of time that is over already, such as a wait in a queue.
    pub(crate) fn record(&self, name: &'static str, start_us: u64, end_us: u64) {
        let mut span = self.span(name);
        if let Some(record) = span.record.take() {
            self.tracer.send(SpanRecord {
                start_us,
                end_us,
                ..record
            });
        }
    }

    /// What to store or send for somebody who continues this trace.
    pub(crate) const fn parent(&self) -> TraceParent {
        TraceParent {
            trace: self.id,
            span: self.root,
        }
    }

    /// The name of the request's own span: its endpoint, or `job`.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Where the request's time went until now.
    pub(crate) fn spent(&self) -> Spent {
        self.story.timing.spent(self.began_us, self.tracer.clock.now_unix_us())
    }

    /// The head of the answer is to say this too, if it has not left yet.
    pub(crate) fn say(&self, header: &'static str, value: String) {
        let mut said = lock(&self.story.said);
        said.retain(|(known, _)| *known != header);
        said.push((header, value));
    }

    /// What the head of the answer is to say besides.
    pub(crate) fn said(&self) -> Vec<(&'static str, String)> {
        lock(&self.story.said).clone()
    }

    /// The one who waited for the answer is gone.
    pub(crate) fn client_has_left(&self) {
        self.story.client_has_left();
    }

    /// Whether nobody waits for the answer any more.
    pub(crate) fn has_client_left(&self) -> bool {
        self.story.has_client_left()
    }

    /// A provider is asked.
    pub(crate) fn asks(&self) {
        self.story.asks();
    }

    /// Whether a provider was asked.
    pub(crate) fn was_asked(&self) -> bool {
        self.story.was_asked()
    }

    /// A piece of an answer came from `provider`.
    pub(crate) fn piece(&self, provider: &str) {
        self.story.piece(provider);
    }

    /// Who sent the first piece of an answer. `None` before it.
    pub(crate) fn begun_by(&self) -> Option<String> {
        self.story.begun_by()
    }

    /// An attempt has ended that somebody may bill for, and used so much.
    pub(crate) fn attempt_used(&self, usage: Usage, provenance: Provenance) {
        self.story.attempt_used(usage, provenance);
    }

    /// What all attempts that have ended used: an estimate if that of one of them is.
    pub(crate) fn attempts_used(&self) -> Option<(Usage, Provenance)> {
        self.story.attempts_used()
    }

    /// What the request used is known now.
    pub(crate) fn used(&self, usage: Usage, provenance: Provenance) {
        self.story.used(usage, provenance);
    }

    /// What the request used, as far as it is known.
    pub(crate) fn usage(&self) -> Option<(Usage, Provenance)> {
        self.story.usage()
    }

    /// What is done in this trace is done for `other` too.
    pub(crate) fn shared_with(&self, other: &Self) {
        self.story.shared_with(&other.story);
    }

    /// Whose request it is, for its log lines.
    pub(crate) fn tenant(&self, tenant: &str) {
        self.log.record("tenant", tenant);
    }

    /// The context of this request's log lines. Work that is done for it elsewhere is instrumented with it.
    pub(crate) const fn log(&self) -> &tracing::Span {
        &self.log
    }

    fn child(&self, name: Cow<'static, str>, kind: SpanKind) -> Span {
        let id = self.tracer.span_id(self.id);
        let counted = Part::of(&name, kind).map(|part| {
            self.story.timing.begin(part, self.tracer.clock.now_unix_us());
            (part, Arc::clone(&self.story))
        });
        let mut span = self.tracer.open(self.id, id, Some(self.root), name, kind);
        span.counted = counted;
        span
    }
}

/// A stretch of a request's time. It ends when it is dropped.
#[must_use = "a span measures until it is dropped"]
pub(crate) struct Span {
    tracer: Tracer,
    record: Option<SpanRecord>,
    /// The part of the request's time that it counts into.
    counted: Option<(Part, Arc<Story>)>,
}

impl Span {
    /// Says something about the span.
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(record) = &mut self.record {
            record.attributes.push((key, value.into()));
        }
    }

    /// Something happened now. Returns how long the span has lasted, in microseconds.
    pub(crate) fn event(&mut self, name: &'static str) -> u64 {
        let at_us = self.tracer.clock.now_unix_us();
        self.record.as_mut().map_or(0, |record| {
            record.events.push(Event { name, at_us });
            at_us.saturating_sub(record.start_us)
        })
    }

    /// What the span stands for failed.
    pub(crate) const fn fail(&mut self) {
        if let Some(record) = &mut self.record {
            record.failed = true;
        }
    }

    /// The `traceparent` of a call that this span covers.
    pub(crate) fn traceparent(&self) -> Option<String> {
        let record = self.record.as_ref()?;
        let parent = TraceParent {
            trace: record.trace,
            span: record.id,
        };
        Some(parent.to_string())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let now_us = self.tracer.clock.now_unix_us();
        if let Some((part, story)) = self.counted.take() {
            story.timing.end(part, now_us);
        }
        if let Some(mut record) = self.record.take() {
            record.end_us = now_us;
            self.tracer.send(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparents_are_read_and_written_alike() {
        assert_eq!(TraceParent::parse(HEADER).unwrap().to_string(), HEADER);
        for bad in [
            "",
            "00-xyz-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_was_cut_short_is_recorded_as_far_as_it_came() {
        let (sender, mut spans) = mpsc::channel(8);
        let tracer = Tracer::new(Some(sender), Metrics::default(), Clock::starting_at(1_000), 7);
        let (trace, root) = tracer.begin(TraceParent::parse(HEADER), "r", "request");
        let wait = async {
            let _span = trace.span("wait.pool");
            tokio::time::sleep(Duration::from_mins(1)).await;
        };
        let cut = tokio::time::timeout(Duration::from_millis(250), wait).await;
        assert!(cut.is_err());
        drop(root);
        let wait = spans.recv().await.unwrap();
        assert_eq!(
            (wait.name.as_ref(), wait.start_us, wait.end_us),
            ("wait.pool", 1_000, 251_000)
        );
        let root = spans.recv().await.unwrap();
        assert_eq!(wait.parent, Some(root.id));
        assert_eq!(root.parent, Some(0x00f0_67aa_0ba9_02b7));
        assert_eq!(root.trace, wait.trace);
    }

    #[tokio::test(start_paused = true)]
    async fn spans_that_nobody_takes_are_dropped_and_counted() {
        let (sender, _spans) = mpsc::channel(1);
        let metrics = Metrics::default();
        let tracer = Tracer::new(Some(sender), metrics.clone(), Clock::starting_at(0), 7);
        let (trace, _root) = tracer.begin(None, "r", "request");
        for _ in 0..3 {
            drop(trace.span("attempt"));
        }
        assert_eq!(metrics.spans_dropped.get(), 2);
    }
}
