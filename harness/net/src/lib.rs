//! Listen and connect over TCP or in memory, serve HTTP/1.1, and the gateway between clients and replicas.
//!
//! In reading order: [`clock`] (how far into the run it is), [`network`] (the one type that knows on which clock it
//! runs), [`listener`] and [`stream`] (what it hands out), [`connector`] (the same for HTTP clients), [`mod@serve`] (the
//! accept loop), [`gateway`] (the load balancer). The in-memory network itself is private: a registry of names, and
//! pipes with a receive window, a latency and two ways to end.
//!
//! Deliberately absent: TLS, HTTP/2, name resolution of our own, loss and reordering, bandwidth.

pub mod clock;
pub mod connector;
pub mod gateway;
pub mod listener;
mod memory;
pub mod network;
pub mod serve;
pub mod stream;

pub use clock::RunClock;
pub use connector::Connector;
pub use listener::Listener;
pub use network::Network;
pub use serve::{serve, serve_connection};
pub use stream::{AbortHandle, Stream};
