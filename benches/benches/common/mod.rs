//! What every benchmark shares: short settings.

use std::time::Duration;

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
