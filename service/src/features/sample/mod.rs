//! Sample: what a new feature looks like. Only in tests.

mod models;
mod routes;

pub(crate) use self::routes::routes;
