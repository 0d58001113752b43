//! Observations to histograms, books, expectations, records and verdicts.
pub mod record;
