//! The breaker of one provider at work: every attempt passes it, and tells it how it ended.
//!
//! Each operation has its own: a provider that has chat models alone refuses every embedding, and is none the worse at
//! chat for it. Does not decide anything; that is [`crate::resilience::breaker`]'s.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::AttemptFailure;
use crate::clock::Clock;
use crate::draws::{Purpose, unit};
use crate::resilience::breaker::{Admit, Breaker, BreakerSettings, Outcome, Standing, Ticket};
use crate::resilience::classes::Mark;
use crate::sync::lock;
use crate::telemetry::Metrics;
use crate::telemetry::conventions::value;

/// A provider's breaker for one operation. Clones share it.
#[derive(Clone)]
pub(super) struct Circuit {
    shared: Arc<Mutex<Shared>>,
    metrics: Metrics,
    provider: String,
    operation: &'static str,
    clock: Clock,
    seed: u64,
    /// What its jitter is drawn by.
    key: String,
}

struct Shared {
    breaker: Breaker,
    /// Where it stood when that was last told.
    told: Standing,
}

impl Circuit {
    /// The breaker of `provider` for `operation` in `instance`: what opens together must not probe together.
    pub(super) fn new(
        settings: BreakerSettings,
        metrics: Metrics,
        (provider, operation): (&str, &'static str),
        instance: &str,
        clock: Clock,
        seed: u64,
    ) -> Self {
        let told = Standing::Closed;
        metrics.breaker_stands(provider, operation, told);
        Self {
            shared: Arc::new(Mutex::new(Shared {
                breaker: Breaker::new(settings),
                told,
            })),
            metrics,
            provider: provider.to_owned(),
            operation,
            clock,
            seed,
            key: match operation {
                value::CHAT => format!("{instance} {provider}"),
                operation => format!("{instance} {provider} {operation}"),
            },
        }
    }

    /// Lets an attempt through, or says when to ask again.
    pub(super) fn admit(&self) -> Result<Admission, AttemptFailure> {
        let admitted = self.change(Breaker::admit);
        match admitted {
            Admit::Yes(ticket) | Admit::Probe(ticket) => Ok(Admission {
                circuit: self.clone(),
                ticket: Some(ticket),
            }),
            Admit::No { retry_in } => {
                self.metrics.breaker_refused(&self.provider, self.operation);
                Err(AttemptFailure::Open { retry_in })
            }
        }
    }

    /// Whether an attempt would be refused just now: while it is open, and beside a probe.
    pub(super) fn refuses(&self) -> bool {
        lock(&self.shared).breaker.refuses(Instant::now())
    }

    /// Whether traffic flows.
    pub(super) fn is_closed(&self) -> bool {
        lock(&self.shared).breaker.standing(Instant::now()) == Standing::Closed
    }

    /// A word for readiness.
    pub(super) fn standing(&self) -> &'static str {
        match lock(&self.shared).breaker.standing(Instant::now()) {
            Standing::Closed => "ok",
            Standing::HalfOpen => "recovering",
            Standing::Open => "failing",
        }
    }

    /// Instances with equal seeds and names are kept apart by the moment.
    fn draw(&self) -> f64 {
        let now_us = self.clock.now_unix_us();
        unit(self.seed, Purpose::BreakerJitter, &self.key, now_us)
    }

    /// Changes the breaker, and tells where it stands then if that is somewhere else.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker, Instant) -> T) -> T {
        let now = Instant::now();
        let mut shared = lock(&self.shared);
        let result = change(&mut shared.breaker, now);
        let to = shared.breaker.standing(now);
        let from = std::mem::replace(&mut shared.told, to);
        // Told under the lock: what is told last is what is true.
        if from != to {
            self.metrics.breaker_turned(&self.provider, self.operation, to);
            let (provider, from, to) = (self.provider.as_str(), from.name(), to.name());
            let operation = self.operation;
            tracing::info!(provider, operation, from, to, "a circuit breaker turned");
        }
        drop(shared);
        result
    }
}

/// The leave to make one attempt. Whoever drops it without a word has seen nothing of the provider.
pub(super) struct Admission {
    circuit: Circuit,
    ticket: Option<Ticket>,
}

impl Admission {
    /// The attempt gave an answer.
    pub(super) fn succeeded(&mut self) {
        self.end(Outcome::Success);
    }

    /// The attempt failed.
    pub(super) fn failed(&mut self, failure: &AttemptFailure) {
        self.end(match failure.class().verdict().mark {
            Mark::None => Outcome::Nothing,
            Mark::Down => Outcome::Down,
            Mark::Failure => Outcome::Failure {
                retry_after: failure.retry_after().filter(|asked| *asked > Duration::ZERO),
            },
        });
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(ticket) = self.ticket.take() {
            let draw = self.circuit.draw();
            self.circuit
                .change(|breaker, now| breaker.record(now, ticket, outcome, draw));
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.end(Outcome::Nothing);
    }
}
