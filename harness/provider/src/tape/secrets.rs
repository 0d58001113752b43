//! What must not reach a tape: the keys and cookies of one exchange, wherever they are repeated.
//!
//! Knows secrets by the header or parameter they came in, never by their look. Does not see into compressed bodies, nor
//! a secret that a model spells out token by token.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};

/// What stands where a secret stood.
pub(super) const STRIPPED: &str = "[stripped]";

/// Fewer bytes are no secret worth keeping, and would be struck out of innocent text.
const SHORTEST: usize = 6;

/// Headers whose values are secrets, in requests and in responses.
const HEADERS: [&str; 12] = [
    "anthropic-organization-id",
    "api-key",
    "authorization",
    "cookie",
    "openai-organization",
    "openai-project",
    "proxy-authorization",
    "set-cookie",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-token",
    "x-goog-api-key",
];

/// Query parameters whose values are secrets; case and hyphens aside.
const PARAMETERS: [&str; 3] = ["key", "api_key", "access_token"];

/// Whether the value of this header is a secret.
pub(super) fn is_secret(header: &HeaderName) -> bool {
    HEADERS.contains(&header.as_str())
}

/// A query without its secret parameters.
pub(super) fn public_query(query: &str) -> String {
    let public: Vec<&str> = query.split('&').filter(|pair| secret_value(pair).is_none()).collect();
    public.join("&")
}

/// The value of a `name=value` pair, if the name says that it is secret.
fn secret_value(pair: &str) -> Option<&str> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name = String::from_utf8_lossy(&decoded(name)).to_lowercase().replace('-', "_");
    PARAMETERS.contains(&name.as_str()).then_some(value)
}

/// A part of a query, as it was before it was encoded.
fn decoded(text: &str) -> Vec<u8> {
    let (mut bytes, mut out) = (text.as_bytes(), Vec::with_capacity(text.len()));
    while let [first, rest @ ..] = bytes {
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes = match (first, escaped) {
            (b'%', Some(byte)) => {
                out.push(byte);
                &rest[2..]
            }
            (plain, _) => {
                out.push(if *plain == b'+' { b' ' } else { *plain });
                rest
            }
        };
    }
    out
}

/// The secrets of one exchange, in every spelling that may be repeated.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    values: BTreeSet<Vec<u8>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.values.len())
    }
}

impl Secrets {
    /// The secrets that a request carries.
    pub(super) fn of_request(headers: &HeaderMap, query: &str) -> Self {
        let mut secrets = Self::default();
        secrets.learn(headers);
        for value in query.split('&').filter_map(secret_value) {
            secrets.add(value.as_bytes());
            secrets.add(&decoded(value));
        }
        secrets
    }

    /// Adds the secrets that headers carry; a response's own organization and cookies are secrets too.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        for (name, value) in headers.iter().filter(|(name, _)| is_secret(name)) {
            let value = value.as_bytes();
            match name.as_str() {
                "authorization" | "proxy-authorization" => self.add_credentials(value),
                "cookie" => value.split(|byte| *byte == b';').for_each(|pair| self.add_pair(pair)),
                "set-cookie" => value
                    .split(|byte| *byte == b';')
                    .take(1)
                    .for_each(|pair| self.add_pair(pair)),
                _ => self.add(value),
            }
        }
    }

    /// `Bearer TOKEN`, `Basic BASE64` or a bare token.
    fn add_credentials(&mut self, value: &[u8]) {
        let value = value.trim_ascii();
        let space = value.iter().position(u8::is_ascii_whitespace);
        let (scheme, token) = value.split_at(space.unwrap_or(0));
        self.add(token);
        if scheme.eq_ignore_ascii_case(b"basic")
            && let Ok(pair) = STANDARD.decode(token.trim_ascii())
        {
            self.add(&pair);
            pair.splitn(2, |byte| *byte == b':')
                .skip(1)
                .for_each(|password| self.add(password));
        }
    }

    /// `name=value` of a cookie.
    fn add_pair(&mut self, pair: &[u8]) {
        pair.splitn(2, |byte| *byte == b'=')
            .skip(1)
            .for_each(|value| self.add(value));
    }

    fn add(&mut self, secret: &[u8]) {
        let secret = secret.trim_ascii();
        if secret.len() < SHORTEST {
            return;
        }
        self.values.insert(secret.to_vec());
        if let Ok(text) = std::str::from_utf8(secret) {
            let quoted = serde_json::Value::from(text).to_string();
            let inner = &quoted[1..quoted.len() - 1];
            self.values.insert(inner.as_bytes().to_vec());
            self.values.insert(inner.replace('/', r"\/").into_bytes());
        }
    }

    /// `bytes` with every secret struck out.
    pub(super) fn strip(&self, bytes: &[u8]) -> Vec<u8> {
        self.strip_cut(bytes, &mut [])
    }

    /// `text` with every secret struck out.
    pub(super) fn strip_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.strip(text.as_bytes())).into_owned()
    }

    /// `bytes` with every secret struck out, and `cuts`, ascending offsets into `bytes`, moved to where they are then.
    ///
    /// What stands for a secret is never cut: it belongs to the piece in which the secret began.
    pub(super) fn strip_cut(&self, bytes: &[u8], cuts: &mut [usize]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        let (mut from, mut cuts) = (0, cuts.iter_mut().peekable());
        for secret in self.found(bytes) {
            while let Some(cut) = cuts.next_if(|cut| **cut <= secret.start) {
                *cut = out.len() + *cut - from;
            }
            out.extend_from_slice(&bytes[from..secret.start]);
            out.extend_from_slice(STRIPPED.as_bytes());
            while let Some(cut) = cuts.next_if(|cut| **cut < secret.end) {
                *cut = out.len();
            }
            from = secret.end;
        }
        for cut in cuts {
            *cut = out.len() + *cut - from;
        }
        out.extend_from_slice(&bytes[from..]);
        out
    }

    /// Where secrets stand: ascending, those that overlap as one.
    fn found(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let mut begins = [false; 256];
        for secret in &self.values {
            begins[usize::from(secret[0])] = true;
        }
        let mut found: Vec<Range<usize>> = Vec::new();
        let candidates = bytes.iter().enumerate().filter(|(_, byte)| begins[usize::from(**byte)]);
        for (at, _) in candidates {
            let lengths = self.values.iter().filter_map(|secret| length_at(&bytes[at..], secret));
            let Some(end) = lengths.max().map(|length| at + length) else {
                continue;
            };
            match found.last_mut() {
                Some(last) if at < last.end => last.end = last.end.max(end),
                _ => found.push(at..end),
            }
        }
        found
    }
}

/// How much of `secret` stands at the beginning of `rest`: all of it, or what there is of it when `rest` breaks off.
fn length_at(rest: &[u8], secret: &[u8]) -> Option<usize> {
    let length = secret.len().min(rest.len());
    (length >= SHORTEST && rest[..length] == secret[..length]).then_some(length)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn carried(pairs: &[(&'static str, &'static str)], query: &str) -> Secrets {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        Secrets::of_request(&headers, query)
    }

    #[test]
    fn a_secret_is_struck_out_however_it_was_sent() {
        let secrets = carried(
            &[
                ("authorization", "Bearer sk-0123456789"),
                ("proxy-authorization", "Basic bWU6b3BlbiBzZXNhbWU="),
                ("x-api-key", "ant-\"quoted\""),
                ("cookie", "theme=a; session=abcdef0123"),
                ("accept", "application/json"),
            ],
            "alt=sse&Api-Key=AIza%2Bxyz",
        );
        for (said, kept) in [
            ("no sk-0123456789.", "no [stripped]."),
            ("open sesame", "[stripped]"),
            (r#"{"key":"ant-\"quoted\""}"#, r#"{"key":"[stripped]"}"#),
            ("abcdef0123 and a", "[stripped] and a"),
            ("AIza+xyz AIza%2Bxyz", "[stripped] [stripped]"),
            ("application/json", "application/json"),
        ] {
            assert_eq!(secrets.strip_text(said), kept);
        }
    }

    #[test]
    fn a_short_value_is_left_alone() {
        assert_eq!(
            carried(&[("x-api-key", "test")], "key=k").strip_text("test k"),
            "test k"
        );
    }

    #[test]
    fn a_secret_that_breaks_off_at_the_end_is_struck_out_too() {
        let secrets = carried(&[("x-api-key", "sk-0123456789")], "");
        assert_eq!(secrets.strip_text("your key sk-0123456"), "your key [stripped]");
        assert_eq!(secrets.strip_text("your key sk-01"), "your key sk-01");
    }

    #[test]
    fn of_secrets_that_overlap_nothing_is_left() {
        let secrets = carried(&[("x-api-key", "abcdefgh"), ("api-key", "efghijkl")], "");
        assert_eq!(secrets.strip_text("<abcdefghijkl>"), "<[stripped]>");
    }

    #[test]
    fn a_public_query_keeps_the_rest_in_order() {
        assert_eq!(
            public_query("b=2&key=x&a=1&%6Bey=y&access_token=z&monkey=1"),
            "b=2&a=1&monkey=1"
        );
        assert_eq!(public_query(""), "");
    }

    proptest! {
        #[test]
        fn no_cut_lets_a_part_of_a_secret_through(
            before in "[a-z ]{0,20}", after in "[a-z ]{6,20}", cuts in prop::collection::vec(0usize..60, 0..8),
        ) {
            let secrets = carried(&[("x-api-key", "SK-0123456789")], "");
            let bytes = format!("{before}SK-0123456789{after}").into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let out = secrets.strip_cut(&bytes, &mut cuts);
            prop_assert_eq!(&out, &format!("{before}{STRIPPED}{after}").into_bytes());
            let (start, end) = (before.len(), before.len() + STRIPPED.len());
            prop_assert!(cuts.is_sorted());
            prop_assert!(cuts.iter().all(|cut| *cut <= out.len() && (*cut <= start || *cut >= end)), "{:?}", cuts);
        }
    }
}
