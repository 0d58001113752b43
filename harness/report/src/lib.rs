//! A run record drawn as files: pages, charts, summaries, JUnit.
//!
//! Every artefact is a pure function of the record; [`write_run`] and [`write_suite`] put them on disk and do nothing
//! else. In reading order:
//!
//! - `figures`, `names`, `key_figures`: how a number is written, what a thing is called, which numbers matter;
//! - `histogram`: the record's HDR histograms, read back;
//! - `ablation`, `bill`: what cures are worth, what a day costs;
//! - [`chart`]: the charts, each drawn by one function for SVG and for PNG;
//! - `page`: the run's page; `suite`: the page and the index over several runs;
//! - `summary`, `terminal`, `compare`, `junit`, `hgrm`: the same record for other readers (`table` aligns their text);
//! - `write`, `read`: files.
//!
//! Nothing here judges: verdicts and answers are in the record.

mod ablation;
mod bill;
pub mod chart;
mod compare;
mod figures;
mod hgrm;
mod histogram;
mod junit;
mod key_figures;
mod names;
mod page;
mod read;
mod suite;
mod summary;
mod table;
mod terminal;
mod write;

#[cfg(test)]
mod sample;

pub use compare::comparison;
pub use hgrm::latency_hgrm;
pub use junit::junit_xml;
pub use page::run_page;
pub use read::{ReadError, read_run, read_runs, read_suite};
pub use suite::{SUITE_SCHEMA, SuiteEntry, SuiteRecord, suite_page};
pub use summary::{run_summary, suite_summary};
pub use terminal::summary_text;
pub use write::{WriteError, Written, write_metrics, write_run, write_suite};
