//! OpenAPI: the description of all endpoints, made from the endpoints themselves. It has no logic of its own.

mod models;
mod routes;

pub(super) use self::models::problems;
pub(super) use self::models::{Document, description};
pub(crate) use self::models::{Problems, StreamEvent};
pub(super) use self::routes::routes;
