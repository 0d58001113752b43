//! `brownout report`: redraws a report from its record.

use std::path::Path;

use brownout_report::SuiteRecord;

use super::{fail, records_at};
use crate::exit::Exit;

/// Runs the command: into `out`, or into the folder that `run` names or lies in.
pub fn report(run: &Path, out: Option<&Path>) -> Exit {
    let records = match records_at(run) {
        Ok(records) => records,
        Err(exit) => return exit,
    };
    let own = if run.is_dir() {
        run
    } else {
        run.parent().unwrap_or(Path::new("."))
    };
    let out = out.unwrap_or(own);
    let written = if run.join("suite.json").is_file() {
        let folders = SuiteRecord::of(&records).scenarios;
        let mut runs = records.iter().zip(folders);
        runs.try_for_each(|(record, entry)| brownout_report::write_run(record, &out.join(entry.folder)).map(|_| ()))
            .and_then(|()| brownout_report::write_suite(&records, out).map(|_| ()))
    } else {
        records
            .iter()
            .try_for_each(|record| brownout_report::write_run(record, out).map(|_| ()))
    };
    match written {
        Ok(()) => {
            say!("{}", out.join("index.html").display());
            Exit::Pass
        }
        Err(error) => fail(Exit::Unexpected, &error),
    }
}
