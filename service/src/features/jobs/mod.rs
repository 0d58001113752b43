//! Jobs: a chat that is answered with a receipt at once and with the answer when it is there.

mod logic;
mod models;
mod routes;

pub(super) use self::routes::routes;
