//! One call to the model: the attempts it takes, along its course.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::attempt::{self, Form};
use super::call::Call;
use super::circuit::Circuit;
use super::embeddings::{self, EmbeddingAnswer, EmbeddingCall, Visit};
use super::openai::Completion;
use super::provider::Provider;
use super::stream::AnswerStream;
use super::witness::Witness;
use super::{AttemptFailure, Reason, Upstream};
use crate::clock::Clock;
use crate::error::ServiceError;
use crate::resilience::course::{CallFailure, Course, Rules};
use crate::resilience::fallback::Chain;
use crate::resilience::filtered::ContentFilter;
use crate::resilience::hedge::{HedgeSettings, Raced, Which, race};
use crate::resilience::retry::{RetryBudget, RetrySettings};
use crate::routing::{Kind, Outlook};
use crate::settings::{ProviderSettings, Settings};
use crate::telemetry::Metrics;

/// The word for whichever model is preferred.
const DEFAULT_MODEL: &str = "default";

/// Nobody has that model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownModel;

/// Policy: whether the same question may fare better without the beginning of its answer. What a filter refuses, or an
/// account without money, it refuses either way.
const fn may_be_the_beginnings_fault(failure: &AttemptFailure) -> bool {
    matches!(
        failure,
        AttemptFailure::Status {
            status: 400 | 422,
            reason: Reason::Unsaid | Reason::ContextLength,
            ..
        }
    )
}

/// Calls the providers of one instance.
pub(crate) struct ModelClient {
    upstream: Arc<dyn Upstream>,
    providers: Vec<Provider>,
    fallback: bool,
    content_filter: ContentFilter,
    retry: RetrySettings,
    budget: RetryBudget,
    hedge: HedgeSettings,
    hedges: RetryBudget,
    metrics: Metrics,
    seed: u64,
}

impl ModelClient {
    pub(crate) fn new(
        settings: &Settings,
        upstream: Arc<dyn Upstream>,
        metrics: Metrics,
        instance: &str,
        clock: Clock,
        seed: u64,
    ) -> Result<Self, ServiceError> {
        let provider = |provider: &ProviderSettings| {
            let circuit = |operation| {
                let (metrics, of) = (metrics.clone(), (provider.name.as_str(), operation));
                Circuit::new(settings.breaker, metrics, of, instance, clock, seed)
            };
            Provider::new(provider, settings.route, circuit)
        };
        let providers: Vec<Provider> = settings.providers.iter().map(provider).collect::<Result<_, _>>()?;
        if providers.is_empty() {
            return Err(ServiceError::NoProviders);
        }
        Ok(Self {
            upstream,
            providers,
            fallback: settings.fallback,
            content_filter: settings.content_filter,
            retry: settings.retry,
            budget: RetryBudget::new(settings.retry.budget_ratio),
            hedge: settings.hedge,
            hedges: RetryBudget::new(settings.hedge.budget_ratio),
            metrics,
            seed,
        })
    }

    /// Who has `model`: a provider's model, or its name. Nobody in particular for "default".
    pub(crate) fn find(&self, model: &str) -> Result<Option<usize>, UnknownModel> {
        if model == DEFAULT_MODEL {
            return Ok(None);
        }
        let by_model = self.providers.iter().position(|provider| provider.model == model);
        let by_name = || self.providers.iter().position(|provider| provider.name == model);
        by_model.or_else(by_name).map(Some).ok_or(UnknownModel)
    }

    /// What [`ModelClient::find`] knows: each model or name once, with the name of the provider that is asked for it.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        let (models, names) = (self.providers.iter(), self.providers.iter());
        let words = models.map(|provider| provider.model.as_str());
        let words = words.chain(names.map(|provider| provider.name.as_str()));
        let words: BTreeSet<&str> = words.chain([DEFAULT_MODEL]).collect();
        let owner = |word: &str| Some(self.providers[self.find(word).ok()?.unwrap_or_default()].name.as_str());
        words.into_iter().filter_map(move |word| Some((word, owner(word)?)))
    }

    /// A whole answer, and the name of the provider that gave it.
    pub(crate) async fn complete(
        &self,
        call: &Call,
        course: &mut Course<'_>,
    ) -> Result<(Completion, &str), CallFailure> {
        loop {
            let visit = |place: usize| self.whole(call, self.at(call, place)).boxed();
            match self.hedged(call, course, visit).await {
                Ok(completion) => return Ok((completion, &self.provider(call, course).name)),
                Err(failure) => self.next(call, course, failure).await?,
            }
        }
    }

    /// A streamed answer whose first token is here.
    pub(crate) async fn open(&self, call: &Call, course: &mut Course<'_>) -> Result<AnswerStream, CallFailure> {
        loop {
            let refused = AtomicU32::new(0);
            let visit = |place: usize| self.stream(call, self.at(call, place), &refused).boxed();
            let opened = self.hedged(call, course, visit).await;
            for _ in 0..refused.load(Ordering::Relaxed) {
                course.one_more();
            }
            match opened {
                Ok(stream) => return Ok(stream),
                Err(failure) => self.next(call, course, failure).await?,
            }
        }
    }

    /// A visit to the provider whose turn it is, and one beside it if it is late. Afterwards it is the turn of whoever
    /// answered. A breaker's probe is neither hedged nor a hedge.
    async fn hedged<'v, T>(
        &self,
        call: &Call,
        course: &mut Course<'_>,
        visit: impl Fn(usize) -> BoxFuture<'v, Result<T, AttemptFailure>>,
    ) -> Result<T, AttemptFailure> {
        let (place, spare) = (course.provider(), course.spare());
        let closed = |place| self.at(call, place).circuit.is_closed();
        let launch = || {
            let may = course.may_have_one_more() && closed(place) && closed(spare) && self.hedges.withdraw();
            may.then(|| {
                course.one_more();
                self.metrics.hedged("launched");
                visit(spare)
            })
        };
        let Raced { which, result, lost } = race(visit(place), self.hedge.after, launch).await;
        let other = match which {
            Which::First => spare,
            Which::Second => place,
        };
        if which == Which::Second {
            self.metrics.hedged("won");
            course.went_to(spare);
        }
        if let Some(failure) = lost {
            course.also_failed(other, &failure);
        }
        result
    }

    /// One visit to a provider, for a whole answer; none while its breaker is open.
    async fn whole(&self, call: &Call, provider: &Provider) -> Result<Completion, AttemptFailure> {
        let charge = call.funds.attempt(call, provider.prices).await?;
        let permits = (provider.circuit.admit()?, charge);
        let mut witness = Witness::begin(call, &self.metrics, provider, permits, false);
        let result = attempt::whole(self.upstream.as_ref(), provider, call, &witness).await;
        match &result {
            Ok(completion) if self.content_filter.catches(&completion.finish_reason) => {
                witness.filtered(completion);
                let usage = completion.usage;
                return Err(AttemptFailure::Filtered { usage });
            }
            Ok(completion) => witness.answered(completion),
            Err(failure) => witness.failed(failure),
        }
        result
    }

    /// One visit to a provider, for the first token of a stream. A model that does not take the beginning of its answer
    /// from somebody else is asked from the beginning: what it said to the other question is nobody's failure, but an
    /// attempt, and counted in `refused`.
    async fn stream(
        &self,
        call: &Call,
        provider: &Provider,
        refused: &AtomicU32,
    ) -> Result<AnswerStream, AttemptFailure> {
        if provider.prefill && call.can_go_on() {
            match self.open_as(call, provider, Form::Rest).await {
                Err(failure) if may_be_the_beginnings_fault(&failure) => {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                answer => return answer,
            }
        }
        self.open_as(call, provider, Form::Stream).await
    }

    /// None while the provider's breaker is open.
    async fn open_as(&self, call: &Call, provider: &Provider, form: Form) -> Result<AnswerStream, AttemptFailure> {
        let charge = call.funds.attempt(call, provider.prices).await?;
        let permits = (provider.circuit.admit()?, charge);
        let witness = Witness::begin(call, &self.metrics, provider, permits, true);
        let upstream = self.upstream.as_ref();
        AnswerStream::open(upstream, provider, call, witness, self.content_filter, form).await
    }

    /// Vectors for inputs, from the one provider that is asked for them: those of another model could not be compared. And
    /// whether an attempt that failed before may be billed as well.
    pub(crate) async fn embed(&self, call: EmbeddingCall<'_>) -> Result<(EmbeddingAnswer, bool), CallFailure> {
        let provider = &self.providers[call.provider];
        let chain = Chain::new(std::iter::once(provider.context_window), false);
        let mut course = Course::begin(self.rules(), chain, call.deadline, call.trace, call.request_id);
        loop {
            match self.vectors(call, provider).await {
                Ok(vectors) => return Ok((vectors, course.may_be_billed())),
                Err(failure) => course.after(failure).await?,
            }
        }
    }

    /// One visit to a provider, for vectors; none while its breaker for them is open.
    async fn vectors(&self, call: EmbeddingCall<'_>, provider: &Provider) -> Result<EmbeddingAnswer, AttemptFailure> {
        let mut visit = Visit::begin(&self.metrics, provider, provider.embeddings_circuit.admit()?);
        let result = embeddings::vectors(self.upstream.as_ref(), provider, call).await;
        visit.ended(&result);
        result
    }

    /// What is to be expected of each provider, in the order of the settings.
    pub(crate) fn outlook(&self, kind: Kind) -> Vec<Outlook> {
        let now = tokio::time::Instant::now();
        let outlook = |provider: &Provider| Outlook {
            begins_in: provider.pace.expected(kind, now),
            failing: provider.circuit.refuses(),
        };
        self.providers.iter().map(outlook).collect()
    }

    /// How each provider does, by name, from the attempts that were made anyway.
    pub(crate) fn standings(&self) -> BTreeMap<String, &'static str> {
        let standing = |provider: &Provider| (provider.name.clone(), provider.circuit.standing());
        self.providers.iter().map(standing).collect()
    }

    /// Asks the first provider which models it has: whether it can be reached at all.
    pub(crate) async fn ping(&self) -> Result<(), AttemptFailure> {
        match self.providers.first() {
            Some(provider) => attempt::models(self.upstream.as_ref(), provider).await,
            None => Ok(()),
        }
    }

    /// The provider whose turn it is.
    fn provider(&self, call: &Call, course: &Course<'_>) -> &Provider {
        self.at(call, course.provider())
    }

    /// The provider at a place of the call's route.
    fn at(&self, call: &Call, place: usize) -> &Provider {
        &self.providers[call.route.order[place]]
    }

    /// The course of a call that begins.
    pub(crate) fn course<'a>(&'a self, call: &'a Call) -> Course<'a> {
        self.hedges.deposit();
        let order = call.route.order.iter();
        let windows = order.map(|place| self.providers[*place].context_window);
        let chain = Chain::new(windows, self.fallback);
        Course::begin(self.rules(), chain, call.deadline, &call.trace, &call.request_id)
    }

    const fn rules(&self) -> Rules<'_> {
        Rules {
            retry: &self.retry,
            budget: &self.budget,
            metrics: &self.metrics,
            seed: self.seed,
        }
    }

    /// An attempt failed: returns when there is to be another one.
    pub(crate) async fn next(
        &self,
        call: &Call,
        course: &mut Course<'_>,
        failure: AttemptFailure,
    ) -> Result<(), CallFailure> {
        tracing::debug!(provider = self.provider(call, course).name, %failure, "an attempt failed");
        course.after(failure).await
    }
}
