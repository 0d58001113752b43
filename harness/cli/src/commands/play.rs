//! One plan played from the command line: Ctrl-C, scratch folders, exit codes.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use brownout_measure::record::{ClockKind, RunRecord};
use brownout_scenario::Plan;
use brownout_scenario::units::Micros;
use brownout_world::run::Events;
use brownout_world::{Options, Ran, WorldError};
use tokio_util::sync::CancellationToken;

use super::fail;
use crate::exit::Exit;
use crate::mount::OnStores;
use crate::{ENGINE, VERSION, terminal};

/// A plan that was played, perhaps not to its end.
pub struct Played {
    /// What was measured.
    pub record: RunRecord,
    /// Metrics of the service by variant, where they were scraped.
    pub metrics: Vec<(String, String)>,
    /// The exit code, if something else than the verdict decides.
    pub exit: Exit,
}

/// Plays plans until it is told to stop.
pub struct Player {
    events: Events,
    stop: CancellationToken,
    mount: Arc<OnStores>,
}

impl Player {
    /// A player that ends early on Ctrl-C (or SIGTERM), with what it has.
    pub fn new(quiet: bool) -> Self {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone());
        Self {
            events: terminal::watch(quiet),
            stop,
            mount: Arc::default(),
        }
    }

    /// With the service's data in these stores, on the real clock.
    #[must_use]
    pub fn on(self, stores: OnStores) -> Self {
        Self {
            mount: Arc::new(stores),
            ..self
        }
    }

    /// Whether it was told to stop.
    pub fn interrupted(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Plays `plan`. Errors have been printed; `Err` means that there is no record.
    pub fn play(&self, plan: &Plan, clock: ClockKind, command: String) -> Result<Played, Exit> {
        let scratch = tempfile::Builder::new().prefix("brownout-").tempdir().map_err(|e| {
            fail(
                Exit::Unexpected,
                &format!("no temporary folder could be made: {e}; set TMPDIR"),
            )
        })?;
        let options = Options {
            clock,
            brownout: VERSION.to_owned(),
            engine: ENGINE.to_owned(),
            command,
            started: if clock == ClockKind::Real { now() } else { String::new() },
            scratch: scratch.path().to_owned(),
            stop: self.stop.clone(),
        };
        let ran = brownout_world::run(plan, &self.mount, &options, &self.events);
        let Ran {
            record,
            failure,
            metrics,
        } = ran.map_err(|error| told(&error))?;
        Ok(Played {
            record,
            metrics,
            exit: failure.map_or(Exit::Pass, |error| told(&error)),
        })
    }
}

/// Says what went wrong, and returns the code for it.
fn told(error: &WorldError) -> Exit {
    let exit = match error {
        WorldError::Service { .. } => Exit::ServiceNotStarted,
        WorldError::Provider { .. } => Exit::ProviderNotStarted,
        WorldError::Clock { .. } => Exit::ScenarioInvalid,
        WorldError::Listen { .. } | WorldError::Begin(_) => Exit::Unexpected,
    };
    fail(exit, error)
}

/// The command that plays `plan`, from `file`, again. `variants` are those that were chosen, `first` is how much of it.
pub fn command(file: &str, plan: &Plan, clock: ClockKind, variants: &[String], first: Option<Micros>) -> String {
    let clock = match clock {
        ClockKind::Virtual => "virtual",
        ClockKind::Real => "real",
    };
    let mut command = match first {
        None => format!("brownout run {file} --clock {clock}"),
        Some(first) => format!("brownout fidelity {file} --first {first}"),
    };
    for variant in variants {
        let _ = write!(command, " --variant {variant}");
    }
    let _ = write!(command, " --seed {}", plan.seed);
    command
}

/// The folder for a run that names none: `reports/runs/<time>`, with a number where two begin in one second.
pub fn default_out() -> std::io::Result<PathBuf> {
    let runs = Path::new("reports/runs");
    std::fs::create_dir_all(runs)?;
    let time = now().replace(':', "-");
    for n in 1..1_000 {
        let folder = runs.join(if n == 1 { time.clone() } else { format!("{time}-{n}") });
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
    Err(std::io::Error::other("a thousand runs in one second"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time of day is told to people and is in no fingerprint"
)]
fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

#[expect(
    clippy::disallowed_methods,
    reason = "signals have a thread and a runtime of their own, apart from any run"
)]
fn stop_on_signal(stop: CancellationToken) {
    std::thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return;
        };
        runtime.block_on(async {
            wait_for_signal().await;
            complain!("stopping: what was measured so far will be written (again to stop at once)");
            stop.cancel();
            wait_for_signal().await;
            std::process::exit(i32::from(Exit::Interrupted as u8));
        });
    });
}

/// Waits for Ctrl-C, or for SIGTERM where there is such a thing.
pub async fn wait_for_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
