//! Metrics: the instance's registry as text. What is counted is [`crate::telemetry`]'s business; there is no logic and
//! no model of its own here.

mod routes;

pub(super) use self::routes::routes;
