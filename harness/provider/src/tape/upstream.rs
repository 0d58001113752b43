//! The real provider's base URL, and the client that passes requests on to it.
//!
//! Does not retry, follow redirects, decompress or take proxies from the environment: what comes is what is stored.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use reqwest::{Client, Url, redirect, retry};

/// How long a connection to the upstream may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// The longest silence of the upstream, as long as the official SDKs wait.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(10);

/// A base URL: scheme, host, and perhaps the path that everything below it starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream(Url);

/// A text that is no base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a provider's base URL: {why}. Write it like https://api.openai.com")]
pub struct UpstreamError {
    text: String,
    why: String,
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let refuse = |text: &str, why: &str| UpstreamError {
            text: text.to_owned(),
            why: why.to_owned(),
        };
        let url = Url::parse(text).map_err(|error| refuse(text, &error.to_string()))?;
        let problem = if !matches!(url.scheme(), "http" | "https") {
            "its scheme is neither http nor https"
        } else if !url.username().is_empty() || url.password().is_some() {
            // Not repeated: it is a secret.
            return Err(refuse(
                url.host_str().unwrap_or_default(),
                "it holds a user or a password, which the caller has to send instead",
            ));
        } else if url.query().is_some() || url.fragment().is_some() {
            let bare = text.split(['?', '#']).next().unwrap_or_default();
            return Err(refuse(bare, "something follows its path (a query or a fragment)"));
        } else {
            return Ok(Self(url));
        };
        Err(refuse(text, problem))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl Upstream {
    /// A client that hides nothing.
    pub(super) fn client() -> reqwest::Result<Client> {
        Client::builder()
            .retry(retry::never())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .build()
    }

    /// The request that asks the upstream for what `uri` asks us.
    pub(super) fn request(&self, method: &Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> reqwest::Request {
        let mut request = reqwest::Request::new(method.clone(), self.locate(uri));
        *request.headers_mut() = headers;
        if !body.is_empty() {
            *request.body_mut() = Some(body.into());
        }
        request
    }

    /// Set part by part, so that no path can name another host.
    fn locate(&self, uri: &Uri) -> Url {
        let mut url = self.0.clone();
        let path = format!("{}{}", self.0.path().trim_end_matches('/'), uri.path());
        url.set_path(&path);
        url.set_query(uri.query());
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(base: &str, path: &str) -> String {
        let upstream: Upstream = base.parse().unwrap();
        upstream.locate(&path.parse().unwrap()).to_string()
    }

    #[test]
    fn paths_and_queries_go_below_the_base() {
        let chat = "/v1/chat/completions";
        assert_eq!(
            located("https://api.openai.com", chat),
            "https://api.openai.com/v1/chat/completions"
        );
        assert_eq!(
            located("https://proxy.test/openai/", chat),
            "https://proxy.test/openai/v1/chat/completions"
        );
        let gemini = "/v1beta/models/m:streamGenerateContent?alt=sse&key=k";
        assert_eq!(
            located("http://127.0.0.1:9", gemini),
            format!("http://127.0.0.1:9{gemini}")
        );
    }

    #[test]
    fn no_path_leads_to_another_host() {
        for path in ["//evil.test/x", "/@evil.test", "http://evil.test/x", "*"] {
            let url = Url::parse(&located("https://api.openai.com", path)).unwrap();
            assert_eq!(url.host_str(), Some("api.openai.com"), "{path}");
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused_without_repeating_a_password() {
        for (text, word) in [
            ("api.openai.com", "relative URL"),
            ("ftp://api.openai.com", "neither http nor https"),
            ("https://", "empty host"),
            ("https://me:hunter22@api.openai.com", "password"),
            ("https://api.openai.com?key=hunter22", "query"),
        ] {
            let error = text.parse::<Upstream>().unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("Write it like"), "{error}");
            assert!(!error.contains("hunter22"), "{error}");
        }
    }
}
