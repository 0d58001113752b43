//! The recorder: stands in front of a real provider, passes everything on, and stores what comes back, and when.
//!
//! Does not retry, follow redirects or answer in the provider's place, but for a 502 when it can't be reached. Real clock
//! only: what it talks to lives on that.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use brownout_net::{Listener, RunClock, serve};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use super::asked::Asked;
use super::error::TapeError;
use super::file::Writer;
use super::headers;
use super::intake::{self, CallerLeft};
use super::running::Running;
use super::secrets::Secrets;
use super::take::{Pending, Question};
use super::tap::Tap;
use super::upstream::Upstream;

type Answer = Response<Either<Full<Bytes>, Tap>>;

/// Passes requests on to an upstream and records its answers.
#[derive(Debug)]
pub struct Recorder {
    upstream: Upstream,
    client: Client,
    writer: Arc<Writer>,
    clock: RunClock,
}

impl Recorder {
    /// Starts recording `upstream`'s answers to the new file `file`. Call it inside a runtime on the real clock.
    ///
    /// The file must not exist or be empty. An exchange is stored when it ends, so an interrupted recording keeps all
    /// that it has; keys and cookies are stored nowhere.
    pub fn start(
        upstream: Upstream,
        file: &Path,
        listener: Listener,
        clock: RunClock,
        shutdown: &CancellationToken,
    ) -> Result<Running, TapeError> {
        let own = shutdown.child_token();
        let (running, work) = Running::new(listener.authority().to_owned(), own.clone());
        let recorder = Arc::new(Self {
            client: Upstream::client().map_err(TapeError::Client)?,
            writer: Arc::new(Writer::create(file, &upstream.to_string(), work)?),
            upstream,
            clock,
        });
        let service = service_fn(move |request| Arc::clone(&recorder).pass_on(request));
        tokio::spawn(serve(listener, service, own, Duration::ZERO));
        Ok(running)
    }

    /// One exchange, up to the head of its answer.
    async fn pass_on(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, CallerLeft> {
        let (head, body) = request.into_parts();
        let Some(body) = intake::whole(body).await? else {
            return Ok(intake::too_large().map(Either::Left));
        };
        let arrived_us = self.clock.now_us();
        let secrets = Secrets::of_request(&head.headers, head.uri.query().unwrap_or_default());
        let pending = Pending::new(Question {
            writer: Arc::clone(&self.writer),
            clock: self.clock,
            arrived_us,
            asked: Asked::new(&head.method, &head.uri, &body, &secrets),
            body: body.clone(),
            secrets,
        });
        let headers = headers::outgoing(head.headers);
        let request = self.upstream.request(&head.method, &head.uri, headers, body);
        let response: Response<reqwest::Body> = match self.client.execute(request).await {
            Ok(response) => response.into(),
            Err(error) => return Ok(self.unreachable(&error.without_url()).map(Either::Left)),
        };
        let Some(take) = pending.begin(response.status(), response.headers()) else {
            return Err(CallerLeft);
        };
        let (mut answer, body) = response.into_parts();
        headers::strip_hop(&mut answer.headers);
        answer.extensions.clear();
        answer.version = http::Version::HTTP_11;
        let is_empty = head.method == Method::HEAD || has_no_body(answer.status);
        Ok(Response::from_parts(
            answer,
            Either::Right(Tap::new(body, take, is_empty)),
        ))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Response<Full<Bytes>> {
        let (mut causes, mut source) = (vec![error.to_string()], error.source());
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let message = format!(
            "The upstream {} gave no answer: {}. Nothing was recorded; check --upstream and the network.",
            self.upstream,
            causes.join(": ")
        );
        intake::problem(StatusCode::BAD_GATEWAY, "upstream_unreachable", &message)
    }
}

fn has_no_body(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}
