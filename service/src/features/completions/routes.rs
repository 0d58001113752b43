//! `POST /v1/chat/completions` and `GET /v1/models`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use utoipa_axum::routes;

use super::answer::{Completion, ModelList};
use super::problem::{ErrorBody, Refusals, refusal};
use super::request::CompletionRequest;
use super::wording::Chunks;
use crate::access::Place;
use crate::answering::Ask;
use crate::app::App;
use crate::designs;
use crate::draws::Purpose;
use crate::error::Error;
use crate::features::Routes;
use crate::features::body::Payload;
use crate::features::chat;
use crate::features::exchange::{Context, Exchange, json};
use crate::features::openapi::StreamEvent;
use crate::routing::is_task;
use crate::telemetry::conventions::header::TASK;

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(complete)).routes(routes!(models))
}

/// Answers as OpenAI does, whole or, with `stream`, in chunks. A stream without `[DONE]` is not complete.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    tag = "openai",
    params(("x-task" = Option<String>, Header, min_length = 1, max_length = 32, pattern = r"^[0-9A-Za-z._-]+$",
        description = "What it is for, where the service knows models that are meant for it")),
    request_body = CompletionRequest,
    responses(
        (status = 200, description = "The answer, whole or as it is written", content(
            (Completion = "application/json"),
            (StreamEvent = "text/event-stream"),
        )),
        Refusals,
    )
)]
async fn complete(State(app): State<Arc<App>>, place: Place, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /v1/chat/completions", &headers);
    match answer(&app, context.taking(place), &headers, body).await {
        Ok(Answer::Whole(completion)) => exchange.respond(json(StatusCode::OK, &completion)),
        Ok(Answer::Stream(stream, chunks)) => chat::respond(app.settings.heartbeat, exchange, *stream, chunks),
        Err(error) => exchange.refuse(error, refusal),
    }
}

enum Answer {
    Whole(Completion),
    Stream(Box<chat::EventStream>, Chunks),
}

async fn answer(app: &Arc<App>, context: Context, headers: &HeaderMap, body: Payload) -> Result<Answer, Error> {
    let task = task(headers)?;
    let request: CompletionRequest = body.read(app, &context.deadline).await?;
    let Ok(named) = app.models.find(&request.model) else {
        return Err(Error::UnknownModel(request.model));
    };
    let now_us = app.clock.now_unix_us();
    let id = app.ids.next(Purpose::Answer, &context.request_id, now_us);
    let (id, created) = (format!("chatcmpl-{id:032x}"), now_us / 1_000_000);
    if request.stream.unwrap_or_default() {
        let chunks = Chunks::new(id.clone(), created, request.wants_usage());
        let stream = chat::open(app, context, request.ask(named, task), id).await?;
        return Ok(Answer::Stream(Box::new(stream), chunks));
    }
    let completion = whole(app, context, request.ask(named, task), id).await?;
    Ok(Answer::Whole(Completion::of(completion, created)))
}

/// What the request is for. OpenAI's bodies have no field for it.
fn task(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(given) = headers.get(TASK) else {
        return Ok(None);
    };
    let word = given.to_str().ok().filter(|word| is_task(word));
    word.map(|word| Some(word.to_owned())).ok_or(Error::BadTask)
}

async fn whole(app: &Arc<App>, context: Context, ask: Ask, id: String) -> Result<chat::ChatResponse, Error> {
    let (trace, deadline, host) = (context.trace.clone(), context.deadline, Arc::clone(app));
    let work = async move { chat::answer(&host, &context, ask, id).await };
    designs::answer(app, &trace, deadline, Box::pin(work)).await
}

/// The models that can be asked for.
#[utoipa::path(
    get,
    path = "/v1/models",
    tag = "openai",
    responses((status = 200, description = "The models", body = ModelList), (status = "default", description = "A failure", body = ErrorBody))
)]
async fn models(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let (_, exchange) = Exchange::begin(&app, "GET /v1/models", &headers);
    exchange.respond(json(StatusCode::OK, &ModelList::of(app.models.known())))
}
