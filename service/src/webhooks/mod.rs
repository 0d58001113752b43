//! Webhooks: a signed request that tells somebody what came of a job.
//!
//! - `target`: which addresses may be told. What callers write into a request must not open this network to them.
//! - `sign`: the signature, as the Standard Webhooks specification has it, so that receivers verify with its libraries.
//! - `send`: one try, over the service's own way out, and what its failure means.
//!
//! When to try, how often and what is recorded belong to the queue's machine and to the worker (`designs::deliver`).

mod send;
mod sign;
mod target;

use std::time::Duration;

use secrecy::SecretString;

pub(crate) use self::send::{DeliveryFailure, Message, Sender};
pub(crate) use self::sign::SigningKey;
pub(crate) use self::target::allowed;
pub use self::target::{AllowedHost, BadHost, WebhookRefused};

/// Parameters of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Who may be told. Nobody: no webhooks.
    pub hosts: Vec<AllowedHost>,
    /// What requests are signed with. Never printed.
    pub secret: Option<SecretString>,
    /// How often an outcome is told to somebody who does not take it.
    pub attempts: u32,
    /// How long one try may take.
    pub timeout: Duration,
    /// Longest wait before the second try.
    pub retry_base: Duration,
    /// Longest wait before any try.
    pub retry_cap: Duration,
}

impl WebhookSettings {
    /// Values that are valid each but not together, by key, with those of the jobs. None where there are no webhooks.
    pub(crate) fn contradictions(&self, lease: Duration, expiry: Duration) -> Vec<(&'static str, String)> {
        if self.hosts.is_empty() {
            return Vec::new();
        }
        let mut problems = Vec::new();
        if let Err(error) = SigningKey::read(self.secret.as_ref()) {
            problems.push(("secret", error.to_string()));
        }
        if self.timeout >= lease {
            let problem = "is not shorter than jobs.lease, so two workers would tell one outcome; lower it";
            problems.push(("timeout", problem.to_owned()));
        }
        if self.retry_base > self.retry_cap {
            let problem = "is longer than webhooks.retry_cap; raise the cap or lower the base";
            problems.push(("retry_base", problem.to_owned()));
        }
        let longest = (self.timeout + self.retry_cap).saturating_mul(self.attempts);
        if longest > expiry {
            let problem = format!(
                "can take {} s with these waits, but outcomes are forgotten after jobs.expiry; lower webhooks.retry_cap \
                 or raise jobs.expiry",
                longest.as_secs()
            );
            problems.push(("attempts", problem));
        }
        problems
    }
}
