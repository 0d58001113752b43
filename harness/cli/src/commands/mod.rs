//! One file per command. Each returns the exit code; the sum of several is the worst of them.

pub mod baseline;
pub mod check;
pub mod compare;
pub mod fidelity;
pub mod list;
pub mod play;
pub mod probe;
pub mod provider;
pub mod report;
pub mod run;
pub mod serve;

use std::path::{Path, PathBuf};

use brownout_measure::record::RunRecord;

use crate::exit::Exit;

/// Says what went wrong on standard error, and returns the code for it.
fn fail(exit: Exit, message: &dyn std::fmt::Display) -> Exit {
    complain!("error: {message}");
    exit
}

/// The records at `path`: one for a run, several for a suite.
fn records_at(path: &Path) -> Result<Vec<RunRecord>, Exit> {
    brownout_report::read_runs(path).map_err(|e| fail(Exit::Unexpected, &e))
}

/// The baseline file of `record`: `path` itself if it is a `.json` file, else the scenario's file in the folder `path`.
fn baseline_file(path: &Path, record: &RunRecord) -> PathBuf {
    if path.extension().is_some_and(|e| e == "json") {
        path.to_owned()
    } else {
        path.join(format!("{}.json", record.scenario))
    }
}
