//! The network, the serve loop and the gateway from the outside: on the paused clock in memory, and over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that unwraps an error has failed")]

mod backend;
mod client;
mod closing;
mod crowd;
mod determinism;
mod frames;
mod gateway;
mod hostile;
mod http2;
mod serving;
mod streams;
