//! Listen and connect over TCP or in memory, serve HTTP, and the gateway between clients and replicas.
//!
//! In reading order: [`clock`] (how far into the run it is), [`network`] (the one type that knows on which clock it
//! runs), [`listener`] and [`stream`] (what it hands out), [`closed`] (a listener that refuses for a while), [`connector`]
//! (the same for HTTP clients), [`mod@serve`] (the accept loop), [`connection`] (one connection of it), `opening` (which
//! HTTP a peer speaks), [`probe`] (one question after health), [`gateway`] (the load balancer), [`link`] (a TCP link to a dependency that can be troubled). The
//! in-memory network itself is private: a registry of names and hosts, and pipes with a receive window, a latency and two
//! ways to end.
//!
//! Deliberately absent: TLS, HTTP/2 in memory, name resolution of our own, loss and reordering, bandwidth.

pub mod clock;
pub mod closed;
pub mod connection;
pub mod connector;
pub mod gateway;
pub mod link;
pub mod listener;
mod memory;
pub mod network;
mod opening;
pub mod probe;
pub mod serve;
pub mod stream;

pub use clock::RunClock;
pub use closed::Closed;
pub use connection::serve_connection;
pub use connector::Connector;
pub use link::{Link, LinkState};
pub use listener::Listener;
pub use network::Network;
pub use serve::{accept_into, serve};
pub use stream::{AbortHandle, Stream};
