//! What a sample looks like from outside.

use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A request.
#[derive(Debug, Deserialize, Validate, ToSchema)]
pub(super) struct EchoRequest {
    /// What to say.
    #[garde(length(min = 1, max = 8))]
    pub(super) text: String,
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Echo {
    pub(super) text: String,
}
