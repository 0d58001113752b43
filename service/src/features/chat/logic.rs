//! Answers as this API promises them.

use std::sync::Arc;

use garde::Validate;

use super::models::ChatResponse;
use crate::answering::{self, Ask};
use crate::app::App;
use crate::error::Error;
use crate::features::Context;

/// Answers whole. `id` names the answer: a second one under the same name is not counted again.
pub(crate) async fn answer(
    app: &Arc<App>,
    context: &Context,
    ask: impl Into<Ask>,
    id: String,
) -> Result<ChatResponse, Error> {
    let response = ChatResponse::from(answering::answer(app, context, ask, id).await?);
    // What our own answers promise is held against what the provider said.
    response.validate().map_err(|report| {
        tracing::warn!(provider = response.provider, %report, "an answer does not fit");
        Error::BadUpstream
    })?;
    Ok(response)
}
