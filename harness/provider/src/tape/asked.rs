//! When two requests are the same: equal method, path, query and body, whoever's key they carry.
//!
//! Does not look at headers: SDKs put versions and retry counts there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use http::{Method, Uri};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::secrets::{self, Secrets};

/// The longest text of a path and query that an error repeats, in characters.
const TOLD: usize = 200;

/// What a request asked for, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Asked {
    /// The method.
    pub(super) method: String,
    /// The path.
    pub(super) path: String,
    /// The query, without its question mark; empty if there is none.
    pub(super) query: String,
    /// SHA-256 of the canonical body, in hexadecimal.
    pub(super) body_hash: String,
}

impl Asked {
    /// What a request asks for once `secrets` are struck out.
    pub(super) fn new(method: &Method, uri: &Uri, body: &[u8], secrets: &Secrets) -> Self {
        Self {
            method: method.to_string(),
            path: secrets.strip_text(uri.path()),
            query: secrets.strip_text(&secrets::public_query(uri.query().unwrap_or_default())),
            body_hash: hash(&canonical(&secrets.strip(body))),
        }
    }

    /// Whether `other` differs in its body at most.
    pub(super) fn is_but_for_the_body(&self, other: &Self) -> bool {
        (&self.method, &self.path, &self.query) == (&other.method, &other.path, &other.query)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.query.is_empty() { "" } else { "?" };
        let target: String = [&self.path, mark, &self.query].concat().chars().take(TOLD).collect();
        let short = self.body_hash.get(..12).unwrap_or(&self.body_hash);
        write!(f, "{} {target} (body {short})", self.method)
    }
}

/// JSON with its keys in order and without white space; anything else as it is.
fn canonical(body: &[u8]) -> Cow<'_, [u8]> {
    match serde_json::from_slice(body) {
        Ok(value) => Cow::Owned(sorted(value).to_string().into_bytes()),
        Err(_) => Cow::Borrowed(body),
    }
}

/// Sorts explicitly: whether `serde_json` keeps an object's order is a feature that any crate may switch on.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        scalar => scalar,
    }
}

fn hash(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(uri: &str, body: &str) -> Asked {
        Asked::new(
            &Method::POST,
            &uri.parse().unwrap(),
            body.as_bytes(),
            &Secrets::default(),
        )
    }

    #[test]
    fn the_order_of_json_keys_and_white_space_do_not_matter() {
        let one = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        let other = r#" {"messages": [{"content": "hi", "role": "user"}], "model": "m"}"#;
        assert_eq!(asked("/v1", one), asked("/v1", other));
    }

    #[test]
    fn anything_else_does() {
        let base = asked("/v1?alt=sse", r#"{"n":[1,2]}"#);
        for other in [
            asked("/v1?alt=sse", r#"{"n":[2,1]}"#),
            asked("/v1", r#"{"n":[1,2]}"#),
            asked("/v2?alt=sse", r#"{"n":[1,2]}"#),
            asked("/v1?alt=sse", r#"{"n":[1,2]"#),
            asked("/v1?alt=sse", ""),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_key_in_the_query_does_not_matter() {
        assert_eq!(asked("/v1?key=one&alt=sse", ""), asked("/v1?alt=sse&key=another", ""));
        assert_eq!(asked("/v1?key=one", ""), asked("/v1", ""));
    }

    #[test]
    fn bodies_that_are_not_json_are_compared_byte_by_byte() {
        assert_eq!(
            asked("/", "abc").body_hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_ne!(asked("/", "abc"), asked("/", "abc "));
    }
}
