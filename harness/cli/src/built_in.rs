//! The scenarios of `scenarios/`, built in so that the tool works from any folder.

/// The names and texts of `scenarios/NAME.toml`.
macro_rules! scenarios {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../scenarios/", $name, ".toml")))),+]
    };
}

/// What is played when no scenario is named: the five that everybody should see first.
pub const HEADLINE: [&str; 5] = [
    "blocking-vs-decoupled",
    "client-disconnects",
    "latency-spike",
    "pool-exhaustion",
    "rate-limited",
];

/// All of them: name and text, in the order of their names.
pub const ALL: &[(&str, &str)] = &scenarios![
    "background-limits",
    "bad-day",
    "blocking-vs-decoupled",
    "budget-guard",
    "cache-exact",
    "cache-flush",
    "cache-semantic",
    "cache-stampede",
    "cascading-restart",
    "client-disconnects",
    "cold-start",
    "content-filter",
    "context-length",
    "duplicate-jobs",
    "garbage-output",
    "hedging",
    "hostile-retry-after",
    "idle-load-balancer",
    "latency-spike",
    "load-shedding",
    "lying-health-check",
    "malformed-stream",
    "micro-batch",
    "mid-stream-failure",
    "mid-stream-rescue",
    "model-routing",
    "noisy-neighbour",
    "pool-exhaustion",
    "provider-outage",
    "rate-limit-replicas",
    "rate-limited",
    "redis-down",
    "retry-storm",
    "rolling-deploy",
    "scale-steps",
    "silent-provider",
    "slow-reader",
    "stream-or-wait",
    "token-diet",
    "truncated-stream",
    "worker-crash",
];

/// The path by which a built-in scenario is called in messages.
pub fn path(name: &str) -> String {
    format!("scenarios/{name}.toml")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in_and_the_headline_is_among_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, files);
        assert!(HEADLINE.iter().all(|name| names.contains(name)));
    }
}
