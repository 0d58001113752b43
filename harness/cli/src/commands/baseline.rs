//! `brownout baseline` and `brownout gate`: a run's figures written down, and a later run held against them.

use std::path::Path;

use brownout_measure::gate::{Baseline, compare};
use brownout_measure::record::RunRecord;

use super::{baseline_file, fail, records_at};
use crate::exit::Exit;

/// Writes the figures of `run` as a baseline.
pub fn write(run: &Path, to: &Path) -> Exit {
    let records = match records_at(run) {
        Ok(records) => records,
        Err(exit) => return exit,
    };
    for record in &records {
        let file = baseline_file(to, record, records.len() > 1);
        let text = serde_json::to_string_pretty(&Baseline::of(record)).unwrap_or_default() + "\n";
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(&file, text)) {
            return fail(Exit::Unexpected, &format!("{} cannot be written: {error}", file.display()));
        }
        println!("{}", file.display());
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
        let file = baseline_file(baseline, record, records.len() > 1);
        exit = exit.or_worse(judge(record, &file));
    }
    exit
}

fn judge(record: &RunRecord, file: &Path) -> Exit {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            let remedy = format!("write one with: brownout baseline RUN --write {}", file.display());
            return fail(Exit::Unexpected, &format!("the baseline {} cannot be read: {error}\n{remedy}", file.display()));
        }
    };
    let baseline: Baseline = match serde_json::from_str(&text) {
        Ok(baseline) => baseline,
        Err(error) => return fail(Exit::Unexpected, &format!("{} is no baseline: {error}", file.display())),
    };
    let report = compare(&baseline, record);
    print!("{report}");
    if report.passed() { Exit::Pass } else { Exit::WorseThanBaseline }
}
