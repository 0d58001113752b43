//! The network, the serve loop, the gateway and links from the outside: on the paused clock in memory, and over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that unwraps an error has failed")]

mod backend;
mod client;
mod closing;
mod crowd;
mod determinism;
mod frames;
mod gateway;
mod health;
mod hostile;
mod hosts;
mod http2;
mod link;
mod serving;
mod streams;
