//! Asks a process again and again whether it lives, as an orchestrator does.
//!
//! Every probe is a connection of its own over the run's network. Does not restart anything.

use brownout_net::{Network, probe};
use brownout_scenario::observe::Probe;
use brownout_scenario::plan::HealthCheckPlan;
use tokio::time::{Instant, sleep_until, timeout};

use super::diary::Diary;

/// Returns once the process that answers at `authority` has failed so often in a row as the plan says.
pub(super) async fn until_ill(network: &Network, check: &HealthCheckPlan, diary: &Diary, host: &str, authority: &str) {
    let (mut due, mut failures) = (Instant::now() + check.every.into(), 0);
    while failures < check.unhealthy_after {
        sleep_until(due).await;
        let at = Instant::now();
        let answer = timeout(check.timeout.into(), probe::status(network, authority, &check.path)).await;
        let status = answer.ok().flatten();
        diary.probe(
            host,
            Probe::Liveness,
            at,
            at.elapsed(),
            status.map(|status| status.as_u16()),
        );
        let well = status.is_some_and(|status| status.is_success());
        failures = if well { 0 } else { failures + 1 };
        due = at + check.every.into();
    }
}
