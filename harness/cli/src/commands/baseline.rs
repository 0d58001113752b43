//! `brownout baseline` and `brownout gate`: a run's figures written down, and a later run held against them.

use std::path::Path;

use brownout_measure::gate::{Baseline, GateReport, compare};
use brownout_measure::record::{RunRecord, Verdict};

use super::{baseline_file, fail, records_at};
use crate::exit::Exit;

/// Writes the figures of `run` as a baseline.
pub fn write(run: &Path, to: &Path) -> Exit {
    let records = match records_at(run) {
        Ok(records) => records,
        Err(exit) => return exit,
    };
    if records.len() > 1 && to.extension().is_some_and(|e| e == "json") {
        let message = format!(
            "{} holds several scenarios: name a folder, which gets a file for each",
            run.display()
        );
        return fail(Exit::Usage, &message);
    }
    for record in &records {
        if let Some(exit) = unfit(record) {
            return exit;
        }
        let file = baseline_file(to, record);
        let text = serde_json::to_string_pretty(&Baseline::of(record)).unwrap_or_default() + "\n";
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(&file, text)) {
            return fail(
                Exit::Unexpected,
                &format!("{} cannot be written: {error}", file.display()),
            );
        }
        say!("{}", file.display());
    }
    Exit::Pass
}

/// Judges `run` against its baseline.
pub fn gate(run: &Path, baseline: &Path) -> Exit {
    let records = match records_at(run) {
        Ok(records) => records,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Pass;
    for record in &records {
        let file = baseline_file(baseline, record);
        exit = exit.or_worse(judge(record, &file));
    }
    exit
}

/// Why the figures of `record` may not be held against anything, if so; it has been printed.
fn unfit(record: &RunRecord) -> Option<Exit> {
    let scenario = &record.scenario;
    if record.interrupted {
        return Some(fail(
            Exit::Interrupted,
            &format!("{scenario} was interrupted: play it to its end"),
        ));
    }
    if record.results.verdict == Verdict::Invalid {
        let message = format!("{scenario} is invalid, no figure of it may be trusted: its report says why");
        return Some(fail(Exit::RunInvalid, &message));
    }
    None
}

fn judge(record: &RunRecord, file: &Path) -> Exit {
    if let Some(exit) = unfit(record) {
        return exit;
    }
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let remedy = format!("write one with: brownout baseline RUN --write {}", file.display());
            return fail(
                Exit::Unexpected,
                &format!("the baseline {} cannot be read: {error}\n{remedy}", file.display()),
            );
        }
    };
    let baseline: Baseline = match serde_json::from_str(&text) {
        Ok(baseline) => baseline,
        Err(error) => return fail(Exit::Unexpected, &format!("{} is no baseline: {error}", file.display())),
    };
    let report = compare(&baseline, record);
    print_report(record, &report);
    if report.passed() {
        Exit::Pass
    } else {
        Exit::WorseThanBaseline
    }
}

fn print_report(record: &RunRecord, report: &GateReport) {
    let scenario = &record.scenario;
    if report.passed() {
        say!("{scenario}: as the baseline says");
        return;
    }
    say!("{scenario}: not what the baseline says");
    if let Some(mismatch) = &report.mismatch {
        say!("  {mismatch}");
    }
    for name in &report.variants_missing {
        say!("  {scenario} / {name}: in the baseline, but not in this run");
    }
    for name in &report.variants_new {
        say!("  {scenario} / {name}: in this run, but not in the baseline");
    }
    for difference in &report.differences {
        say!("  {difference}");
    }
    if report.fingerprint_changed && report.differences.is_empty() {
        say!("  no listed figure moved, but the fingerprint of the results did: a histogram or a timeline changed");
    }
    if report.plan_changed {
        say!("  the scenario is not the one that the baseline was made with: if that is meant, write a new baseline");
    }
    if report.engine_changed {
        say!("  dependencies, compiler or target are not those of the baseline");
    }
}
