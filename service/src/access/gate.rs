//! The layer in front of all routes: asks for a key, keeps the key's limits, and holds its place until the answer is out
//! (those who work for it hold it too, until they are done).
//!
//! One layer and not a call in every feature, so that a new feature can't forget it. It decides by the head of a request
//! alone: the body of one that is refused is never read, and nothing is remembered about a key that nobody knows.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body::{Frame, SizeHint};

use super::place::Place;
use super::standing::Permit;
use crate::app::App;
use crate::error::Error;
use crate::features::refusal;

/// What takes no key: probes, scrapers and pages that show nothing of anybody's.
const OPEN: [&str; 6] = ["/", "/livez", "/readyz", "/metrics", "/openapi.json", "/docs"];

/// Lets a request through, or answers it.
pub(crate) async fn guard(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    if OPEN.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let uri = request.uri().clone();
    match admitted(&app, request.headers()).await {
        Ok(permit) => {
            let place = Place::from(permit);
            request.extensions_mut().insert(place.clone());
            let answer = next.run(request).await;
            answer.map(|body| Body::new(Held { body, _place: place }))
        }
        Err(error) => refuse(&app, &uri, error),
    }
}

async fn admitted(app: &App, headers: &HeaderMap) -> Result<Permit, Error> {
    let key = app.access.identify(headers)?;
    let permit = app.access.admit(key)?;
    app.limits.knock(&key.caller).await?;
    Ok(permit)
}

fn refuse(app: &App, uri: &Uri, error: Error) -> Response {
    app.metrics.refused(error.kind());
    let challenge = matches!(error, Error::Unauthenticated);
    let mut response = refusal(uri, error);
    if challenge {
        let bearer = HeaderValue::from_static(r#"Bearer realm="brownout-service""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

/// The body of an answer, and the place that is taken until it is out or its client has left.
struct Held {
    body: Body,
    _place: Place,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
