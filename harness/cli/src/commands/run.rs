//! `brownout run`: plays scenarios, writes the report, says what came out.

use std::path::{Path, PathBuf};

use brownout_measure::fidelity::{self, FidelityRow};
use brownout_measure::record::{ClockKind, RunRecord, Verdict};
use brownout_scenario::units::Micros;
use brownout_scenario::{Plan, SHORTEST_SCRAPE, Scenario};

use super::fail;
use super::play::{Played, Player, command, default_out};
use crate::ablation::Ablation;
use crate::args::{Clock, RunArgs};
use crate::exit::Exit;
use crate::mount::OnStores;
use crate::scenarios;

/// The spot check: this much of this scenario, on both clocks. It asks for unary answers only, so wiremock serves it.
const SPOT_CHECK: &str = "rate-limited";
const SPOT_CHECK_LENGTH: Micros = Micros::from_secs(15);

/// Runs the command.
pub fn run(args: &RunArgs) -> Exit {
    let scenarios = match selected(args) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    let stores = match stores(args) {
        Ok(stores) => stores,
        Err(exit) => return exit,
    };
    let out = match writable_out(args) {
        Ok(out) => out,
        Err(exit) => return exit,
    };
    let clock = match args.clock {
        Clock::Virtual => ClockKind::Virtual,
        Clock::Real => ClockKind::Real,
    };
    let quiet = args.quiet || args.json;
    let player = Player::new(quiet).on(stores);
    let (records, mut exit) = play_all(&scenarios, &player, clock, args, &out);
    if player.interrupted() {
        exit = exit.or_worse(Exit::Interrupted);
    }
    // A suite over runs that could not be written would be a hollow one.
    let mut complete = exit != Exit::Unexpected && !records.is_empty();
    if complete && let Err(error) = brownout_report::write_suite(&records, &out) {
        complete = false;
        exit = exit.or_worse(fail(Exit::Unexpected, &error));
    }
    if args.json {
        print_json(&records);
    }
    if args.scenarios.is_empty() && clock == ClockKind::Virtual && !args.no_spot_check && !player.interrupted() {
        exit = exit.or_worse(spot_check(&scenarios, &player, &out, quiet));
    }
    if !quiet && complete {
        say!("report: {}", out.join("index.html").display());
    }
    exit
}

/// Where the service keeps its data, if not in SQLite.
fn stores(args: &RunArgs) -> Result<OnStores, Exit> {
    let named = args.database_url.is_some() || args.redis_url.is_some();
    if named && args.clock == Clock::Virtual {
        let message = "--database-url and --redis-url are for --clock real: on the virtual clock stores are in memory";
        return Err(fail(Exit::Usage, &message));
    }
    OnStores::at(args.database_url.clone(), args.redis_url.clone()).map_err(|error| fail(Exit::Usage, &error))
}

/// Plays the scenarios one after the other and writes each record as soon as it is there.
fn play_all(
    scenarios: &[Scenario],
    player: &Player,
    clock: ClockKind,
    args: &RunArgs,
    out: &Path,
) -> (Vec<RunRecord>, Exit) {
    let (mut records, mut exit) = (Vec::with_capacity(scenarios.len()), Exit::Pass);
    for scenario in scenarios {
        if player.interrupted() {
            break;
        }
        let mut command = command(scenario.source.name(), &scenario.plan, clock, &args.variant, None);
        if args.ablate {
            command.push_str(" --ablate");
        }
        let Played {
            mut record,
            metrics,
            exit: failed,
        } = match player.play(&scenario.plan, clock, command) {
            Ok(done) => done,
            Err(failed) => {
                exit = exit.or_worse(failed);
                continue;
            }
        };
        exit = exit.or_worse(failed);
        if args.ablate && !player.interrupted() {
            exit = exit.or_worse(ablate(&scenario.plan, player, clock, &mut record));
        }
        let folder = out.join(&record.scenario);
        let written = brownout_report::write_run(&record, &folder)
            .and_then(|_| brownout_report::write_metrics(&metrics, &folder));
        if let Err(error) = written {
            exit = exit.or_worse(fail(Exit::Unexpected, &error));
        }
        exit = exit.or_worse(record.results.verdict.into());
        if !args.quiet && !args.json {
            say!("{}", brownout_report::summary_text(&record));
        }
        records.push(record);
    }
    (records, exit)
}

/// Plays every cure alone and everything but it, and adds what each is worth to `record`.
fn ablate(plan: &Plan, player: &Player, clock: ClockKind, record: &mut RunRecord) -> Exit {
    let ablation = match Ablation::of(plan) {
        Ok(ablation) => ablation,
        Err(error) => return fail(Exit::Usage, &error),
    };
    match player.play(&ablation.plan, clock, record.command.clone()) {
        Ok(cures) => {
            record.results.ablation = ablation.rows(&cures.record);
            if cures.record.results.verdict == Verdict::Invalid {
                record.results.verdict = Verdict::Invalid;
                let notes = cures.record.environment.notes.into_iter();
                record
                    .environment
                    .notes
                    .extend(notes.filter(|note| note.starts_with("invalid:")));
            }
            cures.exit
        }
        Err(exit) => exit,
    }
}

fn print_json(records: &[RunRecord]) {
    let json = match records {
        [record] => serde_json::to_string_pretty(record),
        several => serde_json::to_string_pretty(several),
    };
    say!("{}", json.unwrap_or_default());
}

/// The scenarios, cut to the variants and with the seed that were asked for.
fn selected(args: &RunArgs) -> Result<Vec<Scenario>, Exit> {
    let mut scenarios = scenarios::load(&args.scenarios).map_err(|error| {
        error.print();
        Exit::ScenarioInvalid
    })?;
    let scrape = scrape(args)?;
    for scenario in &mut scenarios {
        scenario.plan.scrape = scrape.or(scenario.plan.scrape);
        if let Some(seed) = args.seed {
            scenario.plan.seed = seed;
        }
        if !args.variant.is_empty() {
            let Some(plan) = scenario.plan.only(&args.variant) else {
                let names: Vec<_> = scenario.plan.variants.iter().map(|v| v.name.as_str()).collect();
                let message = format!(
                    "{} has no such variant; its variants are: {}",
                    scenario.plan.scenario,
                    names.join(", ")
                );
                return Err(fail(Exit::Usage, &message));
            };
            scenario.plan = plan;
        }
        // Said before an hour is spent on playing.
        if args.ablate
            && let Err(error) = Ablation::of(&scenario.plan)
        {
            return Err(fail(Exit::Usage, &error));
        }
    }
    Ok(scenarios)
}

fn scrape(args: &RunArgs) -> Result<Option<Micros>, Exit> {
    let Some(text) = &args.scrape else { return Ok(None) };
    match text.parse() {
        Ok(every) if every >= SHORTEST_SCRAPE => Ok(Some(every)),
        Ok(_) => Err(fail(
            Exit::Usage,
            &format!("--scrape {text} is too often: write at least {SHORTEST_SCRAPE}"),
        )),
        Err(error) => Err(fail(Exit::Usage, &format!("--scrape {text}: {error}"))),
    }
}

/// The folder for the results. Finds out before the run, not after it, that they have no place.
fn writable_out(args: &RunArgs) -> Result<PathBuf, Exit> {
    let told = |out: &Path, error: std::io::Error| {
        let message = format!(
            "{} cannot be written: {error}\nname a folder that can be, with --out",
            out.display()
        );
        fail(Exit::Unexpected, &message)
    };
    let out = match &args.out {
        Some(out) => out.clone(),
        None => default_out().map_err(|error| told(Path::new("reports/runs"), error))?,
    };
    let probe = || {
        std::fs::create_dir_all(&out)?;
        tempfile::Builder::new().prefix(".probe").tempfile_in(&out).map(drop)
    };
    probe().map_err(|error| told(&out, error))?;
    Ok(out)
}

/// Plays the beginning of one scenario on both clocks and says how far they are apart.
fn spot_check(scenarios: &[Scenario], player: &Player, out: &Path, quiet: bool) -> Exit {
    let Some(scenario) = scenarios.iter().find(|s| s.plan.scenario == SPOT_CHECK) else {
        return Exit::Pass;
    };
    if !quiet {
        say!("spot check: the first {SPOT_CHECK_LENGTH} of {SPOT_CHECK} on the real clock, against the virtual one");
    }
    let out = out.join("spot-check");
    match both_clocks(scenario, SPOT_CHECK_LENGTH, &[], player, Some(&out)) {
        Ok(report) => {
            if !quiet {
                print_fidelity(&report);
            }
            if agrees(&report) {
                Exit::Pass
            } else {
                Exit::Inconclusive
            }
        }
        Err(exit) => exit,
    }
}

/// Plays the beginning of `scenario` on both clocks; writes both records where `out` is given.
pub fn both_clocks(
    scenario: &Scenario,
    length: Micros,
    variants: &[String],
    player: &Player,
    out: Option<&PathBuf>,
) -> Result<Vec<FidelityRow>, Exit> {
    let plan = if length < scenario.plan.duration {
        scenario.plan.beginning(length)
    } else {
        scenario.plan.clone()
    };
    let mut records = Vec::with_capacity(2);
    for (clock, folder) in [(ClockKind::Virtual, "virtual"), (ClockKind::Real, "real")] {
        let command = command(scenario.source.name(), &plan, clock, variants, Some(plan.duration));
        let Played {
            record, exit: failed, ..
        } = player.play(&plan, clock, command)?;
        if let Some(out) = out {
            brownout_report::write_run(&record, &out.join(folder)).map_err(|e| fail(Exit::Unexpected, &e))?;
        }
        if failed != Exit::Pass {
            return Err(failed);
        }
        if player.interrupted() {
            return Err(Exit::Interrupted);
        }
        if record.results.verdict == Verdict::Invalid {
            return Err(fail(Exit::RunInvalid, &record.results.answer));
        }
        records.push(record);
    }
    Ok(fidelity::compare(&records[0], &records[1]))
}

/// Whether all figures lie as near as they must. Runs without a single answer agree on nothing.
pub fn agrees(rows: &[FidelityRow]) -> bool {
    rows.iter().any(|row| row.figure == "latency.p50_us") && rows.iter().all(|row| row.agrees)
}

/// Prints how far the two clocks are apart, figure by figure. Times are in microseconds.
pub fn print_fidelity(rows: &[FidelityRow]) {
    say!(
        "{:24} {:40} {:>10} {:>10} {:>10}",
        "variant",
        "figure",
        "virtual",
        "real",
        "allowed"
    );
    for row in rows {
        let mark = if row.agrees { "" } else { "  DIFFERS" };
        say!(
            "{:24} {:40} {:>10} {:>10} {:>9}{mark}",
            row.variant,
            row.figure,
            row.on_virtual,
            row.on_real,
            format!("±{}", row.allowed)
        );
    }
    let verdict = if agrees(rows) {
        "the two clocks agree"
    } else {
        "the two clocks differ"
    };
    say!("{verdict}");
}
