//! Answers in Redis: shared by all instances that reach the server, forgotten by it when they lapse.
//!
//! Keys begin with the namespace. Wanted of the server: `maxmemory` with `maxmemory-policy allkeys-lru` if nothing else is
//! kept there, else room. Waits are bounded by the one who asks.

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, RedisError};
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::{CacheError, CacheStore, Kept, Key};
use crate::storage::OpenError;

/// What keys begin with when the settings name nothing.
const NAMESPACE: &str = "brownout";
/// Of the form of what is kept. Raise it when [`Kept`] changes: what was kept in the old form is then never found.
const VERSION: u32 = 1;
/// Longest wait for a connection, and for the answer to one command. Above `cache.timeout`, which ends waits sooner.
const CONNECT_TIME: Duration = Duration::from_secs(3);
const RESPONSE_TIME: Duration = Duration::from_secs(3);
/// Keys that are looked at and forgotten in one step.
const STEP: usize = 500;

/// A store on a server.
pub struct RedisCache {
    connection: ConnectionManager,
    prefix: String,
}

impl RedisCache {
    /// Gets ready to use the server at `url`; keys begin with `namespace`. A server that is away is no reason not to
    /// start: what it cannot do is a miss.
    pub fn open(url: &SecretString, namespace: Option<&str>) -> Result<Self, OpenError> {
        let refused = |_| OpenError::Address {
            key: "redis_url",
            example: "redis://:PASSWORD@HOST:6379/0",
        };
        let client = Client::open(url.expose_secret()).map_err(refused)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME))
            .set_response_timeout(Some(RESPONSE_TIME))
            .set_max_delay(Duration::from_secs(1))
            .set_number_of_retries(1);
        let connection = ConnectionManager::new_lazy_with_config(client, config).map_err(refused)?;
        Ok(Self {
            connection,
            prefix: format!("{{{}}}:cache:", namespace.unwrap_or(NAMESPACE)),
        })
    }

    fn name(&self, key: &Key) -> String {
        format!("{}{VERSION}:{key}", self.prefix)
    }
}

#[async_trait]
impl CacheStore for RedisCache {
    async fn get(&self, key: &Key, _now_us: u64) -> Result<Option<Kept>, CacheError> {
        let mut command = ::redis::cmd("GET");
        let found: Option<Vec<u8>> = command
            .arg(self.name(key))
            .query_async(&mut self.connection.clone())
            .await?;
        // What cannot be read is no answer, and nothing is wrong with the server that has it.
        Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    async fn put(&self, key: &Key, kept: &Kept, now_us: u64, until_us: u64) -> Result<(), CacheError> {
        let text = serde_json::to_string(kept).map_err(|error| CacheError(Box::new(error)))?;
        let lasts_ms = (until_us.saturating_sub(now_us) / 1000).max(1);
        let mut command = ::redis::cmd("SET");
        command.arg(self.name(key)).arg(text).arg("PX").arg(lasts_ms);
        let () = command.query_async(&mut self.connection.clone()).await?;
        Ok(())
    }

    async fn clear(&self) -> Result<(), CacheError> {
        let mut connection = self.connection.clone();
        let mut from = "0".to_owned();
        loop {
            let mut look = ::redis::cmd("SCAN");
            look.arg(&from).arg("MATCH").arg(format!("{}*", self.prefix));
            let (next, keys): (String, Vec<String>) = look.arg("COUNT").arg(STEP).query_async(&mut connection).await?;
            if !keys.is_empty() {
                let () = ::redis::cmd("UNLINK").arg(keys).query_async(&mut connection).await?;
            }
            if next == "0" {
                return Ok(());
            }
            from = next;
        }
    }
}

impl From<RedisError> for CacheError {
    fn from(error: RedisError) -> Self {
        Self(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::key::named;
    use crate::servers::Server;
    use crate::upstream::Usage;

    fn kept(content: &str) -> Kept {
        Kept {
            content: content.to_owned(),
            finish_reason: "stop".to_owned(),
            model: "m".to_owned(),
            provider: "p".to_owned(),
            usage: Some(Usage {
                prompt_tokens: 3,
                completion_tokens: 2,
            }),
        }
    }

    #[tokio::test]
    async fn two_instances_share_answers_until_they_lapse_or_all_are_forgotten_and_namespaces_do_not_meet() {
        let Some(server) = Server::redis() else { return };
        let url = SecretString::from(server.redis_url());
        let open = |namespace: &'static str| RedisCache::open(&url, Some(namespace));
        let (one, two, other) = (open("a").unwrap(), open("a").unwrap(), open("b").unwrap());
        let (short, long) = (named("short"), named("long"));
        one.put(&short, &kept("soon gone"), 0, 150_000).await.unwrap();
        one.put(&long, &kept("here \u{1f6f0} to stay"), 0, 3_600_000_000)
            .await
            .unwrap();
        assert_eq!(two.get(&long, 0).await.unwrap(), Some(kept("here \u{1f6f0} to stay")));
        assert_eq!(other.get(&long, 0).await.unwrap(), None);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(two.get(&short, 0).await.unwrap(), None);
        for unreadable in [&b"{}"[..], b"{", b"\xff\xfe"] {
            let mut set = ::redis::cmd("SET");
            set.arg(one.name(&short)).arg(unreadable);
            let () = set.query_async(&mut one.connection.clone()).await.unwrap();
            assert_eq!(one.get(&short, 0).await.unwrap(), None, "a miss, and no failure");
        }
        other.clear().await.unwrap();
        assert!(two.get(&long, 0).await.unwrap().is_some());
        two.clear().await.unwrap();
        assert_eq!(one.get(&long, 0).await.unwrap(), None);
    }
}
