//! `brownout compare`: finished runs side by side.

use std::path::PathBuf;

use super::records_at;
use crate::exit::Exit;

/// Runs the command.
pub fn compare(runs: &[PathBuf]) -> Exit {
    let mut records = Vec::new();
    for run in runs {
        match records_at(run) {
            Ok(found) => records.extend(found),
            Err(exit) => return exit,
        }
    }
    say!("{}", brownout_report::comparison(&records));
    Exit::Pass
}
