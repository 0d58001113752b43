//! What every benchmark shares: short settings, and plans from text.

use std::time::Duration;

use brownout_scenario::{Plan, Scenario};
use criterion::Criterion;

/// Criterion with samples so few and short that all files together end within three minutes. Options on the command line
/// win.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args()
}

/// The plan that `text` describes.
pub(crate) fn plan(text: &str) -> Plan {
    Scenario::parse("bench.toml", text)
        .expect("the scenario of this benchmark is valid")
        .plan
}
