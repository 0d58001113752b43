//! The reference service on data stores of the caller's: PostgreSQL, Redis. Real clock only; in process it is the same.
//!
//! Variants must not meet there, nor two runs: each gets a namespace of its own, named after its folder. It stays when
//! the run is over, to be looked at; a server for tests is thrown away as a whole.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use brownout_net::Listener;
use brownout_scenario::plan::Dependency;
use brownout_scenario::units::Micros;
use brownout_service::cache::{CacheStore as _, RedisCache};
use brownout_service::settings::{Settings, SettingsError};
use brownout_world::mount::{HostIo, HostSpec, Mount, MountError, Role, Running, SettingProblem};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Flushed, ReferenceService, Stores, not_flushed};

/// The reference service, its children on these stores. Without any: SQLite, in the variant's folder.
#[derive(Clone, Default)]
pub struct OnStores {
    database_url: Option<String>,
    redis_url: Option<String>,
}

impl OnStores {
    /// Takes the addresses as the service's own settings take them.
    pub fn at(database_url: Option<String>, redis_url: Option<String>) -> Result<Self, SettingsError> {
        let stores = Self {
            database_url,
            redis_url,
        };
        Settings::from_map(stores.keys(None)).map(|_| stores)
    }

    /// The keys that lead to the stores; `folder` is the variant's.
    fn keys(&self, folder: Option<&Path>) -> Map<String, Value> {
        let mut keys = Map::new();
        if let Some(url) = &self.database_url {
            keys.insert("database_url".to_owned(), json!(url));
        } else if let Some(folder) = folder {
            keys.insert("database_path".to_owned(), json!(folder.join("service.db")));
        }
        if let Some(url) = &self.redis_url {
            keys.insert("redis_url".to_owned(), json!(url));
            keys.insert("queue".to_owned(), json!("redis"));
        }
        if let Some(folder) = folder {
            keys.insert("namespace".to_owned(), json!(namespace(folder)));
        }
        keys
    }
}

/// A name that no other run and no other variant has: folders of runs have random names.
fn namespace(folder: &Path) -> String {
    let digest = Sha256::digest(folder.as_os_str().as_encoded_bytes());
    let first = digest
        .iter()
        .take(8)
        .fold(0_u64, |all, byte| (all << 8) | u64::from(*byte));
    format!("run_{first:016x}")
}

/// Where `HOST` or `HOST:PORT` stands in a URL of a store, and the port that is meant where there is none.
fn authority(url: &str) -> Option<(Range<usize>, u16)> {
    let start = url.find("://")? + 3;
    let port = match &url[..start - 3] {
        "postgres" | "postgresql" => 5432,
        "redis" => 6379,
        // TLS goes to the server itself: what lies in between could not speak it.
        _ => return None,
    };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let start = url[start..end].rfind('@').map_or(start, |at| start + at + 1);
    (start < end).then_some((start..end, port))
}

/// `HOST:PORT` of a URL of a store.
fn address(url: &str) -> Option<String> {
    let (place, port) = authority(url)?;
    let host = &url[place];
    let named = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if named {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    })
}

/// `url` with the address that `detours` has in the place of its own, if any.
fn over_detour(url: &str, detours: &BTreeMap<String, String>) -> String {
    match (authority(url), address(url).and_then(|address| detours.get(&address))) {
        (Some((place, _)), Some(detour)) => format!("{}{detour}{}", &url[..place.start], &url[place.end..]),
        _ => url.to_owned(),
    }
}

impl Mount for OnStores {
    type Shared = Stores;

    fn check(&self, settings: &Map<String, Value>) -> Result<(), Vec<SettingProblem>> {
        ReferenceService.check(settings)
    }

    fn shortest_patience(&self, settings: &Map<String, Value>) -> Option<Micros> {
        ReferenceService.shortest_patience(settings)
    }

    fn shared(&self, spec: &HostSpec) -> Result<Stores, MountError> {
        ReferenceService.shared(spec)
    }

    fn serve(&self, spec: HostSpec, shared: Stores, io: HostIo, listener: Listener) -> Running {
        ReferenceService.serve(spec, shared, io, listener)
    }

    fn work(&self, spec: HostSpec, shared: Stores, io: HostIo) -> Running {
        ReferenceService.work(spec, shared, io)
    }

    fn flush<'a>(&'a self, shared: Option<&'a Stores>, folder: Option<&'a Path>) -> Flushed<'a> {
        let settings = folder.and_then(|folder| Settings::from_map(self.keys(Some(folder))).ok());
        let place = settings.and_then(|settings| Some((settings.redis_url?, settings.namespace)));
        let Some((url, namespace)) = place else {
            return ReferenceService.flush(shared, folder);
        };
        Box::pin(async move {
            let cache = RedisCache::open(&url, namespace.as_deref()).map_err(|e| not_flushed(&e))?;
            cache.clear().await.map_err(|e| not_flushed(&e))
        })
    }

    fn command(&self, role: Role, spec: &HostSpec, dir: &Path, shared: &Path) -> std::io::Result<Command> {
        let mut keys = self.keys(Some(shared));
        for key in ["database_url", "redis_url"] {
            if let Some(Value::String(url)) = keys.get_mut(key) {
                *url = over_detour(url, &spec.detours);
            }
        }
        super::child(role, spec, dir, keys)
    }

    /// The queue is where the database is, unless there is a Redis.
    fn dependencies(&self) -> BTreeMap<Dependency, String> {
        let database = self.database_url.as_deref().and_then(address);
        let redis = self.redis_url.as_deref().and_then(address);
        let queue = match self.redis_url {
            Some(_) => redis.clone(),
            None => database.clone(),
        };
        let all = [
            (Dependency::Database, database),
            (Dependency::Queue, queue),
            (Dependency::Redis, redis),
        ];
        let reached = all.into_iter().filter_map(|(of, address)| Some((of, address?)));
        reached.collect()
    }

    fn stores(&self) -> String {
        let database = match &self.database_url {
            Some(url) if url.starts_with("postgres") => "PostgreSQL",
            _ => "SQLite on disk",
        };
        match self.redis_url {
            Some(_) => format!("{database}, the queue in Redis"),
            None => database.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_cache_that_cannot_be_emptied_is_told() {
        // Nobody listens on port 1.
        let stores = OnStores::at(None, Some("redis://127.0.0.1:1/".to_owned())).unwrap();
        let error = stores.flush(None, Some(Path::new("/tmp/a/naive"))).await.unwrap_err();
        assert!(error.to_string().contains("the cache could not be emptied"), "{error}");
    }

    #[test]
    fn variants_and_runs_do_not_meet_and_nothing_but_an_address_is_taken_for_one() {
        let names: std::collections::BTreeSet<_> = ["/tmp/a/naive", "/tmp/a/resilient", "/tmp/b/naive"]
            .map(|folder| namespace(Path::new(folder)))
            .into();
        assert_eq!(names.len(), 3);
        let redis = OnStores::at(None, Some("redis://h/".to_owned())).unwrap();
        let keys = redis.keys(Some(Path::new("/tmp/a/naive")));
        assert!(Settings::from_map(keys).is_ok());
        assert_eq!(redis.stores(), "SQLite on disk, the queue in Redis");
        assert!(OnStores::at(Some("mysql://h/".to_owned()), None).is_err());
    }
    #[test]
    fn a_child_calls_the_link_in_the_place_of_its_store_and_nothing_else_changes() {
        let detours = BTreeMap::from([
            ("db:5432".to_owned(), "127.0.0.1:1".to_owned()),
            ("r:7".to_owned(), "127.0.0.1:2".to_owned()),
        ]);
        for (url, over) in [
            ("postgres://u:p@db/name?x=1", "postgres://u:p@127.0.0.1:1/name?x=1"),
            ("postgres://db:5432", "postgres://127.0.0.1:1"),
            ("postgres://db:5433/name", "postgres://db:5433/name"),
            ("redis://:p@r:7/0", "redis://:p@127.0.0.1:2/0"),
            ("rediss://r:7/0", "rediss://r:7/0"),
        ] {
            assert_eq!(over_detour(url, &detours), over);
        }
        let both = OnStores::at(Some("postgres://db/name".to_owned()), None).unwrap();
        let addresses: Vec<String> = both.dependencies().into_values().collect();
        assert_eq!(addresses, ["db:5432", "db:5432"]);
        let apart = OnStores::at(Some("postgres://db/name".to_owned()), Some("redis://r/".to_owned())).unwrap();
        let apart = apart.dependencies();
        assert_eq!(apart[&Dependency::Queue], apart[&Dependency::Redis]);
    }
}
