//! Arrivals, clients and the one dispatcher.
//!
//! [`play`] walks the schedule of a plan ([`dispatch`]), gives every request a client of its own (`client`), which
//! speaks the reference API or OpenAI's (`api`, `answer`, `sse`) over a connection of its own (`connection`, `slow`), and
//! returns one observation for every request that fell due.
//!
//! Deliberately absent: any judgement of what was seen, and any knowledge of which clock or network it runs on.

mod answer;
mod api;
mod client;
mod connection;
pub mod dispatch;
mod slow;
mod sse;

pub use dispatch::{Audience, play};
