//! `POST /v1/embeddings`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use utoipa_axum::routes;

use super::logic;
use super::models::{EmbeddingList, EmbeddingRequest};
use crate::app::App;
use crate::designs;
use crate::error::Error;
use crate::features::Routes;
use crate::features::body::Payload;
use crate::features::completions::{Refusals, refusal};
use crate::features::exchange::{Context, Exchange, json};

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(embeddings))
}

/// Turns texts into vectors, as OpenAI does.
#[utoipa::path(
    post,
    path = "/v1/embeddings",
    tag = "openai",
    request_body = EmbeddingRequest,
    responses((status = 200, description = "The vectors, in the order of the inputs", body = EmbeddingList), Refusals)
)]
async fn embeddings(State(app): State<Arc<App>>, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /v1/embeddings", &headers);
    match answer(&app, context, body).await {
        Ok(list) => exchange.respond(json(StatusCode::OK, &list)),
        Err(error) => exchange.refuse(error, refusal),
    }
}

async fn answer(app: &Arc<App>, context: Context, body: Payload) -> Result<EmbeddingList, Error> {
    let request: EmbeddingRequest = body.read(app, &context.deadline).await?;
    let Ok(named) = app.models.find(&request.model) else {
        return Err(Error::UnknownModel(request.model));
    };
    let (encoding, dimensions, provider) = (request.encoding(), request.dimensions, named.unwrap_or_default());
    let deadline = context.deadline;
    let (trace, host, texts) = (context.trace.clone(), Arc::clone(app), request.texts());
    let work = async move { logic::embed(&host, &context, provider, dimensions, texts).await };
    let embedded = designs::answer(app, &trace, deadline, Box::pin(work)).await?;
    Ok(EmbeddingList::of(embedded, encoding))
}
