//! A provider as the client knows it: its addresses, its model, its key, its prices and its breakers.
//!
//! Sends nothing; that is [`super::attempt`]'s and [`super::stream`]'s.

use http::Uri;
use secrecy::SecretString;

use super::circuit::Circuit;
use crate::error::ServiceError;
use crate::routing::{Pace, RouteSettings};
use crate::settings::{Price, ProviderSettings};
use crate::telemetry::conventions::value;

/// A provider, ready to be called.
pub(super) struct Provider {
    pub(super) name: String,
    pub(super) endpoint: Uri,
    pub(super) models: Uri,
    pub(super) embeddings: Uri,
    pub(super) model: String,
    pub(super) api_key: Option<SecretString>,
    /// Whether its model goes on from the beginning of an answer that it is given.
    pub(super) prefill: bool,
    /// What a token of a prompt and one of an answer cost, where both are known.
    pub(super) prices: Option<(Price, Price)>,
    /// Tokens that prompt and answer have room in, where that is known.
    pub(super) context_window: Option<u32>,
    /// The breaker of chat.
    pub(super) circuit: Circuit,
    /// The breaker of embeddings.
    pub(super) embeddings_circuit: Circuit,
    /// How soon it begins to answer.
    pub(super) pace: Pace,
}

impl Provider {
    pub(super) fn new(
        settings: &ProviderSettings,
        route: RouteSettings,
        circuit: impl Fn(&'static str) -> Circuit,
    ) -> Result<Self, ServiceError> {
        Ok(Self {
            name: settings.name.clone(),
            endpoint: address(settings, "chat/completions")?,
            models: address(settings, "models")?,
            embeddings: address(settings, "embeddings")?,
            model: settings.model.clone(),
            api_key: settings.api_key.clone(),
            prefill: settings.prefill,
            prices: settings.prompt_price.zip(settings.completion_price),
            pace: Pace::new(route.half_life),
            context_window: settings.context_window,
            circuit: circuit(value::CHAT),
            embeddings_circuit: circuit(value::EMBEDDINGS),
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
            context_window: None,
            tasks: Vec::new(),
            prefill: false,
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
