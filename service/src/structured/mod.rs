//! Structured output: an answer is held against the form that was asked for, and asked for again once if it does not fit.
//!
//! - `shape`: the form, and what does not fit it. Pure.
//! - `steps`: how much work that is, before it is done. Pure.
//! - `again`: the question as it is put the second time. Pure.
//!
//! Asks nobody: that is `answering`'s, which draws on the attempts and the deadline that the call has anyway.

mod again;
mod shape;
mod steps;

pub(crate) use self::again::again;
pub(crate) use self::shape::{Misfit, Shape, bounded};

/// Parameter: what is done with an answer for which a form was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Structured {
    /// It is passed on as it is: the provider will have kept to it.
    Pass,
    /// It is checked, and an error if it does not fit.
    Check,
    /// It is checked, asked for once more if it does not fit, and then an error.
    Repair,
}
