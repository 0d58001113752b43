//! What keeps the service useful when a provider is not: one file per concern, each with its own switch.
//!
//! Every concern has the same three parts, apart from each other: parameters (what the settings say), policy (pure: what
//! to do next) and mechanism (async: doing it). [`course`] is where they meet for one call; a new concern (a breaker, a
//! hedge, a limit) is one file here and one line there.

pub mod breaker;
pub mod broken;
pub mod classes;
pub mod course;
pub mod deadline;
pub mod disconnect;
pub mod fallback;
pub mod filtered;
pub mod hedge;
pub mod rescue;
pub mod retry;
pub mod shed;
