//! `brownout run`: plays scenarios, writes the report, says what came out.

use std::path::{Path, PathBuf};

use brownout_measure::fidelity::{self, FidelityRow};
use brownout_measure::record::{ClockKind, RunRecord};
use brownout_scenario::Scenario;
use brownout_scenario::units::Micros;

use super::fail;
use super::play::{Player, command, default_out};
use crate::args::{Clock, RunArgs};
use crate::exit::Exit;
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
    let out = args.out.clone().unwrap_or_else(default_out);
    if let Err(exit) = check_writable(&out) {
        return exit;
    }
    let clock = match args.clock {
        Clock::Virtual => ClockKind::Virtual,
        Clock::Real => ClockKind::Real,
    };
    let player = Player::new(args.quiet || args.json);
    let mut records = Vec::with_capacity(scenarios.len());
    let mut exit = Exit::Pass;
    for scenario in &scenarios {
        if player.interrupted() {
            break;
        }
        let command = command(scenario.source.name(), &scenario.plan, clock, None);
        let recorded = player.play(&scenario.plan, clock, command).and_then(|record| {
            let folder = out.join(&record.scenario);
            brownout_report::write_run(&record, &folder).map_err(|e| fail(Exit::Unexpected, &e))?;
            Ok(record)
        });
        match recorded {
            Ok(record) => {
                exit = exit.or_worse(record.results.verdict.into());
                if !args.quiet && !args.json {
                    print!("{}", brownout_report::summary_text(&record));
                    println!();
                }
                records.push(record);
            }
            Err(failed) => exit = exit.or_worse(failed),
        }
    }
    exit = exit.or_worse(finish(args, &out, &records));
    if args.scenarios.is_empty() && clock == ClockKind::Virtual && !args.no_spot_check && !player.interrupted() {
        exit = exit.or_worse(spot_check(&scenarios, &player, &out, args.quiet || args.json));
    }
    if player.interrupted() {
        exit = exit.or_worse(Exit::Interrupted);
    }
    if !args.quiet && !args.json {
        println!("report: {}", out.join("index.html").display());
    }
    exit
}

/// The scenarios, cut to the variants and with the seed that were asked for.
fn selected(args: &RunArgs) -> Result<Vec<Scenario>, Exit> {
    let mut scenarios = scenarios::load(&args.scenarios).map_err(|error| {
        error.print();
        Exit::ScenarioInvalid
    })?;
    for scenario in &mut scenarios {
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
    }
    Ok(scenarios)
}

/// Finds out before the run, not after it, that its results have no place.
fn check_writable(out: &Path) -> Result<(), Exit> {
    let probe = || {
        std::fs::create_dir_all(out)?;
        tempfile::Builder::new().prefix(".probe").tempfile_in(out).map(drop)
    };
    probe().map_err(|error| {
        let message = format!(
            "{} cannot be written: {error}\nname a folder that can be, with --out",
            out.display()
        );
        fail(Exit::Unexpected, &message)
    })
}

fn finish(args: &RunArgs, out: &Path, records: &[RunRecord]) -> Exit {
    if args.json {
        let json = match records {
            [record] => serde_json::to_string_pretty(record),
            several => serde_json::to_string_pretty(several),
        };
        println!("{}", json.unwrap_or_default());
    }
    match brownout_report::write_suite(records, out) {
        Ok(_) => Exit::Pass,
        Err(error) => fail(Exit::Unexpected, &error),
    }
}

/// Plays the beginning of one scenario on both clocks and says how far they are apart.
fn spot_check(scenarios: &[Scenario], player: &Player, out: &Path, quiet: bool) -> Exit {
    let Some(scenario) = scenarios.iter().find(|s| s.plan.scenario == SPOT_CHECK) else {
        return Exit::Pass;
    };
    if !quiet {
        println!(
            "spot check: the first {SPOT_CHECK_LENGTH} of {SPOT_CHECK} on the real clock, against the virtual one"
        );
    }
    let out = out.join("spot-check");
    match both_clocks(scenario, SPOT_CHECK_LENGTH, player, Some(&out)) {
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
        let command = command(scenario.source.name(), &plan, clock, Some(plan.duration));
        let record = player.play(&plan, clock, command)?;
        if let Some(out) = out {
            brownout_report::write_run(&record, &out.join(folder)).map_err(|e| fail(Exit::Unexpected, &e))?;
        }
        records.push(record);
    }
    Ok(fidelity::compare(&records[0], &records[1]))
}

/// Whether all figures lie as near as they must; no figures agree with nothing.
pub fn agrees(rows: &[FidelityRow]) -> bool {
    !rows.is_empty() && rows.iter().all(|row| row.agrees)
}

/// Prints how far the two clocks are apart, figure by figure. Times are in microseconds.
pub fn print_fidelity(rows: &[FidelityRow]) {
    println!(
        "{:24} {:40} {:>10} {:>10} {:>10}",
        "variant", "figure", "virtual", "real", "allowed"
    );
    for row in rows {
        let mark = if row.agrees { "" } else { "  DIFFERS" };
        println!(
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
    println!("{verdict}");
}
