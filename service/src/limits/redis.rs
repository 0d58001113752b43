//! The book on a Redis server: shared by all processes that reach it, one script a step, the server's own time.
//!
//! The scripts are the arithmetic of `rate` and `budget` over again, because a step has to happen where the accounts are.
//! Every key has a time to live: accounts that nobody uses are full, and full ones need not be kept.

use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, FromRedisValue, RedisError, Script, ScriptInvocation};
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::{Allowance, Claim, Demand, LimitStore, LimitStoreError, Rule, Verdict};
use crate::storage::OpenError;

/// What keys begin with when the settings name nothing.
const NAMESPACE: &str = "brownout";
/// Longest wait for a connection, and for an answer. Above what a request waits: what comes later is given back.
const LONGEST: Duration = Duration::from_secs(2);
/// How often a lost connection is tried again before the step that needs it fails.
const RECONNECTS: usize = 1;

/// Accounts on a server.
pub struct RedisLimits {
    connection: ConnectionManager,
    prefix: String,
    reserve: Script,
    settle: Script,
    left: Script,
}

impl RedisLimits {
    /// The accounts on the server at `url`, in keys that begin with `namespace`. A server that does not answer is no
    /// reason not to start: the settings say what is done without it.
    pub async fn open(url: &SecretString, namespace: Option<&str>) -> Result<Self, OpenError> {
        let store = Self::with_clock(url, namespace, include_str!("redis/clock.lua"))?;
        match store.ping().await {
            Err(LimitStoreError(error)) if error.downcast_ref().is_some_and(is_stranger) => {
                let place = place(url).unwrap_or_default();
                Err(OpenError::Credentials {
                    place,
                    key: "redis_url",
                })
            }
            Err(error) => {
                tracing::warn!(%error, "the store of limits does not answer yet: limits.when_down says what is done until it does");
                Ok(store)
            }
            Ok(()) => Ok(store),
        }
    }

    /// `clock` is where the scripts' time comes from.
    pub(super) fn with_clock(url: &SecretString, namespace: Option<&str>, clock: &str) -> Result<Self, OpenError> {
        let no_address = |_| OpenError::Address {
            key: "redis_url",
            example: "redis://:PASSWORD@HOST:6379/0",
        };
        let client = Client::open(url.expose_secret()).map_err(no_address)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(LONGEST))
            .set_response_timeout(Some(LONGEST))
            .set_max_delay(Duration::from_millis(100))
            .set_number_of_retries(RECONNECTS);
        let step = |code: &str| Script::new(&format!("{clock}{}{code}", include_str!("redis/accounts.lua")));
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(client, config).map_err(no_address)?,
            prefix: format!("{{{}}}:limits", namespace.unwrap_or(NAMESPACE)),
            reserve: step(include_str!("redis/reserve.lua")),
            settle: step(include_str!("redis/settle.lua")),
            left: step(include_str!("redis/left.lua")),
        })
    }

    async fn step<T: FromRedisValue>(&self, step: &ScriptInvocation<'_>) -> Result<T, RedisError> {
        step.invoke_async(&mut self.connection.clone()).await
    }
}

/// Adds what the scripts read of a claim.
fn add(claim: &Claim, step: &mut ScriptInvocation<'_>) {
    let (kind, most, span) = match claim.rule {
        Rule::Rate(rate) => ("rate", u64::from(rate.per_minute()), rate.burst_us()),
        Rule::Budget(rule) => ("budget", rule.limit(), rule.window_us()),
    };
    step.arg(kind).arg(&claim.account).arg(claim.amount).arg(most).arg(span);
}

#[async_trait]
impl LimitStore for RedisLimits {
    async fn reserve(&self, demand: &Demand, _: u64) -> Result<Verdict, LimitStoreError> {
        let mut step = self.reserve.key(&self.prefix);
        step.arg(demand.lapse.unwrap_or_default().as_micros() as u64)
            .arg(demand.patience.as_micros() as u64)
            .arg(demand.claims.len());
        for claim in &demand.claims {
            add(claim, &mut step);
        }
        let (granted, which, us): (u8, u64, i64) = self.step(&step).await?;
        let wait = u64::try_from(us).ok().map(Duration::from_micros);
        Ok(match granted {
            1 => Verdict::Granted {
                id: which,
                after: wait.unwrap_or_default(),
            },
            _ => Verdict::Refused {
                claim: which as usize,
                wait,
            },
        })
    }

    async fn settle(&self, id: u64, demand: &Demand, used: &[u64], _: u64) -> Result<(), LimitStoreError> {
        let mut step = self.settle.key(&self.prefix);
        step.arg(id).arg(demand.claims.len());
        for (claim, used) in demand.claims.iter().zip(used) {
            add(claim, &mut step);
            step.arg(*used);
        }
        let _: i64 = self.step(&step).await?;
        Ok(())
    }

    async fn left(&self, account: &str, rule: Allowance, _: u64) -> Result<u64, LimitStoreError> {
        let mut step = self.left.key(&self.prefix);
        let claim = Claim {
            account: account.to_owned(),
            rule: Rule::Budget(rule),
            amount: 0,
        };
        add(&claim, &mut step);
        Ok(self.step(&step).await?)
    }

    async fn ping(&self) -> Result<(), LimitStoreError> {
        let answer: Result<String, RedisError> = ::redis::cmd("PING").query_async(&mut self.connection.clone()).await;
        Ok(answer.map(drop)?)
    }
}

/// Host and port, without user and password.
fn place(url: &SecretString) -> Option<String> {
    let client = Client::open(url.expose_secret()).ok()?;
    Some(client.get_connection_info().addr().to_string())
}

/// Whether the server answered, and does not let us in.
fn is_stranger(error: &RedisError) -> bool {
    error.kind() == ::redis::ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
}

impl From<RedisError> for LimitStoreError {
    fn from(error: RedisError) -> Self {
        Self(Box::new(error))
    }
}
