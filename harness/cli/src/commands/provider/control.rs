//! The control listener of a provider that stands alone: its ledger to read, its script to read and replace.
//!
//! It is a door into the simulator, so it is off by default, on loopback only, and behind a token that is drawn anew each
//! time.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use brownout_net::Listener;
use brownout_provider::Provider;
use brownout_scenario::Providers;
use brownout_scenario::seed::SeedTree;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::commands::fail;
use crate::exit::Exit;

/// Refuses an address that others could reach.
pub(super) fn check(address: SocketAddr) -> Result<(), Exit> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    let message = format!(
        "--control {address} is not on loopback: whoever reaches it owns the simulator\nname 127.0.0.1 or [::1]"
    );
    Err(fail(Exit::Usage, &message))
}

/// Starts the listener, and says where it is and what opens it. The address has been checked.
pub(super) async fn start(
    address: SocketAddr,
    provider: Arc<Provider>,
    shutdown: CancellationToken,
) -> Result<(), Exit> {
    let bound = TcpListener::bind(address).await.and_then(Listener::over);
    let listener = bound.map_err(|error| {
        let message = format!("cannot listen on {address}: {error}\nname a free address with --control");
        fail(Exit::ProviderNotStarted, &message)
    })?;
    let token = draw_token().map_err(|error| fail(Exit::ProviderNotStarted, &error))?;
    say!(
        "control on http://{} (authorization: Bearer {token})",
        listener.authority()
    );
    let router = router(provider, &token);
    tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned());
        // It ends with the shutdown, and has nobody to tell of an error but the caller it concerns.
        let _ = served.await;
    });
    Ok(())
}

fn draw_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

fn router(provider: Arc<Provider>, token: &str) -> Router {
    // Hashes of equal length are compared, so the time it takes says nothing about the token.
    let expected: [u8; 32] = Sha256::digest(format!("Bearer {token}")).into();
    let guard = move |headers: HeaderMap, request: Request, next: Next| async move {
        let given = headers.get(AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        if <[u8; 32]>::from(Sha256::digest(given)) == expected {
            next.run(request).await
        } else {
            (
                StatusCode::UNAUTHORIZED,
                "send the token that the provider printed: authorization: Bearer TOKEN\n",
            )
                .into_response()
        }
    };
    Router::new()
        .route("/ledger", get(ledger))
        .route("/totals", get(totals))
        .route("/script", get(script).put(replace))
        .layer(middleware::from_fn(guard))
        .with_state(provider)
}

/// The rows that are kept, as JSON lines.
async fn ledger(State(provider): State<Arc<Provider>>) -> Response {
    let mut lines = Vec::new();
    match provider.ledger.write_jsonl(&mut lines) {
        Ok(()) => ([(CONTENT_TYPE, "application/x-ndjson")], lines).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Sums over all attempts that have ended.
async fn totals(State(provider): State<Arc<Provider>>) -> Response {
    Json(provider.ledger.totals()).into_response()
}

/// What is played, resolved.
async fn script(State(provider): State<Arc<Provider>>) -> Response {
    Json(provider.script().as_ref()).into_response()
}

/// Plays the one provider of the file in the body from now on, with the file's seed.
async fn replace(State(provider): State<Arc<Provider>>, text: String) -> Response {
    let refuse = |message: String| (StatusCode::UNPROCESSABLE_ENTITY, message + "\n").into_response();
    let (mut providers, seed) = match Providers::parse("the script", &text) {
        Ok(file) => (file.providers, SeedTree::new(file.seed)),
        Err(error) => return refuse(format!("{error}: {}", error.remedy())),
    };
    let count = providers.len();
    let Some(plan) = providers.pop().filter(|_| count == 1) else {
        return refuse(format!(
            "the script has {count} providers: write exactly one [[provider]]"
        ));
    };
    match provider.replace(plan, seed) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refuse(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_an_address_for_control() {
        for (address, expected) in [
            ("127.0.0.1:0", Ok(())),
            ("[::1]:9", Ok(())),
            ("0.0.0.0:0", Err(Exit::Usage)),
            ("[::]:0", Err(Exit::Usage)),
            ("192.0.2.1:80", Err(Exit::Usage)),
        ] {
            assert_eq!(check(address.parse().unwrap()), expected, "{address}");
        }
    }
}
