//! Plans from text, for the benchmarks that play one.

use brownout_scenario::{Plan, Scenario};

/// The plan that `text` describes.
pub(crate) fn plan(text: &str) -> Plan {
    Scenario::parse("bench.toml", text)
        .expect("the scenario of this benchmark is valid")
        .plan
}
