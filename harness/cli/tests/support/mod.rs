//! What tests that play scenarios share.

use std::sync::Arc;

use brownout_measure::record::{ClockKind, RunRecord};
use brownout_scenario::Plan;
use brownout_world::mount::Mount;
use brownout_world::{Options, run};
use tokio_util::sync::CancellationToken;

/// Plays a plan on the virtual clock.
pub(crate) fn play(plan: &Plan, mount: &Arc<impl Mount>) -> RunRecord {
    let options = Options {
        clock: ClockKind::Virtual,
        brownout: "test".to_owned(),
        engine: brownout::ENGINE.to_owned(),
        command: String::new(),
        started: String::new(),
        scratch: std::env::temp_dir(),
        stop: CancellationToken::new(),
    };
    let events: brownout_world::run::Events = Arc::new(|_| {});
    run(plan, mount, &options, &events).expect("a run").record
}
