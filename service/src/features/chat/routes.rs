//! `POST /chat` and `POST /chat/stream`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::{Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::logic;
use super::models::{ChatEvent, ChatRequest, ChatResponse};
use crate::app::App;
use crate::designs;
use crate::draws::Purpose;
use crate::error::Error;
use crate::features::exchange::{Context, Exchange, read};
use crate::resilience::disconnect::Events;

type Body = Result<Bytes, BytesRejection>;

pub(in crate::features) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/chat", post(whole))
        .route("/chat/stream", post(streamed))
}

async fn whole(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /chat", &headers);
    let result = answer(&app, context, body).await;
    exchange.answer(StatusCode::OK, result)
}

async fn answer(app: &Arc<App>, context: Context, body: Body) -> Result<ChatResponse, Error> {
    let request: ChatRequest = read(body)?;
    let (id, trace, host) = (answer_id(app, &context), context.trace.clone(), Arc::clone(app));
    let work = async move { logic::answer(&host, &context, request, id).await };
    designs::answer(app, &trace, Box::pin(work)).await
}

async fn streamed(State(app): State<Arc<App>>, headers: HeaderMap, body: Body) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /chat/stream", &headers);
    match open(&app, context, body).await {
        Ok((opening, events)) => respond(&app, exchange, opening, events),
        Err(error) => exchange.answer(StatusCode::OK, Err::<(), _>(error)),
    }
}

/// Begins the answer and waits for its first event, so that what fails before it gets a status of its own. Not for ever:
/// after a silence the stream begins anyway, because something between here and the client would take it for dead.
async fn open(app: &Arc<App>, context: Context, body: Body) -> Result<(Option<ChatEvent>, Events<ChatEvent>), Error> {
    let request: ChatRequest = read(body)?;
    let (id, trace, host) = (answer_id(app, &context), context.trace.clone(), Arc::clone(app));
    let mut events = designs::stream(app, &trace, |sink| async move {
        logic::stream(&host, &context, request, id, sink).await;
    })?;
    match app.clock.timeout(app.settings.heartbeat, events.next()).await {
        Ok(Some(ChatEvent::Error(error))) => Err(error),
        Ok(Some(event)) => Ok((Some(event), events)),
        Ok(None) => Err(Error::ShuttingDown),
        Err(_silence) => Ok((None, events)),
    }
}

fn respond(app: &App, exchange: Exchange, opening: Option<ChatEvent>, events: Events<ChatEvent>) -> Response {
    let mut response = Response::default();
    exchange.sign(&mut response);
    let signed = response.headers().clone();
    let stream = Open {
        exchange,
        opening,
        events,
        over: false,
    };
    let keep_alive = KeepAlive::new().interval(app.settings.heartbeat);
    let mut response = Sse::new(stream.encoded()).keep_alive(keep_alive).into_response();
    response.headers_mut().extend(signed);
    // Proxies that collect a response before they pass it on would undo the streaming.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    response
        .headers_mut()
        .insert(unbuffered, HeaderValue::from_static("no"));
    response
}

/// A stream to a client. Dropped when the client leaves, and with it all that is tied to it.
struct Open {
    exchange: Exchange,
    opening: Option<ChatEvent>,
    events: Events<ChatEvent>,
    over: bool,
}

impl Open {
    fn encoded(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        // An early comment commits the response when there is no event to begin with.
        let comment = self.opening.is_none().then(|| Ok(Event::default().comment("waiting")));
        let events = futures::stream::unfold(self, |mut open| async move {
            let event = open.next().await?;
            Some((Ok(encode(event)), open))
        });
        futures::stream::iter(comment).chain(events)
    }

    async fn next(&mut self) -> Option<ChatEvent> {
        if self.over {
            return None;
        }
        let event = match self.opening.take() {
            Some(event) => event,
            // A producer that is cut off says nothing. The client is told, so that it can't take the rest for the whole.
            None => self
                .events
                .next()
                .await
                .unwrap_or(ChatEvent::Error(Error::ShuttingDown)),
        };
        match &event {
            ChatEvent::Delta(_) | ChatEvent::Usage(_) => return Some(event),
            ChatEvent::Done(_) => self.exchange.finish(StatusCode::OK),
            ChatEvent::Error(error) => {
                self.exchange.failed(error);
                self.exchange.finish(error.status());
            }
        }
        self.over = true;
        Some(event)
    }
}

fn encode(event: ChatEvent) -> Event {
    let (name, data) = match event {
        ChatEvent::Delta(text) => ("delta", json!({ "text": text }).to_string()),
        ChatEvent::Usage(usage) => ("usage", serde_json::to_string(&usage).unwrap_or_default()),
        ChatEvent::Error(error) => ("error", serde_json::to_string(&error.problem()).unwrap_or_default()),
        ChatEvent::Done(done) => ("done", serde_json::to_string(&done).unwrap_or_default()),
    };
    Event::default().event(name).data(data)
}

fn answer_id(app: &App, context: &Context) -> String {
    let id = app
        .ids
        .next(Purpose::Answer, &context.request_id, app.clock.now_unix_us());
    format!("chat-{id:032x}")
}
