//! One call to the model: the attempts it takes, along its course.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::Uri;
use secrecy::SecretString;

use super::attempt;
use super::openai::{Completion, Message, Options};
use super::streak::Streak;
use super::stream::AnswerStream;
use super::witness::Witness;
use super::{AttemptFailure, Upstream};
use crate::error::ServiceError;
use crate::resilience::course::{CallFailure, Course, Rules};
use crate::resilience::deadline::Deadline;
use crate::resilience::fallback::Chain;
use crate::resilience::retry::{RetryBudget, RetrySettings};
use crate::settings::{Price, ProviderSettings, Settings};
use crate::telemetry::{Metrics, Trace};

/// The word for whichever model is preferred.
const DEFAULT_MODEL: &str = "default";

/// What is asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prompt {
    /// Who is asked first, by place in the settings. The others are asked in their order, where there is a fallback.
    pub(crate) first: usize,
    pub(crate) messages: Vec<Message>,
    pub(crate) max_tokens: Option<u32>,
    pub(crate) options: Options,
}

impl Prompt {
    /// How much text a provider has to read, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let said: usize = self.messages.iter().map(|message| message.content.len()).sum();
        let format = self.options.response_format.as_ref();
        said + format.map_or(0, |format| format.to_string().len())
    }
}

/// A question on its way: what is asked, for whom, and until when.
pub(crate) struct Call {
    pub(crate) prompt: Prompt,
    pub(crate) request_id: String,
    pub(crate) trace: Trace,
    pub(crate) deadline: Deadline,
}

/// A provider, ready to be called.
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) endpoint: Uri,
    pub(super) models: Uri,
    pub(super) model: String,
    pub(super) api_key: Option<SecretString>,
    /// What a token of a prompt and one of an answer cost, where both are known.
    pub(super) prices: Option<(Price, Price)>,
    pub(super) streak: Streak,
}

/// Calls the providers of one instance.
pub(crate) struct ModelClient {
    upstream: Arc<dyn Upstream>,
    providers: Vec<Provider>,
    fallback: bool,
    retry: RetrySettings,
    budget: RetryBudget,
    metrics: Metrics,
    seed: u64,
}

impl ModelClient {
    pub(crate) fn new(
        settings: &Settings,
        upstream: Arc<dyn Upstream>,
        metrics: Metrics,
        seed: u64,
    ) -> Result<Self, ServiceError> {
        let providers: Vec<Provider> = settings.providers.iter().map(Provider::new).collect::<Result<_, _>>()?;
        if providers.is_empty() {
            return Err(ServiceError::NoProviders);
        }
        Ok(Self {
            upstream,
            providers,
            fallback: settings.fallback,
            retry: settings.retry,
            budget: RetryBudget::new(settings.retry.budget_ratio),
            metrics,
            seed,
        })
    }

    /// Who has `model`: a provider's model, its name, or "default" for the one that is preferred.
    pub(crate) fn find(&self, model: &str) -> Option<usize> {
        if model == DEFAULT_MODEL {
            return Some(0);
        }
        let by_model = self.providers.iter().position(|provider| provider.model == model);
        by_model.or_else(|| self.providers.iter().position(|provider| provider.name == model))
    }

    /// What [`ModelClient::find`] knows: each model or name once, with the name of the provider that is asked for it.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        let (models, names) = (self.providers.iter(), self.providers.iter());
        let words = models.map(|provider| provider.model.as_str());
        let words = words.chain(names.map(|provider| provider.name.as_str()));
        let words: BTreeSet<&str> = words.chain([DEFAULT_MODEL]).collect();
        let owner = |word: &str| self.find(word).map(|at| self.providers[at].name.as_str());
        words.into_iter().filter_map(move |word| Some((word, owner(word)?)))
    }

    /// A whole answer, and the name of the provider that gave it.
    pub(crate) async fn complete(&self, call: &Call) -> Result<(Completion, &str), CallFailure> {
        let mut course = self.course(call);
        loop {
            let provider = self.provider(call, &course);
            let mut witness = Witness::begin(call, &self.metrics, provider, false);
            let result = attempt::whole(self.upstream.as_ref(), provider, call, &witness).await;
            match result {
                Ok(completion) => {
                    witness.answered(&completion);
                    return Ok((completion, &provider.name));
                }
                Err(failure) => {
                    witness.failed(&failure);
                    drop(witness);
                    self.next(&mut course, provider, failure).await?;
                }
            }
        }
    }

    /// A streamed answer whose first token is here.
    pub(crate) async fn open(&self, call: &Call) -> Result<AnswerStream, CallFailure> {
        let mut course = self.course(call);
        loop {
            let provider = self.provider(call, &course);
            let witness = Witness::begin(call, &self.metrics, provider, true);
            match AnswerStream::open(self.upstream.as_ref(), provider, call, witness).await {
                Ok(stream) => return Ok(stream),
                Err(failure) => self.next(&mut course, provider, failure).await?,
            }
        }
    }

    /// How each provider does, by name, from the attempts that were made anyway.
    pub(crate) fn standings(&self) -> BTreeMap<String, &'static str> {
        let standing = |provider: &Provider| (provider.name.clone(), provider.streak.standing());
        self.providers.iter().map(standing).collect()
    }

    /// Asks the first provider which models it has: whether it can be reached at all.
    pub(crate) async fn ping(&self) -> Result<(), AttemptFailure> {
        match self.providers.first() {
            Some(provider) => attempt::models(self.upstream.as_ref(), provider).await,
            None => Ok(()),
        }
    }

    /// The course counts from the one who is asked first.
    fn provider(&self, call: &Call, course: &Course<'_>) -> &Provider {
        let first = call.prompt.first;
        &self.providers[match course.provider() {
            0 => first,
            place if place <= first => place - 1,
            place => place,
        }]
    }

    fn course<'a>(&'a self, call: &'a Call) -> Course<'a> {
        let rules = Rules {
            retry: &self.retry,
            budget: &self.budget,
            metrics: &self.metrics,
            seed: self.seed,
        };
        let chain = Chain::new(self.providers.len(), self.fallback);
        Course::begin(rules, chain, call.deadline, &call.trace, &call.request_id)
    }

    async fn next(
        &self,
        course: &mut Course<'_>,
        provider: &Provider,
        failure: AttemptFailure,
    ) -> Result<(), CallFailure> {
        tracing::debug!(provider = provider.name, %failure, "an attempt failed");
        course.after(failure).await
    }
}

impl Provider {
    fn new(settings: &ProviderSettings) -> Result<Self, ServiceError> {
        Ok(Self {
            name: settings.name.clone(),
            endpoint: address(settings, "chat/completions")?,
            models: address(settings, "models")?,
            model: settings.model.clone(),
            api_key: settings.api_key.clone(),
            prices: settings.prompt_price.zip(settings.completion_price),
            streak: Streak::default(),
        })
    }
}

/// `base_url` as OpenAI's own clients take it, version included; a bare host gets `/v1`.
fn address(settings: &ProviderSettings, path: &str) -> Result<Uri, ServiceError> {
    let problem = |problem: String| ServiceError::ProviderAddress {
        name: settings.name.clone(),
        problem,
    };
    let base = settings.base_url.trim_end_matches('/');
    let uri: Uri = base
        .parse()
        .map_err(|error: http::uri::InvalidUri| problem(error.to_string()))?;
    if uri.scheme().is_none() || uri.authority().is_none() {
        return Err(problem("it has no scheme or no host".to_owned()));
    }
    let version = if uri.path() == "/" { "/v1" } else { "" };
    format!("{base}{version}/{path}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| problem(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint_of(base_url: &str) -> Result<String, ServiceError> {
        let settings = ProviderSettings {
            name: "a".into(),
            base_url: base_url.into(),
            model: "m".into(),
            api_key: None,
            prompt_price: None,
            completion_price: None,
        };
        address(&settings, "chat/completions").map(|uri| uri.to_string())
    }

    #[test]
    fn a_base_url_is_taken_with_and_without_its_version() {
        for base in ["http://p.sim", "http://p.sim/", "http://p.sim/v1", "http://p.sim/v1/"] {
            assert_eq!(endpoint_of(base).unwrap(), "http://p.sim/v1/chat/completions", "{base}");
        }
        assert_eq!(
            endpoint_of("http://p.sim/x/v2").unwrap(),
            "http://p.sim/x/v2/chat/completions"
        );
        assert!(endpoint_of("p.sim/v1").is_err());
        assert!(endpoint_of("not an address").is_err());
    }
}
