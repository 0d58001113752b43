//! `POST /chat` and `POST /chat/stream`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use utoipa_axum::routes;

use super::logic;
use super::models::{ChatRequest, ChatResponse};
use super::streaming::{self, EventStream, Wording};
use crate::access::Place;
use crate::answering::Event as AnswerEvent;
use crate::app::App;
use crate::designs;
use crate::draws::Purpose;
use crate::error::Error;
use crate::features::Routes;
use crate::features::body::Payload;
use crate::features::exchange::{Context, Exchange};
use crate::features::openapi::{Problems, StreamEvent};

pub(in crate::features) fn routes() -> Routes {
    Routes::new().routes(routes!(whole)).routes(routes!(streamed))
}

/// Answers whole.
#[utoipa::path(
    post,
    path = "/chat",
    tag = "chat",
    request_body = ChatRequest,
    responses((status = 200, description = "The answer", body = ChatResponse), Problems)
)]
async fn whole(State(app): State<Arc<App>>, place: Place, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /chat", &headers);
    let result = answer(&app, context.taking(place), body).await;
    exchange.answer(StatusCode::OK, result)
}

async fn answer(app: &Arc<App>, context: Context, body: Payload) -> Result<ChatResponse, Error> {
    let request: ChatRequest = body.read(app, &context.deadline).await?;
    let (id, trace, host) = (answer_id(app, &context), context.trace.clone(), Arc::clone(app));
    let deadline = context.deadline;
    let work = async move { logic::answer(&host, &context, request, id).await };
    designs::answer(app, &trace, deadline, Box::pin(work)).await
}

/// Answers piece by piece: server-sent events `delta` {text}, then `usage`, then `done`. A stream that ends in `error`, or
/// without `done`, is not complete. Lines that begin with a colon keep the connection alive and mean nothing.
#[utoipa::path(
    post,
    path = "/chat/stream",
    tag = "chat",
    request_body = ChatRequest,
    responses((status = 200, description = "The answer as it is written", body = StreamEvent, content_type = "text/event-stream"), Problems)
)]
async fn streamed(State(app): State<Arc<App>>, place: Place, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /chat/stream", &headers);
    match open(&app, context.taking(place), body).await {
        Ok(stream) => streaming::respond(app.settings.heartbeat, exchange, stream, Named),
        Err(error) => exchange.answer(StatusCode::OK, Err::<(), _>(error)),
    }
}

async fn open(app: &Arc<App>, context: Context, body: Payload) -> Result<EventStream, Error> {
    let request: ChatRequest = body.read(app, &context.deadline).await?;
    let id = answer_id(app, &context);
    streaming::open(app, context, request.into(), id).await
}

/// Events with names, as this API writes them.
struct Named;

impl Wording for Named {
    fn frames(&mut self, event: AnswerEvent) -> Vec<Event> {
        let (name, data) = match event {
            AnswerEvent::Begin { .. } => return Vec::new(),
            AnswerEvent::Delta(text) => ("delta", json!({ "text": text }).to_string()),
            AnswerEvent::Usage(usage) => ("usage", serde_json::to_string(&usage).unwrap_or_default()),
            AnswerEvent::Error(error) => ("error", serde_json::to_string(&error.problem()).unwrap_or_default()),
            AnswerEvent::Done(done) => ("done", serde_json::to_string(&done).unwrap_or_default()),
        };
        vec![Event::default().event(name).data(data)]
    }
}

fn answer_id(app: &App, context: &Context) -> String {
    let id = app
        .ids
        .next(Purpose::Answer, &context.request_id, app.clock.now_unix_us());
    format!("chat-{id:032x}")
}
