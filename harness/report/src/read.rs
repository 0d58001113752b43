//! Reads finished runs back from disk, at either level: a run or a suite, its folder or its file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use brownout_measure::record::{RunRecord, SCHEMA};
use serde::de::DeserializeOwned;

use crate::suite::{SUITE_SCHEMA, SuiteRecord};

/// A run that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing there.
    #[error("{} holds no run: expected a folder with run.json or suite.json, or one of these files", path.display())]
    NoRun {
        /// Where.
        path: PathBuf,
    },
    /// The system's refusal.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another schema than this version's.
    #[error("{} is of schema {found}, this version reads {expected}: read it with the version that wrote it", path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What it should say.
        expected: &'static str,
    },
    /// Not a record.
    #[error("{} is not a record: {why}. It was edited or cut; play the run again", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Where it breaks.
        why: String,
    },
}

/// Reads a run from its folder or its `run.json`.
pub fn read_run(path: &Path) -> Result<RunRecord, ReadError> {
    load(&located(path, "run.json")?, SCHEMA)
}

/// Reads a suite from its folder or its `suite.json`, without its runs.
pub fn read_suite(path: &Path) -> Result<SuiteRecord, ReadError> {
    load(&located(path, "suite.json")?, SUITE_SCHEMA)
}

/// Reads the run at `path`, or all runs of the suite at `path`.
pub fn read_runs(path: &Path) -> Result<Vec<RunRecord>, ReadError> {
    let is_suite = if path.is_dir() {
        path.join("suite.json").is_file()
    } else {
        path.file_name().is_some_and(|name| name == "suite.json")
    };
    if !is_suite {
        return Ok(vec![read_run(path)?]);
    }
    let dir = if path.is_dir() {
        path
    } else {
        path.parent().unwrap_or(Path::new(""))
    };
    read_suite(path)?
        .scenarios
        .iter()
        .map(|entry| read_run(&dir.join(&entry.folder)))
        .collect()
}

fn located(path: &Path, name: &str) -> Result<PathBuf, ReadError> {
    let file = if path.is_dir() {
        path.join(name)
    } else {
        path.to_owned()
    };
    if file.exists() {
        Ok(file)
    } else {
        Err(ReadError::NoRun { path: path.to_owned() })
    }
}

/// Looks at the schema first: a record of another one would only be a riddle of missing keys.
fn load<T: DeserializeOwned>(path: &Path, expected: &'static str) -> Result<T, ReadError> {
    let bytes = fs::read(path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => ReadError::NoRun { path: path.to_owned() },
        _ => ReadError::File {
            path: path.to_owned(),
            source,
        },
    })?;
    let format = |error: serde_json::Error| ReadError::Format {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(format)?;
    let found = value
        .get("schema")
        .and_then(serde_json::Value::as_str)
        .unwrap_or("none");
    if found != expected {
        return Err(ReadError::Schema {
            path: path.to_owned(),
            found: found.to_owned(),
            expected,
        });
    }
    serde_json::from_slice(&bytes).map_err(format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn refusal(content: &str) -> String {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("run.json"), content).expect("writes");
        read_run(dir.path()).expect_err("refused").to_string()
    }

    #[test]
    fn a_record_of_another_schema_is_named_as_such() {
        let mut record = sample::record();
        record.schema = "brownout.run/99".to_owned();
        let text = refusal(&serde_json::to_string(&record).expect("serialises"));
        assert!(text.contains("brownout.run/99") && text.contains(SCHEMA), "{text}");
    }

    #[test]
    fn a_cut_record_says_where_it_breaks() {
        let whole = serde_json::to_string(&sample::record()).expect("serialises");
        assert!(refusal(&whole[..whole.len() / 2]).contains("column"));
    }

    #[test]
    fn an_empty_folder_says_what_was_expected() {
        let dir = tempfile::tempdir().expect("a folder");
        for error in [
            read_run(dir.path()).map(|_| ()),
            read_runs(&dir.path().join("nowhere")).map(|_| ()),
        ] {
            assert!(error.expect_err("nothing there").to_string().contains("run.json"));
        }
    }
}
