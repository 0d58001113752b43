//! Observations to histograms, books, expectations, records and verdicts.
//!
//! In reading order: [`record`] (what comes out), [`histogram`] and [`spectrum`] (how times and tokens are kept),
//! `join` (requests to ledger rows, by way of `owners` and `sharing`) and [`waste`] (who used what was billed), then one file per part of a variant's
//! record (`latencies`, `counts`, `tokens`, `clients`, `hosts`, `phases`, `timeline`, [`attribution`], [`books`]), which [`measure()`] puts
//! together. A finished set of variants becomes a run through [`expect`] and [`run`]; runs are held against each other
//! by [`gate`] and [`fidelity`], and cures against each other by [`ablation`].
//!
//! Deliberately absent: a runtime, a clock, randomness, files and the terminal. The same observations give the same
//! record, to the last byte.

pub mod ablation;
mod answer;
pub mod attribution;
pub mod books;
mod bounds;
mod clients;
mod counts;
pub mod expect;
pub mod fidelity;
mod fingerprint;
pub mod gate;
pub mod histogram;
mod hosts;
mod join;
mod latencies;
mod measure;
pub mod metric;
mod owners;
mod phases;
mod prices;
mod rank;
pub mod record;
pub mod run;
mod sharing;
mod span_sweep;
pub mod spectrum;
#[cfg(test)]
mod testing;
mod timeline;
mod tokens;
pub mod tolerance;
pub mod waste;
pub mod words;

pub use measure::{Observations, measure};
