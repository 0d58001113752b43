//! Jobs: a chat that is answered with a receipt at once and with the answer when it is there.
//!
//! `routes` and `events` are what clients see, `receipt` says which requests are the same one, `watch` looks at jobs on
//! behalf of all who follow them.

mod events;
mod logic;
mod models;
mod receipt;
mod routes;
mod watch;

pub(crate) use self::models::JobView;
pub(super) use self::routes::routes;
pub(crate) use self::watch::Watched;
