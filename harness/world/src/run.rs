//! A plan in, a record out: every variant on the clock that was asked for, then the measuring.
//!
//! On the virtual clock variants share nothing, so they are played side by side; on the real clock they would disturb
//! each other, so they are played one after the other.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use brownout_measure::measure;
use brownout_measure::record::{ClockKind, Environment, RunRecord};
use brownout_measure::run::{RunMeta, assemble};
use brownout_net::Network;
use brownout_scenario::plan::{Plan, Variant};
use tokio_util::sync::CancellationToken;

use crate::error::WorldError;
use crate::event::Event;
use crate::hosts::Place;
use crate::limits::playable_in_real_time;
use crate::mount::Mount;
use crate::stage::{Played, Stage};

/// Unix time at which every virtual run begins: 2026-01-01T00:00:00Z.
const VIRTUAL_EPOCH_US: u64 = 1_767_225_600_000_000;

/// How a plan is to be played.
#[derive(Clone)]
pub struct Options {
    /// On which clock.
    pub clock: ClockKind,
    /// Version of the tool, for the record.
    pub brownout: String,
    /// Hash of lock file, compiler and target, for the record.
    pub engine: String,
    /// The command that plays it again, for the record.
    pub command: String,
    /// When it was started, RFC 3339; empty on the virtual clock.
    pub started: String,
    /// A folder for the files of child processes (real clock only); the caller removes it.
    pub scratch: PathBuf,
    /// Cancelled when the run is to end early: what was measured is still recorded.
    pub stop: CancellationToken,
}

/// Where progress goes.
pub type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// A run that was played, perhaps not to its end.
#[derive(Debug)]
pub struct Ran {
    /// What was measured.
    pub record: RunRecord,
    /// What kept a variant from being played, or from being played whole.
    pub failure: Option<WorldError>,
    /// The metrics of the target's processes as OpenMetrics text with times, by variant, where they were scraped.
    pub metrics: Vec<(String, String)>,
}

/// Plays `plan` and measures it. An error means that nothing at all was measured.
pub fn run<M: Mount>(plan: &Plan, mount: &Arc<M>, options: &Options, events: &Events) -> Result<Ran, WorldError> {
    let began = stopwatch();
    let played = match options.clock {
        ClockKind::Virtual => side_by_side(plan, mount, options, events),
        ClockKind::Real => {
            playable_in_real_time(plan, mount.as_ref())?;
            one_by_one(plan, mount, options, events)?
        }
    };
    let (mut measured, mut notes, mut failure) = (Vec::new(), notes(options.clock, mount.as_ref()), None);
    let mut metrics = Vec::new();
    for (variant, result) in played {
        match result {
            Ok(played) => {
                measured.push(measure(variant, plan, &played.observations));
                notes.extend(played.notes);
                metrics.extend(played.metrics.map(|text| (variant.name.clone(), text)));
                failure = failure.or(played.failure);
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    if let Some(error) = failure.take_if(|_| measured.is_empty()) {
        return Err(error);
    }
    let environment = Environment {
        started: options.started.clone(),
        platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
        cpus: processors() as u64,
        wall_s: began.elapsed().as_secs_f64(),
        notes,
    };
    let meta = RunMeta {
        brownout: options.brownout.clone(),
        clock: options.clock,
        engine: options.engine.clone(),
        command: options.command.clone(),
        environment,
        interrupted: options.stop.is_cancelled(),
    };
    Ok(Ran {
        record: assemble(plan, meta, measured),
        failure,
        metrics,
    })
}

fn notes(clock: ClockKind, mount: &impl Mount) -> Vec<String> {
    match clock {
        ClockKind::Virtual => vec![
            "Virtual clock: CPU time is not modelled; times are whole milliseconds.".to_owned(),
            "Replaced on the virtual clock: sockets by an in-memory network without TLS, SQLite by stores in memory \
             behind the same pool limits, blocking threads by tasks."
                .to_owned(),
        ],
        ClockKind::Real => {
            let stores = mount.stores();
            vec![format!("Real clock: child processes, loopback sockets, {stores}.")]
        }
    }
}

/// Variants with what came of them, in the order of the file.
type AllPlayed<'a> = Vec<(&'a Variant, Result<Played, WorldError>)>;

fn side_by_side<'a, M: Mount>(plan: &'a Plan, mount: &Arc<M>, options: &Options, events: &Events) -> AllPlayed<'a> {
    let waiting = Mutex::new(plan.variants.iter().enumerate());
    let played = Mutex::new(Vec::new());
    let take = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..processors().min(plan.variants.len()) {
            scope.spawn(|| {
                while let Some((position, variant)) = take().filter(|_| !options.stop.is_cancelled()) {
                    let result = play_virtual(plan, variant, mount, options, events);
                    played
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((position, variant, result));
                }
            });
        }
    });
    let mut played = played.into_inner().unwrap_or_else(PoisonError::into_inner);
    played.sort_by_key(|(position, ..)| *position);
    played
        .into_iter()
        .map(|(_, variant, result)| (variant, result))
        .collect()
}

fn play_virtual<M: Mount>(
    plan: &Plan,
    variant: &Variant,
    mount: &Arc<M>,
    options: &Options,
    events: &Events,
) -> Result<Played, WorldError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let stage = Stage {
        plan,
        variant,
        mount: Arc::clone(mount),
        clock: ClockKind::Virtual,
        network: Network::memory(),
        place: Place::InProcess {
            unix_us: VIRTUAL_EPOCH_US,
        },
        unix_us: VIRTUAL_EPOCH_US,
        stop: options.stop.clone(),
        events: Arc::clone(events),
    };
    finish(variant, runtime.block_on(stage.play()), events)
}

fn one_by_one<'a, M: Mount>(
    plan: &'a Plan,
    mount: &Arc<M>,
    options: &Options,
    events: &Events,
) -> Result<AllPlayed<'a>, WorldError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut played = Vec::with_capacity(plan.variants.len());
    for variant in &plan.variants {
        if options.stop.is_cancelled() {
            break;
        }
        let stage = Stage {
            plan,
            variant,
            mount: Arc::clone(mount),
            clock: ClockKind::Real,
            network: Network::tcp(),
            place: Place::Children {
                dir: options.scratch.join(&variant.name),
            },
            unix_us: unix_now_us(),
            stop: options.stop.clone(),
            events: Arc::clone(events),
        };
        let result = finish(variant, runtime.block_on(stage.play()), events);
        let lost = result.is_err();
        played.push((variant, result));
        if lost {
            // What kept this variant from being played keeps the next ones too.
            break;
        }
    }
    Ok(played)
}

fn finish(variant: &Variant, result: Result<Played, WorldError>, events: &Events) -> Result<Played, WorldError> {
    if result.is_ok() {
        events(Event::VariantFinished {
            variant: variant.name.clone(),
        });
    }
    result
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a run took is told to people and is in no fingerprint"
)]
fn stopwatch() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "children stamp their spans with the system clock; only the real clock asks"
)]
fn unix_now_us() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| d.as_micros() as u64)
}
