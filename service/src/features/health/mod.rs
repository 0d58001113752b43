//! Health: whether the process lives, and whether it should get requests.

mod checks;
mod logic;
mod models;
mod routes;

pub(crate) use self::checks::Dependencies;
pub(super) use self::routes::routes;
