//! Health: whether the process lives, and whether it should get requests.

mod logic;
mod models;
mod routes;

pub(super) use self::routes::routes;
