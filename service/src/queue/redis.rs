//! The queue on Redis: shared by all processes that reach the server, as durable as the server is told to be.
//!
//! A record is a hash with a version; sorted sets hold who is due when. A change reads the record, applies the machine
//! here and writes it back if the version is still the same: one script, so one step. ADR 12 says why not streams.
//! Wanted of the server: `appendonly yes` and `maxmemory-policy noeviction`.

use std::collections::BTreeMap;
use std::time::Duration;

use ::redis::aio::{ConnectionManager, ConnectionManagerConfig};
use ::redis::{Client, FromRedisValue, RedisError, Script, ScriptInvocation};
use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};

use super::aside::Aside;
use super::filed::{Filed, Name, read, write};
use super::lease::{Event, Job, LeasePolicy};
use super::{
    ATTEMPTS, BURIALS, CAPACITY, CONNECT_TIME, Depth, Enqueued, JobStore, MARKS_AT_ONCE, Mark, PURGED_AT_ONCE,
    QueueError,
};
use crate::storage::OpenError;

/// What keys begin with when the settings name nothing.
const NAMESPACE: &str = "brownout";
/// Longest wait for the answer to one command.
const RESPONSE_TIME: Duration = Duration::from_secs(3);
/// How often a lost connection is tried again before the step that needs it fails.
const RECONNECTS: usize = 2;

/// A queue on a server.
pub struct RedisJobs {
    connection: ConnectionManager,
    queue: String,
    steps: Steps,
    policy: LeasePolicy,
    capacity: usize,
}

/// What happens on the server in one step each.
struct Steps {
    enqueue: Script,
    next: Script,
    replace: Script,
    aside: Script,
    purge: Script,
    depth: Script,
    waiting: Script,
}

impl Steps {
    fn new() -> Self {
        let step = |code: &str| Script::new(&format!("{}{code}", include_str!("redis/file.lua")));
        Self {
            enqueue: step(include_str!("redis/enqueue.lua")),
            next: step(include_str!("redis/next.lua")),
            replace: step(include_str!("redis/replace.lua")),
            aside: step(include_str!("redis/aside.lua")),
            purge: step(include_str!("redis/purge.lua")),
            depth: step(include_str!("redis/depth.lua")),
            waiting: step(include_str!("redis/waiting.lua")),
        }
    }
}

/// A record as it was read.
struct Seen {
    version: u64,
    job: Job,
}

impl RedisJobs {
    /// Connects to the server at `url`; the queue's keys begin with `namespace`.
    pub async fn open(url: &SecretString, namespace: Option<&str>, policy: LeasePolicy) -> Result<Self, OpenError> {
        let client = Client::open(url.expose_secret()).map_err(|_| OpenError::Address {
            key: "redis_url",
            example: "redis://:PASSWORD@HOST:6379/0",
        })?;
        let place = client.get_connection_info().addr().to_string();
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_TIME))
            .set_response_timeout(Some(RESPONSE_TIME))
            .set_max_delay(Duration::from_secs(1))
            .set_number_of_retries(RECONNECTS);
        let connected = async {
            let mut connection = ConnectionManager::new_with_config(client, config).await?;
            // Who gives no password where one is wanted is let in, and refused at the first command.
            ping(&mut connection).await.map(|()| connection)
        };
        let connection = connected.await.map_err(|error| refused(place, error))?;
        Ok(Self {
            connection,
            queue: format!("{{{}}}", namespace.unwrap_or(NAMESPACE)),
            steps: Steps::new(),
            policy,
            capacity: CAPACITY,
        })
    }

    /// With room for fewer jobs.
    #[cfg(test)]
    pub(super) fn with_capacity(self, capacity: usize) -> Self {
        Self { capacity, ..self }
    }

    /// Writes over a record, as damage or another version would.
    #[cfg(test)]
    pub(super) async fn overwrite(&self, id: &str, record: &str) {
        let mut command = ::redis::cmd("HSET");
        command.arg(self.record_of(id)).arg("record").arg(record);
        let _: i64 = command.query_async(&mut self.connection.clone()).await.unwrap();
    }

    async fn step<T: FromRedisValue>(&self, step: &ScriptInvocation<'_>) -> Result<T, QueueError> {
        Ok(step.invoke_async(&mut self.connection.clone()).await?)
    }

    /// The key of a record.
    fn record_of(&self, id: &str) -> String {
        format!("{}:job:{id}", self.queue)
    }

    async fn seen(&self, id: &str) -> Result<Option<Seen>, QueueError> {
        let mut command = ::redis::cmd("HMGET");
        command
            .arg(self.record_of(id))
            .arg("version")
            .arg("record")
            .arg("tenant");
        let found: (Option<u64>, Option<String>, Option<String>) =
            command.query_async(&mut self.connection.clone()).await?;
        let (Some(version), Some(record), tenant) = found else {
            return Ok(None);
        };
        let job = read(id, &tenant.unwrap_or_default(), &record)?;
        Ok(Some(Seen { version, job }))
    }

    /// Writes `next` if the job is still at `version`.
    async fn replace(&self, version: u64, next: &Job) -> Result<bool, QueueError> {
        let filed = Filed::of(next);
        let mut step = self.steps.replace.key(&self.queue);
        step.arg(&next.id)
            .arg(version)
            .arg(write(next)?)
            .arg(number(filed.claimable_us))
            .arg(filed.lent)
            .arg(number(filed.finished_us))
            .arg(name(filed.fingerprint.as_ref())?);
        self.step(&step).await
    }

    /// Files a record that cannot be read, if the job is still at `version`.
    async fn put_aside(&self, id: &str, version: u64, aside: Aside) -> Result<bool, QueueError> {
        let mut step = self.steps.aside.key(&self.queue);
        step.arg(id)
            .arg(version)
            .arg(number(aside.claimable_us))
            .arg(number(aside.finished_us))
            .arg(aside.since_us);
        self.step(&step).await
    }
}

#[async_trait]
impl JobStore for RedisJobs {
    async fn enqueue(&self, job: Job) -> Result<Enqueued, QueueError> {
        let filed = Filed::of(&job);
        let mut step = self.steps.enqueue.key(&self.queue);
        step.arg(&job.id)
            .arg(write(&job)?)
            .arg(number(filed.claimable_us))
            .arg(filed.lent)
            .arg(number(filed.finished_us))
            .arg(name(filed.key.as_ref())?)
            .arg(name(filed.open())?)
            .arg(self.capacity)
            .arg(&job.tenant);
        let (outcome, other, known): (i64, String, String) = self.step(&step).await?;
        match outcome {
            1 => Ok(Enqueued::New),
            0 => Ok(Enqueued::Existing(Box::new(read(&other, &job.tenant, &known)?))),
            -1 => Err(QueueError::Exists),
            _ => Err(QueueError::Full),
        }
    }

    async fn get(&self, id: &str) -> Result<Option<Job>, QueueError> {
        Ok(self.seen(id).await?.map(|seen| seen.job))
    }

    async fn marks(&self, ids: &[String]) -> Result<BTreeMap<String, Mark>, QueueError> {
        let mut marks = BTreeMap::new();
        for ids in ids.chunks(MARKS_AT_ONCE) {
            let mut questions = ::redis::pipe();
            for id in ids {
                questions.cmd("HGET").arg(self.record_of(id)).arg("version");
            }
            let versions: Vec<Option<i64>> = questions.query_async(&mut self.connection.clone()).await?;
            let known = ids.iter().zip(versions);
            marks.extend(known.filter_map(|(id, version)| Some((id.clone(), Mark([version?, 0, 0])))));
        }
        Ok(marks)
    }

    async fn claim(&self, worker: &str, now_us: u64) -> Result<Option<Job>, QueueError> {
        for _ in 0..BURIALS {
            let mut step = self.steps.next.key(&self.queue);
            step.arg(now_us);
            let found: Vec<String> = self.step(&step).await?;
            let [id, version, record, tenant, since] = found.as_slice() else {
                return Ok(None);
            };
            let version = version.parse().unwrap_or_default();
            let Ok(job) = read(id, tenant, record) else {
                let aside = Aside::new(since.parse().ok(), now_us, &self.policy);
                if self.put_aside(id, version, aside).await? {
                    let (id, fate) = (id.clone(), aside.fate);
                    return Err(QueueError::PutAside { id, fate });
                }
                continue;
            };
            let worker = worker.to_owned();
            let claimed = job.after(Event::Claim { worker }, now_us, &self.policy);
            // One that is filed where it does not belong is filed anew.
            let (is_lent, next) = claimed.map_or((false, job), |next| (next.is_lent(), next));
            // Whoever was faster has this one: look for another. Whoever was faster got on, so somebody always does.
            if self.replace(version, &next).await? && is_lent {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    async fn update(&self, id: &str, event: Event, now_us: u64) -> Result<Job, QueueError> {
        for _ in 0..ATTEMPTS {
            let Seen { version, job } = self.seen(id).await?.ok_or(QueueError::Unknown)?;
            let next = job.after(event.clone(), now_us, &self.policy)?;
            if self.replace(version, &next).await? {
                return Ok(next);
            }
        }
        Err(QueueError::Contended)
    }

    async fn purge(&self, now_us: u64) -> Result<u64, QueueError> {
        let mut purged = 0;
        loop {
            let mut step = self.steps.purge.key(&self.queue);
            step.arg(self.policy.forgets_before_us(now_us)).arg(PURGED_AT_ONCE);
            let gone: u64 = self.step(&step).await?;
            purged += gone;
            if gone < u64::from(PURGED_AT_ONCE) {
                return Ok(purged);
            }
        }
    }

    async fn depth(&self, now_us: u64) -> Result<Depth, QueueError> {
        let step = self.steps.depth.key(&self.queue);
        let (queued, running, first): (u64, u64, String) = self.step(&step).await?;
        let oldest_us = first
            .parse::<f64>()
            .map_or(0, |due_us| now_us.saturating_sub(due_us as u64));
        Ok(Depth {
            queued,
            running,
            oldest_us,
        })
    }

    async fn waiting(&self, tenant: &str) -> Result<u64, QueueError> {
        let mut step = self.steps.waiting.key(&self.queue);
        self.step(step.arg(tenant)).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        Ok(ping(&mut self.connection.clone()).await?)
    }
}

async fn ping(connection: &mut ConnectionManager) -> Result<(), RedisError> {
    let _: String = ::redis::cmd("PING").query_async(connection).await?;
    Ok(())
}

fn number(us: Option<u64>) -> String {
    us.map(|us| us.to_string()).unwrap_or_default()
}

/// Tenant and name as one text that no other pair has.
fn name(name: Option<&Name>) -> Result<String, QueueError> {
    let Some(name) = name else {
        return Ok(String::new());
    };
    serde_json::to_string(name).map_err(|error| QueueError::Failed(Box::new(error)))
}

fn refused(place: String, error: RedisError) -> OpenError {
    let key = "redis_url";
    if error.kind() == ::redis::ErrorKind::AuthenticationFailed || matches!(error.code(), Some("NOAUTH" | "WRONGPASS"))
    {
        return OpenError::Credentials { place, key };
    }
    if error.is_io_error() || error.is_timeout() {
        let problem = error.to_string();
        return OpenError::Unreachable { place, key, problem };
    }
    let source = Box::new(error);
    OpenError::Failed { place, source }
}

impl From<RedisError> for QueueError {
    fn from(error: RedisError) -> Self {
        Self::Failed(Box::new(error))
    }
}
