//! Reading a request's body: bounded in bytes, time and depth, then JSON, then valid. Each bound has its own refusal.
//!
//! Nothing is read before a handler asks for it, so that a caller can be refused for less.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use garde::Validate;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::app::App;
use crate::error::{Error, shortened};
use crate::resilience::deadline::Deadline;

/// How long a client may take to send a body.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Brackets that may be open at once. What any request here means needs fewer than ten.
const DEEPEST: usize = 64;

/// A body that was not read yet.
pub(crate) struct Payload(Request);

impl<S: Sync> FromRequest<S> for Payload {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request))
    }
}

impl Payload {
    /// Reads the body as a valid `T`, or says what is wrong with it. Its time is part of the request's.
    pub(crate) async fn read<T>(self, app: &App, deadline: &Deadline) -> Result<T, Error>
    where
        T: DeserializeOwned + Validate<Context = ()>,
    {
        if !may_be_json(self.0.headers()) {
            return Err(Error::MediaType);
        }
        let bytes = self.bytes(app, deadline).await?;
        parse(&bytes)
    }

    async fn bytes(self, app: &App, deadline: &Deadline) -> Result<Bytes, Error> {
        let longest = u64::from(app.settings.max_body_bytes);
        if announced(self.0.headers()).is_some_and(|length| length > longest) {
            return Err(Error::TooLarge);
        }
        let body = Limited::new(self.0.into_body(), app.settings.max_body_bytes as usize);
        match app.clock.timeout(deadline.left(BODY_TIME), body.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::TooLarge),
            Ok(Err(_)) => Err(Error::Malformed("it broke off; send it again".to_owned())),
            Err(_) => Err(Error::SlowBody),
        }
    }
}

/// A client that says nothing is believed to send what is asked for.
fn may_be_json(headers: &HeaderMap) -> bool {
    let Some(stated) = headers.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = stated
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn parse<T>(bytes: &[u8]) -> Result<T, Error>
where
    T: DeserializeOwned + Validate<Context = ()>,
{
    if is_too_deep(bytes) {
        return Err(Error::Malformed(format!("it is nested more than {DEEPEST} deep")));
    }
    let value: T = serde_json::from_slice(bytes).map_err(|error| {
        let words = shortened(&error.to_string());
        match error.classify() {
            Category::Data => Error::invalid("#", words),
            Category::Syntax | Category::Eof | Category::Io => Error::Malformed(words),
        }
    })?;
    value.validate()?;
    Ok(value)
}

/// Whether too many brackets are open at once. Looks at bytes alone, so it costs the same for sense and nonsense.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > DEEPEST {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn depth_counts_brackets_and_not_their_likeness_in_texts() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!is_too_deep(nested(DEEPEST).as_bytes()));
        assert!(is_too_deep(nested(DEEPEST + 1).as_bytes()));
        let text = format!(r#"{{"a":"\"{}"}}"#, "[".repeat(200));
        assert!(!is_too_deep(text.as_bytes()), "{text}");
        assert!(is_too_deep(&b"{\"a\":".repeat(100_000)));
        let flat = "[]".repeat(200);
        assert!(!is_too_deep(flat.as_bytes()));
    }

    #[test]
    fn only_what_says_that_it_is_something_else_is_refused() {
        let stated = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            may_be_json(&headers)
        };
        for json in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/merge-patch+json",
        ] {
            assert!(stated(json), "{json}");
        }
        for other in ["text/plain", "multipart/form-data; boundary=x", "", "application/jsonp"] {
            assert!(!stated(other), "{other}");
        }
        assert!(may_be_json(&HeaderMap::new()));
    }
}
