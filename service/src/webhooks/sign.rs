//! The signature of a webhook: HMAC-SHA256 over name, time and body, so that a receiver knows who sent it and when.
//!
//! The time is signed so that a request that somebody copied can't be sent again later. Does not verify: receivers do.
//! Source: Standard Webhooks 1.0.0, "Signature scheme" (symmetric).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// What a secret in base64 begins with. Others are taken byte for byte.
const PREFIX: &str = "whsec_";
/// Shortest secret, in bytes. The specification asks for 24 to 64.
const SHORTEST: usize = 24;
/// Longest secret, in bytes.
const LONGEST: usize = 1024;

/// A secret that signs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSecret {
    /// There is none.
    #[error(
        "is missing, and what is not signed can be forged; make one with `openssl rand -base64 32` after \"whsec_\""
    )]
    Missing,
    /// It says that it is base64 and is not.
    #[error("begins with \"whsec_\" but what follows is no base64; make one with `openssl rand -base64 32`")]
    NoBase64,
    /// It can be guessed, or is something else.
    #[error("is not {SHORTEST} to {LONGEST} bytes long; make one with `openssl rand -base64 32` after \"whsec_\"")]
    Length,
}

/// A secret, ready to sign.
#[derive(Clone)]
pub(crate) struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// The key in `secret`.
    pub(crate) fn read(secret: Option<&SecretString>) -> Result<Self, BadSecret> {
        let text = secret.ok_or(BadSecret::Missing)?.expose_secret();
        let key = match text.strip_prefix(PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| BadSecret::NoBase64)?,
            None => text.as_bytes().to_vec(),
        };
        if !(SHORTEST..=LONGEST).contains(&key.len()) {
            return Err(BadSecret::Length);
        }
        Hmac::new_from_slice(&key).map(Self).map_err(|_| BadSecret::Length)
    }

    /// The value of `webhook-signature` for the message `id`, sent at `timestamp` (seconds since the Unix epoch).
    pub(crate) fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> Result<SigningKey, BadSecret> {
        SigningKey::read(Some(&secret.into()))
    }

    /// Values that the specification's own libraries test themselves with.
    #[test]
    fn a_signature_is_the_one_that_the_specification_expects() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").ok().unwrap();
        let signature = key.sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_part_of_a_message_is_signed() {
        let key = key("a-secret-that-is-long-enough").ok().unwrap();
        let base = key.sign("job-1", 10, b"{}");
        assert_eq!(base, key.sign("job-1", 10, b"{}"));
        for other in [
            key.sign("job-2", 10, b"{}"),
            key.sign("job-1", 11, b"{}"),
            key.sign("job-1", 10, b"[]"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_secret_that_protects_nothing_is_refused() {
        assert_eq!(SigningKey::read(None).err(), Some(BadSecret::Missing));
        assert_eq!(key("short").err(), Some(BadSecret::Length));
        assert_eq!(key("whsec_!!!").err(), Some(BadSecret::NoBase64));
        assert_eq!(key("whsec_c2hvcnQ=").err(), Some(BadSecret::Length));
    }
}
