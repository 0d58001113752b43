//! The witness of an attempt: counts it, measures it, charges it and records its span, however it ends.
//!
//! It ends also by being dropped, because nobody wants the attempt any more; that is an outcome like any other.

use std::time::Duration;

use tokio::time::Instant;

use super::call::Call;
use super::circuit::Admission;
use super::openai::{Completion, Usage};
use super::provider::Provider;
use super::stream::StreamEnd;
use super::{AttemptFailure, estimate};
use crate::limits::Charge;
use crate::routing::{Kind, Try};
use crate::settings::Price;
use crate::storage::Provenance;
use crate::telemetry::conventions::{attempt_name, attribute, event, value};
use crate::telemetry::{Metrics, Span, Trace, Wasted};

/// What a good answer says about itself.
pub(super) struct Good<'a> {
    model: &'a str,
    finish_reason: &'a str,
    usage: Option<Usage>,
}

impl<'a> From<&'a Completion> for Good<'a> {
    fn from(answer: &'a Completion) -> Self {
        Self {
            model: &answer.model,
            finish_reason: &answer.finish_reason,
            usage: answer.usage,
        }
    }
}

impl<'a> From<&'a StreamEnd> for Good<'a> {
    fn from(end: &'a StreamEnd) -> Self {
        Self {
            model: &end.model,
            finish_reason: &end.finish_reason,
            usage: end.usage,
        }
    }
}

/// Sees one attempt to its end.
pub(super) struct Witness {
    span: Span,
    trace: Trace,
    metrics: Metrics,
    provider: String,
    /// As asked for: known and few, whatever the provider answers.
    model: String,
    prices: Option<(Price, Price)>,
    /// Until it has begun to answer.
    tries: Option<Try>,
    /// Hears how the attempt ended, or that nobody saw its end.
    admission: Admission,
    /// What it costs.
    charge: Charge,
    outcome: &'static str,
    began: Instant,
    first_token: Option<Instant>,
    /// Tokens of what was asked, about, until it is known what the attempt used, or that it used nothing.
    prompt_tokens: Option<u64>,
    /// Tokens in the pieces of text that came, about; those of them that came when the client had left; and how many they
    /// are at most, for money.
    tokens: u64,
    late_tokens: u64,
    most_tokens: u64,
}

impl Witness {
    pub(super) fn begin(
        call: &Call,
        metrics: &Metrics,
        provider: &Provider,
        (admission, mut charge): (Admission, Charge),
        stream: bool,
    ) -> Self {
        charge.begin();
        call.trace.asks();
        let mut span = call.trace.client_span(attempt_name(&provider.model));
        span.set(attribute::OPERATION, value::CHAT);
        span.set(attribute::PROVIDER, value::OPENAI);
        span.set(attribute::PROVIDER_KEY, provider.name.clone());
        span.set(attribute::REQUEST_MODEL, provider.model.clone());
        span.set(attribute::REQUEST_STREAM, stream);
        if let Some(tokens) = call.prompt.max_tokens {
            span.set(attribute::REQUEST_MAX_TOKENS, tokens);
        }
        if let Some(host) = provider.endpoint.host() {
            span.set(attribute::SERVER_ADDRESS, host.to_owned());
        }
        let default_port = if provider.endpoint.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        span.set(
            attribute::SERVER_PORT,
            provider.endpoint.port_u16().unwrap_or(default_port),
        );
        span.set(attribute::ROUTE_REASON, call.route.reason.word);
        let (began, kind) = (Instant::now(), if stream { Kind::FirstToken } else { Kind::Whole });
        Self {
            span,
            trace: call.trace.clone(),
            metrics: metrics.clone(),
            provider: provider.name.clone(),
            model: provider.model.clone(),
            prices: provider.prices,
            tries: Some(provider.pace.tries(kind, began)),
            admission,
            charge,
            outcome: "cancelled",
            began,
            first_token: None,
            prompt_tokens: Some(estimate::likely(call.prompt.bytes() + call.begun.text.len())),
            tokens: 0,
            late_tokens: 0,
            most_tokens: 0,
        }
    }

    /// The `traceparent` to send along.
    pub(super) fn traceparent(&self) -> Option<String> {
        self.span.traceparent()
    }

    /// A piece of a streamed answer came.
    pub(super) fn piece(&mut self, text: &str) {
        let tokens = estimate::in_piece(text.len());
        self.tokens += tokens;
        self.most_tokens += estimate::most_in_piece(text.len());
        self.trace.piece(&self.provider);
        if self.trace.has_client_left() {
            self.late_tokens += tokens;
        }
        if self.first_token.is_none() {
            self.first_token = Some(Instant::now());
            self.has_begun();
            let after_us = self.span.event(event::FIRST_TOKEN);
            self.span.set(attribute::FIRST_CHUNK, after_us as f64 / 1e6);
            self.metrics
                .first_token(self.trace.name(), &self.model, self.trace.spent().total);
        }
    }

    /// The attempt gave a whole answer.
    pub(super) fn answered<'a>(&mut self, answer: impl Into<Good<'a>>) {
        let answer = answer.into();
        self.outcome = "ok";
        self.has_begun();
        self.admission.succeeded();
        self.span.set(attribute::RESPONSE_MODEL, answer.model.to_owned());
        let reasons = vec![answer.finish_reason.to_owned()];
        self.span.set(attribute::FINISH_REASONS, reasons);
        if let Some(usage) = answer.usage {
            self.charge.used(usage);
            self.prompt_tokens = None;
            self.trace.attempt_used(usage, Provenance::Authoritative);
            self.span.set(attribute::INPUT_TOKENS, usage.prompt_tokens);
            self.span.set(attribute::OUTPUT_TOKENS, usage.completion_tokens);
            self.metrics.used(&self.model, usage);
            self.priced(usage);
            self.paced(usage.completion_tokens);
        }
        if !self.trace.has_client_left() {
            return;
        }
        // Nobody was there for all of it, or for the last part. Of a part only the pieces can be counted.
        match answer.usage {
            Some(usage) if self.late_tokens == self.tokens => {
                self.metrics.wasted(Wasted::Abandoned, false, usage.completion_tokens);
            }
            _ => self.metrics.wasted(Wasted::Abandoned, true, self.late_tokens),
        }
    }

    /// The attempt gave an answer, as far as a content filter let it: the provider did its work, and is paid for it.
    pub(super) fn filtered<'a>(&mut self, answer: impl Into<Good<'a>>) {
        self.answered(answer);
        self.failed(&AttemptFailure::Filtered { usage: None });
    }

    /// The attempt failed.
    pub(super) fn failed(&mut self, failure: &AttemptFailure) {
        self.outcome = failure.outcome();
        if let Some(tries) = self.tries.take() {
            tries.gave_up(Instant::now());
        }
        self.admission.failed(failure);
        if !failure.may_be_billed() {
            self.charge.unused();
            self.prompt_tokens = None;
        } else if self.tokens > 0 && failure.is_their_end() {
            self.charge.came(self.most_tokens);
        }
        self.span.fail();
        if let AttemptFailure::Status { status, .. } = failure {
            self.span.set(attribute::STATUS, *status);
        }
        self.span.set(attribute::ERROR, self.outcome);
        if self.tokens > 0 {
            self.metrics.wasted(Wasted::Truncated, true, self.tokens);
        }
    }

    /// The first of the answer is here.
    fn has_begun(&mut self) {
        if let Some(tries) = self.tries.take() {
            tries.took(Instant::now());
        }
    }

    /// What the answer costs, where the settings say what a token does.
    fn priced(&self, usage: Usage) {
        let Some((prompt, completion)) = self.prices else {
            return;
        };
        let nanos = prompt
            .nanos_for(usage.prompt_tokens)
            .saturating_add(completion.nanos_for(usage.completion_tokens));
        self.metrics.cost(&self.model, nanos as f64 / 1e9);
    }

    /// Time per token: what came after the first, spread over the tokens after the first. Source: GenAI conventions,
    /// `gen_ai.server.time_per_output_token`.
    fn paced(&self, tokens: u64) {
        let Some(first) = self.first_token else { return };
        if let Some(gaps) = tokens.checked_sub(1).filter(|gaps| *gaps > 0) {
            let each = (Instant::now() - first).as_secs_f64() / gaps as f64;
            self.metrics.output_token(&self.model, Duration::from_secs_f64(each));
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if self.outcome == "cancelled" {
            self.span.set(attribute::CANCELLED, true);
            // Whoever has begun to answer is well, as far as anybody stayed to see.
            if self.tokens > 0 {
                self.admission.succeeded();
            }
        }
        if let Some(prompt_tokens) = self.prompt_tokens {
            let usage = Usage {
                prompt_tokens,
                completion_tokens: self.tokens,
            };
            self.trace.attempt_used(usage, Provenance::Estimated);
        }
        let took = Instant::now() - self.began;
        self.metrics.attempt(&self.provider, self.outcome, took);
    }
}
