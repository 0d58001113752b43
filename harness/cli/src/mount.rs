//! The reference service, offered to the harness: in process on the virtual clock, as children of this binary on the
//! real one. The only place where the two meet.

mod stores;

use std::fmt::Display;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use brownout_net::Listener;
use brownout_scenario::units::{Micros, Picodollars};
use brownout_service::settings::Settings;
use brownout_service::{Clock, Ports, Stores, Upstream, WorkerPorts, upstream};
use brownout_world::mount::{HostIo, HostSpec, Mount, MountError, Role, Running, SettingProblem};
use serde_json::{Map, Value, json};

pub use self::stores::OnStores;
use crate::dependencies::troubled;

/// Keys that only a host knows.
const HOST_KEYS: [&str; 7] = [
    "providers",
    "otlp_endpoint",
    "database_url",
    "database_path",
    "redis_url",
    "queue",
    "namespace",
];
/// A child that is told to end has at most this long for what is open: less than the harness waits for it.
const CHILD_GRACE: Duration = Duration::from_secs(3);
/// A context window above this is as good as none, and more than the service takes for one.
const LARGEST_WINDOW: u64 = 100_000_000;
/// Simulated providers take any key; this one says whose it is.
const API_KEY: &str = "brownout-simulated";

/// A cache on its way to be empty.
type Flushed<'a> = Pin<Box<dyn Future<Output = Result<(), MountError>> + Send + 'a>>;

/// The reference service.
pub struct ReferenceService;

impl Mount for ReferenceService {
    type Shared = Stores;

    fn check(&self, settings: &Map<String, Value>) -> Result<(), Vec<SettingProblem>> {
        let taken = HOST_KEYS.iter().filter(|key| settings.contains_key(**key));
        let taken: Vec<_> = taken
            .map(|key| SettingProblem {
                key: (*key).to_owned(),
                problem: "the harness fills this in; take it out of the scenario".to_owned(),
            })
            .collect();
        if !taken.is_empty() {
            return Err(taken);
        }
        Settings::from_map(settings.clone()).map(drop).map_err(|error| {
            let problems = error.problems.into_iter();
            problems
                .map(|p| SettingProblem {
                    key: p.key,
                    problem: p.problem,
                })
                .collect()
        })
    }

    fn shortest_patience(&self, settings: &Map<String, Value>) -> Option<Micros> {
        let deadline = Settings::from_map(settings.clone()).ok()?.deadline;
        [deadline.attempt, deadline.total]
            .into_iter()
            .flatten()
            .min()
            .map(Micros::from)
    }

    fn shared(&self, spec: &HostSpec) -> Result<Stores, MountError> {
        Ok(Stores::memory(&settings(spec)?))
    }

    fn serve(&self, spec: HostSpec, shared: Stores, io: HostIo, listener: Listener) -> Running {
        Box::pin(async move {
            let settings = settings(&spec)?;
            let ports = Ports {
                listener,
                upstream: provider_client(&settings, &io),
                stores: stores(&shared, &settings, &io),
                clock: Clock::starting_at(io.unix_us),
                seed: spec.seed,
                shutdown: io.shutdown,
            };
            brownout_service::run(settings, ports)
                .await
                .map_err(|e| MountError(e.to_string()))
        })
    }

    fn work(&self, spec: HostSpec, shared: Stores, io: HostIo) -> Running {
        Box::pin(async move {
            let (settings, network) = (settings(&spec)?, io.network.clone());
            let ports = WorkerPorts {
                upstream: provider_client(&settings, &io),
                stores: stores(&shared, &settings, &io),
                clock: Clock::starting_at(io.unix_us),
                seed: spec.seed,
                shutdown: io.shutdown,
                name: spec.name.clone(),
            };
            // Without it the worker works all the same, unseen.
            let listener = network.listen(&spec.name).ok();
            brownout_service::watched_worker(settings, ports, listener)
                .await
                .map_err(|e| MountError(e.to_string()))
        })
    }

    fn flush<'a>(&'a self, shared: Option<&'a Stores>, _folder: Option<&'a Path>) -> Flushed<'a> {
        Box::pin(async move {
            match shared {
                Some(stores) => stores.cache.clear().await.map_err(|e| not_flushed(&e)),
                None => Ok(()),
            }
        })
    }

    fn command(&self, role: Role, spec: &HostSpec, dir: &Path, shared: &Path) -> std::io::Result<Command> {
        OnStores::default().command(role, spec, dir, shared)
    }
}

/// What is told of a cache that could not be emptied.
fn not_flushed(error: &impl Display) -> MountError {
    MountError(format!("the cache could not be emptied: {error}"))
}

/// The command for a child whose `stores` are where these keys say.
fn child(role: Role, spec: &HostSpec, dir: &Path, stores: Map<String, Value>) -> std::io::Result<Command> {
    let mut keys = with_host_keys(spec);
    keys.extend(stores);
    let grace = Settings::from_map(spec.settings.clone())
        .map_err(std::io::Error::other)?
        .shutdown_grace;
    keys.entry("shutdown_grace")
        .or_insert_with(|| json!(format!("{}ms", grace.min(CHILD_GRACE).as_millis())));
    let config = dir.join("service.toml");
    let text = toml::to_string(&keys).map_err(std::io::Error::other)?;
    std::fs::write(&config, text)?;
    let mut command = Command::new(std::env::current_exe()?);
    match role {
        Role::Serve => command.args(["serve", "--listen", "127.0.0.1:0"]),
        Role::Work => command.args(["worker", "--name", &spec.name]),
    };
    command
        // Nobody reads the log of a child; a line for every request would only cost.
        .env("BROWNOUT_LOG", "warn")
        .arg("--lifeline")
        .arg("--config")
        .arg(config)
        .arg("--seed")
        .arg(spec.seed.to_string());
    Ok(command)
}

/// The way to the providers over the in-memory network, with the connect deadline that reqwest keeps on the real clock.
pub fn provider_client(settings: &Settings, io: &HostIo) -> Arc<dyn Upstream> {
    upstream::over_connector(upstream::connect_within(
        io.network.connector(),
        settings.deadline.connect,
    ))
}

/// A host's own way to what all hosts share.
fn stores(shared: &Stores, settings: &Settings, io: &HostIo) -> Stores {
    troubled(shared.replica(), &io.dependencies, settings.database.acquire_timeout)
}

/// The settings that a host described by `spec` runs on.
pub fn settings(spec: &HostSpec) -> Result<Settings, MountError> {
    let keys = with_host_keys(spec);
    Settings::from_map(keys).map_err(|e| MountError(e.to_string()))
}

/// The author's keys, and those that only a host knows.
fn with_host_keys(spec: &HostSpec) -> Map<String, Value> {
    let mut keys = spec.settings.clone();
    let providers: Vec<Value> = spec.providers.iter().map(provider_keys).collect();
    keys.insert("providers".to_owned(), Value::Array(providers));
    keys.insert("otlp_endpoint".to_owned(), json!(spec.telemetry_url));
    // What replicas draw for themselves alone is not to be the same.
    keys.entry("instance").or_insert_with(|| json!(spec.name));
    keys
}

/// A provider as the service is told of it, with its price: budgets and routing need it.
fn provider_keys(provider: &brownout_world::ProviderEndpoint) -> Value {
    let per_million = |price: Picodollars| json!(price.as_usd() * 1e6);
    let mut keys = json!({
        "name": provider.name, "base_url": provider.base_url, "model": provider.model, "api_key": API_KEY,
        "prompt_usd_per_million": per_million(provider.price.prompt),
        "completion_usd_per_million": per_million(provider.price.completion),
        "tasks": provider.tasks,
    });
    if let Some(window) = provider.context_window.filter(|window| *window <= LARGEST_WINDOW) {
        keys["context_window"] = json!(window);
    }
    if provider.prefill {
        keys["prefill"] = json!(true);
    }
    keys
}
