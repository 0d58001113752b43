//! What is said of the checks. Restarting a process repairs neither its database nor its provider, so liveness should depend
//! on nothing; that it can is there to show what happens then.

use std::collections::BTreeMap;

use super::checks::check;
use super::models::{CheckStatus, Checks, Liveness, Readiness, Status};
use crate::app::App;
use crate::settings::ProbeScope;

pub(super) async fn liveness(app: &App) -> Liveness {
    let checks = match app.settings.health.liveness {
        ProbeScope::Process => Checks::new(),
        ProbeScope::Dependencies => ask_in_turn(app).await,
    };
    let alive = checks.values().all(|check| check.status.is_usable());
    Liveness {
        status: if alive { "alive" } else { "failing" },
        checks,
    }
}

/// One after the other and through the requests' own pool, as it is written on the first day.
async fn ask_in_turn(app: &App) -> Checks {
    let limit = app.settings.health.timeout;
    let database = check(app.clock, limit, app.accounts.ping()).await;
    let queue = check(app.clock, limit, app.jobs.ping()).await;
    let asking = async { app.models.ping().await.map_err(|_| CheckStatus::Failed) };
    let provider = check(app.clock, limit, asking).await;
    [("database", database), ("queue", queue), ("provider", provider)].into()
}

pub(super) async fn readiness(app: &App) -> Readiness {
    let (mut checks, mut providers) = (Checks::new(), BTreeMap::new());
    if app.settings.health.readiness == ProbeScope::Dependencies {
        checks = app.dependencies.check().await;
        providers = app.models.standings();
        let in_use = app.metrics.pool_in_use.get();
        if let Some(database) = checks.get_mut("database")
            && database.status == CheckStatus::Ok
            && in_use >= i64::from(app.settings.database.pool)
        {
            database.status = CheckStatus::Busy;
        }
    }
    let draining = app.shutdown.is_cancelled();
    let limits = app.limits.is_well();
    let status = match verdict(draining, &checks, &providers) {
        Status::Ready if limits == Some(false) => Status::Degraded,
        status => status,
    };
    Readiness {
        status,
        draining,
        checks,
        providers,
        limits: limits.map(|is_well| if is_well { "ok" } else { "degraded" }),
    }
}

fn verdict(draining: bool, checks: &Checks, providers: &BTreeMap<String, &'static str>) -> Status {
    if draining || checks.values().any(|check| !check.status.is_usable()) {
        return Status::Unready;
    }
    let all_well = checks.values().all(|check| check.status == CheckStatus::Ok)
        && providers.values().all(|standing| *standing == "ok");
    if all_well { Status::Ready } else { Status::Degraded }
}
