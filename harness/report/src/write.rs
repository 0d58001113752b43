//! Puts reports on disk. The only file here that touches it for writing.
//!
//! Every file is written under another name in its folder and then renamed, so nobody ever sees half a file; the
//! record comes first, so that it survives whatever happens to the drawings.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use brownout_measure::record::RunRecord;

use crate::chart::{Chart, ChartError, Shape};
use crate::{hgrm, junit, names, page, suite, summary};

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The page to open.
    pub index: PathBuf,
    /// All files, in the order in which they were written.
    pub files: Vec<PathBuf>,
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A file or folder that could not be made.
    #[error("cannot write {}: {what}. {remedy}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What happened.
        what: String,
        /// What to do about it.
        remedy: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A chart that could not be drawn.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// A record that cannot be put into JSON or XML.
    #[error("the record cannot be written as {format}: {why}; please report this")]
    Encode {
        /// The format.
        format: &'static str,
        /// What its library said.
        why: String,
    },
}

/// Writes one run's report into `dir`, which is made if it is missing.
pub fn write_run(record: &RunRecord, dir: &Path) -> Result<Written, WriteError> {
    let mut folder = Folder::open(dir)?;
    folder.write("run.json", &json(record)?)?;
    folder.write("junit.xml", &xml(std::slice::from_ref(record))?)?;
    folder.write("summary.md", summary::run_summary(record).as_bytes())?;
    let variants = &record.results.variants;
    for (variant, name) in variants
        .iter()
        .zip(names::file_names(variants.iter().map(|v| v.name.as_str())))
    {
        folder.write(&format!("latency-{name}.hgrm"), hgrm::latency_hgrm(variant).as_bytes())?;
    }
    folder.write("index.html", page::run_page(record)?.as_bytes())?;
    let mut charts = Folder::open(&dir.join("charts"))?;
    for chart in Chart::of(record) {
        charts.write(
            &format!("{}.svg", chart.name()),
            chart.svg(record, Shape::Wide)?.as_bytes(),
        )?;
        charts.write(&format!("{}.png", chart.name()), &chart.png(record, Shape::Wide)?)?;
    }
    folder.files.append(&mut charts.files);
    Ok(folder.done())
}

/// Writes what a run's processes said of themselves, by variant, into `dir`: `metrics-<variant>.om`, OpenMetrics text with
/// times.
pub fn write_metrics(metrics: &[(String, String)], dir: &Path) -> Result<(), WriteError> {
    let mut folder = Folder::open(dir)?;
    let names = names::file_names(metrics.iter().map(|(variant, _)| variant.as_str()));
    for ((_, text), name) in metrics.iter().zip(names) {
        folder.write(&format!("metrics-{name}.om"), text.as_bytes())?;
    }
    Ok(())
}

/// Writes what stands over several runs into `dir`. The runs' own reports are expected beside it, each in the folder
/// that [`suite::SuiteRecord::of`] names.
pub fn write_suite(records: &[RunRecord], dir: &Path) -> Result<Written, WriteError> {
    let mut folder = Folder::open(dir)?;
    folder.write("suite.json", &json(&suite::SuiteRecord::of(records))?)?;
    folder.write("junit.xml", &xml(records)?)?;
    folder.write("summary.md", summary::suite_summary(records).as_bytes())?;
    folder.write("index.html", suite::suite_page(records)?.as_bytes())?;
    Ok(folder.done())
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, WriteError> {
    let encoded = serde_json::to_vec_pretty(value);
    let mut bytes = encoded.map_err(|error| WriteError::Encode {
        format: "JSON",
        why: error.to_string(),
    })?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn xml(records: &[RunRecord]) -> Result<Vec<u8>, WriteError> {
    let encoded = junit::junit_xml(records);
    Ok(encoded
        .map_err(|error| WriteError::Encode {
            format: "XML",
            why: error.to_string(),
        })?
        .into_bytes())
}

/// A folder that is being filled.
struct Folder {
    dir: PathBuf,
    files: Vec<PathBuf>,
}

impl Folder {
    fn open(dir: &Path) -> Result<Self, WriteError> {
        fs::create_dir_all(dir).map_err(|source| lost(dir, source))?;
        Ok(Self {
            dir: dir.to_owned(),
            files: Vec::new(),
        })
    }

    fn write(&mut self, name: &str, content: &[u8]) -> Result<(), WriteError> {
        let path = self.dir.join(name);
        let partial = self.dir.join(format!(".{name}.partial"));
        let written = fs::write(&partial, content).and_then(|()| fs::rename(&partial, &path));
        if let Err(source) = written {
            // Half a file helps nobody; that it cannot be removed either is not the news.
            let _ = fs::remove_file(&partial);
            return Err(lost(&path, source));
        }
        self.files.push(path);
        Ok(())
    }

    fn done(self) -> Written {
        Written {
            index: self.dir.join("index.html"),
            files: self.files,
        }
    }
}

fn lost(path: &Path, source: io::Error) -> WriteError {
    let (what, remedy) = explained(source.kind());
    let what = what.map_or_else(|| source.to_string(), str::to_owned);
    WriteError::File {
        path: path.to_owned(),
        what,
        remedy,
        source,
    }
}

/// What happened, in words, where the system's own are not enough; and what to do.
fn explained(kind: ErrorKind) -> (Option<&'static str>, &'static str) {
    const ELSEWHERE: &str = "Choose another folder with --out";
    match kind {
        ErrorKind::PermissionDenied => (
            Some("you may not write here"),
            "Choose another folder with --out, or change its permissions",
        ),
        ErrorKind::ReadOnlyFilesystem => (Some("the file system is read-only"), ELSEWHERE),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            Some("the disk is full"),
            "Make room and draw the report again with `brownout report`, or choose another folder with --out",
        ),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => (Some("a file is in the way of a folder"), ELSEWHERE),
        ErrorKind::IsADirectory | ErrorKind::DirectoryNotEmpty => (Some("a folder is in the way of a file"), ELSEWHERE),
        ErrorKind::InvalidFilename => (Some("the name is too long or not allowed here"), ELSEWHERE),
        _ => (None, ELSEWHERE),
    }
}

#[cfg(test)]
mod tests;
