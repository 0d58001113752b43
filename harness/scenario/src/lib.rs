//! Scenario files, plans, the seed tree and the samplers.
//!
//! In reading order: [`units`] (time, money, rates), [`distribution`] and [`seed`] (every draw), [`plan`] (what will be
//! played), [`schedule`] (which request falls due when), [`tracer`] (text that joins both ends), [`observe`] (what is
//! seen while it is played). A file becomes a plan through [`Scenario`]: `file` holds the shapes serde reads, `resolve`
//! turns them into a plan or into an error with line, key and remedy.
//!
//! Deliberately absent: a runtime, a clock, ambient randomness, knowledge of the service's own settings.

pub mod distribution;
pub mod observe;
pub mod plan;
pub mod seed;
pub mod tracer;
pub mod units;
