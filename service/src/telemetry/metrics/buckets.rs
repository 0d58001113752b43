//! The bounds of all histograms. Explicit, because a default made for web pages can't tell a slow answer from a dead one.

/// Waits and whole requests, in seconds: a database at the low end, a long answer at the high end.
pub(super) const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0,
];

/// To the first token, in seconds. Those of the GenAI conventions end at 10 s, which is where a bad day begins.
pub(super) const FIRST_TOKEN_SECONDS: [f64; 15] = [
    0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 7.5, 10.0, 20.0, 30.0, 60.0,
];

/// What an answer costs, in US dollars: a short one of a small model at the low end, a long one of a large model at the
/// high end.
pub(super) const USD: [f64; 12] = [
    0.000_01, 0.000_03, 0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0,
];

/// From token to token, in seconds. Source: the GenAI conventions, below them a step for fast models.
pub(super) const OUTPUT_TOKEN_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
];

/// Of jobs, from acceptance to outcome, in seconds: one answer at the low end, an hour in a queue at the high end.
pub(super) const JOB_SECONDS: [f64; 12] = [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// Inputs of one call: powers of two, up to what one may be given.
pub(super) const INPUTS: [f64; 12] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0,
];
