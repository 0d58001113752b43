//! The arrows between crates point one way.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Who may depend on whom, apart from third parties.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("brownout-service", &[]),
    ("brownout-scenario", &[]),
    ("brownout-net", &[]),
    ("brownout-provider", &["brownout-scenario", "brownout-net"]),
    ("brownout-load", &["brownout-scenario", "brownout-net"]),
    ("brownout-measure", &["brownout-scenario"]),
    ("brownout-report", &["brownout-measure"]),
    (
        "brownout-world",
        &[
            "brownout-scenario",
            "brownout-net",
            "brownout-provider",
            "brownout-load",
            "brownout-measure",
        ],
    ),
    (
        "brownout",
        &[
            "brownout-scenario",
            "brownout-net",
            "brownout-provider",
            "brownout-measure",
            "brownout-report",
            "brownout-world",
            "brownout-service",
        ],
    ),
    (
        "brownout-benches",
        &["brownout-scenario", "brownout-net", "brownout-provider"],
    ),
];

/// Crates whose results must not depend on a runtime, and who may draw.
const PURE: [&str; 3] = ["brownout-scenario", "brownout-measure", "brownout-report"];

type Graph = BTreeMap<String, BTreeSet<(String, bool)>>;

/// Direct dependencies by crate, with whether they are for development only.
fn graph() -> Graph {
    let metadata = MetadataCommand::new()
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()
        .unwrap();
    let packages = metadata.packages.iter().map(|package| {
        let dependencies = package.dependencies.iter();
        let dependencies = dependencies
            .map(|d| (d.name.clone(), d.kind == DependencyKind::Development))
            .collect();
        (package.name.to_string(), dependencies)
    });
    packages.collect()
}

#[test]
fn the_arrows_between_crates_point_one_way() {
    let graph = graph();
    let ours: BTreeSet<&String> = graph.keys().collect();
    for (name, allowed) in ALLOWED {
        for (dependency, _) in graph[name].iter().filter(|(d, dev)| ours.contains(d) && !dev) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
        }
    }
    assert_eq!(ours.len(), ALLOWED.len(), "a crate is missing from this test");
}

#[test]
fn the_service_knows_the_harness_by_its_provider_and_in_tests_alone() {
    let harness: Vec<_> = graph()["brownout-service"]
        .iter()
        .filter(|(name, _)| name.starts_with("brownout"))
        .cloned()
        .collect();
    for dependency in harness {
        assert_eq!(dependency, ("brownout-provider".to_owned(), true));
    }
}

#[test]
fn the_pure_crates_have_no_runtime_and_only_the_report_draws() {
    let graph = graph();
    for name in PURE {
        assert!(
            !graph[name].iter().any(|(d, dev)| d == "tokio" && !dev),
            "{name} must stay without a runtime"
        );
    }
    let artists: Vec<_> = graph
        .iter()
        .filter(|(_, d)| d.iter().any(|(d, _)| d == "plotters"))
        .map(|(n, _)| n)
        .collect();
    assert_eq!(artists, ["brownout-report"]);
}
