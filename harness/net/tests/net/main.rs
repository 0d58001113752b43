//! The network, the serve loop and the gateway from the outside: on the paused clock in memory, and over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that unwraps an error has failed")]

mod backend;
mod client;
mod determinism;
mod gateway;
mod serving;
mod streams;
