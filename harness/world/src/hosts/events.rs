//! Plays the events of a plan: at its time, each gives its orders.
//!
//! Does not carry them out, and does not wait for one event before the next.

use std::sync::Arc;
use std::time::Duration;

use brownout_net::RunClock;
use brownout_scenario::plan::{EventKind, EventPlan};
use brownout_scenario::units::Micros;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::life::Order;
use super::{Roll, Site, lock, replicas};
use crate::mount::{Mount, MountError};

/// Plays all of them; returns when the last one is over.
pub(super) async fn play<M: Mount>(
    events: Vec<EventPlan>,
    clock: RunClock,
    site: Arc<Site<M>>,
    roll: Roll,
) -> Result<(), MountError> {
    let happened = join_all(events.into_iter().map(|event| happen(event, clock, &site, &roll))).await;
    happened.into_iter().collect()
}

async fn happen<M: Mount>(event: EventPlan, clock: RunClock, site: &Site<M>, roll: &Roll) -> Result<(), MountError> {
    clock.sleep_until(event.at.0).await;
    match event.what {
        EventKind::RollingRestart { pause } => rolling_restart(pause.into(), roll).await,
        EventKind::Terminate { host, restart_after } => {
            let restart_after = restart_after.map(Micros::into);
            tell(&host, Order::Terminate { restart_after }, roll).await;
        }
        EventKind::Kill { host, restart_after } => {
            let restart_after = restart_after.map(Micros::into);
            tell(&host, Order::Kill { restart_after }, roll).await;
        }
        EventKind::Flush => site.mount.flush(site.shared.as_ref(), site.place.folder()).await?,
    }
    Ok(())
}

async fn rolling_restart(pause: Duration, roll: &Roll) {
    for (_, orders) in replicas(roll) {
        let (ready, is_ready) = oneshot::channel();
        if orders.send(Order::Replace { ready }).await.is_err() {
            continue;
        }
        // An error is a replica that will not come back: the next one's turn.
        let _ = is_ready.await;
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }
}

/// A host that is not there, or not any more, is spared.
async fn tell(host: &str, order: Order, roll: &Roll) {
    let orders = lock(roll).get(host).map(|post| post.orders.clone());
    if let Some(orders) = orders {
        let _ = orders.send(order).await;
    }
}
