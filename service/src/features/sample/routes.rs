//! `POST /echo`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use utoipa_axum::routes;

use super::models::{Echo, EchoRequest};
use crate::app::App;
use crate::features::Routes;
use crate::features::body::Payload;
use crate::features::exchange::Exchange;
use crate::features::openapi::Problems;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(echo))
}

/// Says the same again.
#[utoipa::path(
    post,
    path = "/echo",
    request_body = EchoRequest,
    responses((status = 200, description = "The same", body = Echo), Problems)
)]
async fn echo(State(app): State<Arc<App>>, headers: HeaderMap, body: Payload) -> Response {
    let (context, exchange) = Exchange::begin(&app, "POST /echo", &headers);
    let echo = body
        .read::<EchoRequest>(&app, &context.deadline)
        .await
        .map(|request| Echo { text: request.text });
    exchange.answer(StatusCode::OK, echo)
}
