//! Which requests are the same piece of work, and what is said to the second one.
//!
//! With a key the client says so: the same key is the same job, for as long as its outcome is kept. Without one, and
//! where `jobs.coalesce` is on, what is asked says so, for as long as the job is unfinished. Keys and digests count within
//! a tenant only.

use http::{HeaderMap, HeaderName};
use sha2::{Digest, Sha256};

use super::models::JobView;
use crate::error::Error;
use crate::queue::Job;

/// How a client names a piece of work.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Longest name, in bytes.
const LONGEST_KEY: usize = 255;

/// What is said about a job that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Receipt {
    pub(super) job: JobView,
    pub(super) origin: Origin,
}

/// Where the job comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// This request.
    New,
    /// An earlier request with the same key.
    Replayed,
    /// An equal request whose job is unfinished. Whoever cancels it cancels it for both.
    Coalesced,
}

impl Origin {
    /// The header that says so.
    pub(super) const fn header(self) -> Option<HeaderName> {
        match self {
            Self::New => None,
            Self::Replayed => Some(HeaderName::from_static("idempotent-replayed")),
            Self::Coalesced => Some(HeaderName::from_static("job-coalesced")),
        }
    }

    /// What `existing` is to the request that asked for `wanted`.
    pub(super) fn of(existing: &Job, wanted: &Job) -> Result<Self, Error> {
        let same_key = wanted.idempotency_key.is_some() && wanted.idempotency_key == existing.idempotency_key;
        let same_work = wanted.payload == existing.payload && wanted.webhook == existing.webhook;
        match (same_key, same_work) {
            (true, true) => Ok(Self::Replayed),
            (true, false) => Err(Error::KeyReused),
            (false, _) => Ok(Self::Coalesced),
        }
    }
}

/// The client's name for the piece of work, if it gave one.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let mut given = headers.get_all(KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| given.next().is_none());
    let is_good =
        |text: &&str| (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    text.filter(is_good)
        .map(|text| Some(text.to_owned()))
        .ok_or(Error::BadKey)
}

/// All that makes two requests the same piece of work: whose, what, and who is told.
pub(super) fn fingerprint(tenant: &str, payload: &str, webhook: Option<&str>) -> String {
    let mut digest = Sha256::new();
    for part in [tenant, payload, webhook.unwrap_or_default()] {
        // The length first: two different splits of the same letters must not look alike.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_one_short_visible_word() {
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
        let longest = "k".repeat(LONGEST_KEY);
        for good in ["a", "8e03978e-40d5-43e8-bc93-6894a57f9324", "\"quoted\"", &longest] {
            assert_eq!(key(&headers(&[good])).unwrap().as_deref(), Some(good));
        }
        let too_long = "k".repeat(LONGEST_KEY + 1);
        for bad in [&[""][..], &["two words"], &["caf\u{e9}"], &[&too_long], &["a", "b"]] {
            assert!(matches!(key(&headers(bad)), Err(Error::BadKey)), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn requests_are_alike_only_in_all_their_parts(
            a in ("[ab]{0,3}", "[ab]{0,3}", proptest::option::of("[ab]{1,3}")),
            b in ("[ab]{0,3}", "[ab]{0,3}", proptest::option::of("[ab]{1,3}")),
        ) {
            let digest = |(tenant, payload, webhook): &(String, String, Option<String>)| {
                fingerprint(tenant, payload, webhook.as_deref())
            };
            prop_assert_eq!(digest(&a) == digest(&b), a == b);
        }
    }
}
