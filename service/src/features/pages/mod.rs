//! Pages for people: a chat at `/`, and the API's description at `/docs`. Each is one file without a network of its own.
//!
//! Does not decide what they show: they ask the API as any client does.

mod models;
mod policy;
mod routes;

pub(super) use self::routes::routes;
